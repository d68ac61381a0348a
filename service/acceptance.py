"""Which events are taken: the shape was checked before, here the meaning is."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from model.errors import BadInputError
from model.interactions import Event, EventRules
from service.errors import explained
from service.schemas import EventIn

EARLIEST_MS: Final = 631_152_000_000  # 1990-01-01
CLOCK_SKEW_MS: Final = 300_000

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


def _to_event(event: EventIn, rules: EventRules, now_ms: int) -> Event:
    """The event in the model's terms.

    Raises:
      BadInputError: If its type is unknown, its time impossible, or something it needs missing.
    """
    if event.event_type not in rules.rules:
        raise BadInputError(rules.unknown_type(event.event_type), "unknown_event_type")
    timestamp = now_ms if event.timestamp is None else event.timestamp
    check_moment(timestamp, now_ms + CLOCK_SKEW_MS)
    _check_complete(event)
    return Event(
        event_id=event.event_id or os.urandom(16).hex(),
        event_type=event.event_type,
        timestamp_ms=timestamp,
        user_id=event.user_id,
        item_id=event.item_id,
        value=event.value,
        session_id=event.session_id,
        request_id=event.request_id,
        shown_items=tuple(event.shown_items),
        retracts=event.retracts,
        properties=event.properties,
    )


def check_moment(timestamp_ms: int, latest_ms: int) -> None:
    """Refuses a moment that cannot be meant.

    Raises:
      BadInputError: If it lies before 1990 or after `latest_ms`.
    """
    if timestamp_ms > latest_ms:
        raise BadInputError("timestamp lies in the future", "timestamp_in_future")
    if timestamp_ms < EARLIEST_MS:
        raise BadInputError("timestamp lies before 1990-01-01", "timestamp_too_old")


def _check_complete(event: EventIn) -> None:
    if event.user_id is None and event.session_id is None:
        raise BadInputError("user_id or session_id is required", "missing_user_id")
    shown = event.event_type == "impression" and event.shown_items
    if event.item_id is None and event.retracts is None and not shown:
        raise BadInputError("item_id is required", "missing_item_id")
    if event.event_type == "rating" and event.value is None and event.retracts is None:
        raise BadInputError("value is required for rating", "missing_value")
