"""Log entries as rows and back: what has no column of its own travels as JSON text.

The text is canonical (sorted keys, no spaces, defaults left out, numbers as floats), so
that equal metadata have equal texts.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from model.errors import BadInputError, LogUnavailableError
from model.interactions import (
    Attributes,
    AttributeValue,
    Entry,
    Event,
    ItemChange,
    Kind,
    LogRow,
    UserChange,
)

# Plain ints: SQLite's binding takes a slow road for enum members.
EVENT: Final = int(Kind.EVENT)
ITEM: Final = int(Kind.ITEM)
USER: Final = int(Kind.USER)
ERASURE: Final = int(Kind.ERASURE)

DELETED: Final = '{"deleted":true}'
"""Details of an item or user that is no more."""

BARE: Final = '{"attributes":{},"bare":true}'
"""Details of an item that events have named and nobody has described."""

_JSON: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


def encode(entry: Entry, received_ms: int) -> LogRow:
    """The row that stores an entry, with seq 0 until the log gives it a place.

    Raises:
      BadInputError: If a number is not finite, an id is empty or holds a NUL character, or
        an attribute is not one of the types of `AttributeValue`.
    """
    try:
        row = _encode(entry, received_ms)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(
            f"an entry's values must be strings, finite numbers, booleans or tuples of strings: "
            f"{error}"
        ) from error
    # SQLite's JSON functions, which look ids up, stop reading at a NUL.
    ids = (row.event_id, row.user_id, row.item_id)
    if "" in ids or "\0" in f"{ids[0]}{ids[1]}{ids[2]}":
        raise BadInputError(f"ids must not be empty or hold NUL characters, got {ids}")
    return row


def event_of(row: LogRow) -> Event:
    """The event that a row of kind EVENT stores.

    Raises:
      BadInputError: If the row is of another kind.
      LogUnavailableError: If the row's details are corrupt.
    """
    if row.kind != EVENT or row.event_id is None or row.event_type is None:
        raise BadInputError(_not_a("an event", row))
    name = f"event {row.event_id!r}"
    details = {} if row.details is None else _decode(row.details, name)
    return Event(
        event_id=row.event_id,
        event_type=row.event_type,
        timestamp_ms=row.timestamp_ms,
        user_id=row.user_id,
        item_id=row.item_id,
        value=row.value,
        session_id=row.session_id,
        request_id=details.get("request_id"),
        shown_items=tuple(details.get("shown_items", ())),
        retracts=details.get("retracts"),
        properties=_attributes(details.get("properties", {}), name),
    )


def item_of(row: LogRow) -> ItemChange:
    """The metadata change that a row of kind ITEM stores.

    Raises:
      BadInputError: If the row is of another kind.
      LogUnavailableError: If the row's details are corrupt.
    """
    if row.kind != ITEM or row.item_id is None or row.details is None:
        raise BadInputError(_not_a("an item", row))
    return item_change(row.item_id, row.details)


def user_of(row: LogRow) -> UserChange:
    """The metadata change that a row of kind USER stores.

    Raises:
      BadInputError: If the row is of another kind.
      LogUnavailableError: If the row's details are corrupt.
    """
    if row.kind != USER or row.user_id is None or row.details is None:
        raise BadInputError(_not_a("a user", row))
    return user_change(row.user_id, row.details)


def item_change(item_id: str, details: str) -> ItemChange:
    """An item's metadata from their stored text; LogUnavailableError if it is corrupt."""
    fields = _decode(details, f"item {item_id!r}")
    return ItemChange(
        item_id=item_id,
        attributes=_metadata(fields, f"item {item_id!r}"),
        hidden=fields.get("hidden", False),
        available_from_ms=fields.get("available_from_ms"),
        available_until_ms=fields.get("available_until_ms"),
    )


def user_change(user_id: str, details: str) -> UserChange:
    """A user's metadata from their stored text; LogUnavailableError if it is corrupt."""
    name = f"user {user_id!r}"
    return UserChange(user_id, _metadata(_decode(details, name), name))


def erasure_row(digest: str, received_ms: int) -> LogRow:
    """The row that says that a user was erased, by the digest of the id alone."""
    return _row(ERASURE, _JSON.encode({"user": digest}), received_ms)


def _encode(entry: Entry, received_ms: int) -> LogRow:
    if isinstance(entry, Event):
        return _encode_event(entry, received_ms)
    if isinstance(entry, ItemChange):
        return _row(ITEM, _item_details(entry), received_ms, item_id=entry.item_id)
    return _row(USER, _user_details(entry), received_ms, user_id=entry.user_id)


def _row(
    kind: int,
    details: str,
    received_ms: int,
    *,
    user_id: str | None = None,
    item_id: str | None = None,
) -> LogRow:
    return LogRow(
        seq=0,
        kind=kind,
        event_id=None,
        event_type=None,
        user_id=user_id,
        item_id=item_id,
        value=None,
        timestamp_ms=received_ms,
        received_ms=received_ms,
        session_id=None,
        details=details,
    )


def _encode_event(event: Event, received_ms: int) -> LogRow:
    # SQLite would store NaN as NULL without a word
    if event.value is not None and not math.isfinite(event.value):
        raise ValueError(f"value is {event.value}")
    return LogRow(
        0,
        EVENT,
        event.event_id,
        event.event_type,
        event.user_id,
        event.item_id,
        event.value,
        event.timestamp_ms,
        received_ms,
        event.session_id,
        _event_details(event),
    )


def _event_details(event: Event) -> str | None:
    details: dict[str, Any] = {}
    if event.request_id is not None:
        details["request_id"] = event.request_id
    if event.shown_items:
        details["shown_items"] = event.shown_items
    if event.retracts is not None:
        details["retracts"] = event.retracts
    if event.properties:
        details["properties"] = _plain(event.properties)
    return _JSON.encode(details) if details else None


def _item_details(item: ItemChange) -> str:
    if item.attributes is None:
        return DELETED
    details: dict[str, Any] = {"attributes": _plain(item.attributes)}
    if item.hidden:
        details["hidden"] = True
    if item.available_from_ms is not None:
        details["available_from_ms"] = item.available_from_ms
    if item.available_until_ms is not None:
        details["available_until_ms"] = item.available_until_ms
    return _JSON.encode(details)


def _user_details(user: UserChange) -> str:
    if user.attributes is None:
        return DELETED
    return _JSON.encode({"attributes": _plain(user.attributes)})


def _plain(attributes: Attributes) -> dict[str, AttributeValue]:
    return {name: _plain_value(value) for name, value in attributes.items()}


def _plain_value(value: AttributeValue) -> AttributeValue:
    # 1 and 1.0 are the same attribute, so they must have the same text; True is another
    return value if isinstance(value, (str, bool, tuple)) else float(value)


def _decode(details: str, name: str) -> dict[str, Any]:
    try:
        fields = json.loads(details)
    except ValueError as error:
        raise LogUnavailableError(f"the stored details of {name} are not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise LogUnavailableError(f"the stored details of {name} are not a JSON object")
    return fields


def _metadata(fields: Mapping[str, Any], name: str) -> Attributes | None:
    if fields.get("deleted"):
        return None
    return _attributes(fields.get("attributes"), name)


def _attributes(stored: object, name: str) -> Attributes:
    if not isinstance(stored, dict):
        raise LogUnavailableError(f"the stored details of {name} hold no valid attributes")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}


def _not_a(wanted: str, row: LogRow) -> str:
    return f"expected a row that stores {wanted}, got row {row.seq} of kind {row.kind}"
