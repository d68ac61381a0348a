"""Which events are taken: the shape was checked before, here the meaning is."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from model.acceptance import check_event
from model.errors import BadInputError
from model.interactions import Event, EventRules
from service.errors import explained
from service.schemas import EventIn

_EVENTS: Final = TypeAdapter(list[EventIn])


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that was refused.

    Attributes:
      index: Its place among the events that came.
    """

    index: int
    code: str
    detail: str


def accept(raw: list[Any], rules: EventRules, now_ms: int) -> tuple[list[Event], list[Rejection]]:
    """The good ones of the events that came, and why the others are refused.

    Args:
      raw: Events as JSON values.
      rules: The event types that are known.
      now_ms: The present.
    """
    rejections = {}
    try:
        parsed = _EVENTS.validate_python(raw)
        indices: Sequence[int] = range(len(raw))
    except ValidationError as error:
        rejections = _first_faults(error)
        indices = [index for index in range(len(raw)) if index not in rejections]
        parsed = _EVENTS.validate_python([raw[index] for index in indices])
    events = []
    for index, event in zip(indices, parsed, strict=True):
        try:
            events.append(_to_event(event, rules, now_ms))
        except BadInputError as fault:
            rejections[index] = Rejection(index, fault.code, str(fault))
    return events, [rejections[index] for index in sorted(rejections)]


def _first_faults(error: ValidationError) -> dict[int, Rejection]:
    faults: dict[int, Rejection] = {}
    found: Iterable[ErrorDetails] = error.errors(
        include_url=False, include_context=False, include_input=False
    )
    for each in found:
        index = int(each["loc"][0])
        if index not in faults:
            each["loc"] = each["loc"][1:]
            faults[index] = Rejection(index, *explained(each, whole="event"))
    return faults


def _to_event(sent: EventIn, rules: EventRules, now_ms: int) -> Event:
    """The event in the model's terms.

    Raises:
      BadInputError: If it cannot be meant.
    """
    event = Event(
        event_id=sent.event_id or os.urandom(16).hex(),
        event_type=sent.event_type,
        timestamp_ms=now_ms if sent.timestamp is None else sent.timestamp,
        user_id=sent.user_id,
        item_id=sent.item_id,
        value=sent.value,
        session_id=sent.session_id,
        request_id=sent.request_id,
        shown_items=tuple(sent.shown_items),
        retracts=sent.retracts,
        properties=sent.properties,
    )
    check_event(event, rules, now_ms)
    return event
