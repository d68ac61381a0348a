"""Which events are taken: their shape is checked first, then whether they can be meant."""

import os
from typing import Any, Final

from pydantic import TypeAdapter

from model.acceptance import check_event
from model.errors import BadInputError
from model.interactions import Event, EventRules
from service.batches import Rejection, sifted
from service.schemas.events import EventIn

_EVENTS: Final = TypeAdapter(list[EventIn])


def accept(raw: list[Any], rules: EventRules, now_ms: int) -> tuple[list[Event], list[Rejection]]:
    """The good ones of the events that came, and why the others are refused.

    Args:
      raw: Events as JSON values.
      rules: The event types that are known.
      now_ms: The present.
    """
    parsed, rejections = sifted(_EVENTS, raw, whole="event")
    events = []
    for index, sent in parsed:
        try:
            event = _to_event(sent, now_ms)
            check_event(event, rules, now_ms)
        except BadInputError as fault:
            rejections[index] = Rejection(index, fault.code, str(fault))
        else:
            events.append(event)
    return events, [rejections[index] for index in sorted(rejections)]


def _to_event(sent: EventIn, now_ms: int) -> Event:
    """The event in the model's terms, with the id and the time that it was sent without."""
    return Event(
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
