"""Checked rows: from a table's cells to events, items and users of the model."""

import dataclasses
import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from model.acceptance import check_event, check_id
from model.errors import BadInputError
from model.interactions import Attributes, Event, EventRules, ItemChange, UserChange
from pipelines.parsing import AttributeCells, canonical, number, timestamp_ms, truth
from pipelines.readers.tables import Cell, CellType, Row, Table

EVENT_COLUMNS: Final = (
    "event_id", "event_type", "user_id", "item_id", "value", "timestamp", "session_id",
    "request_id", "shown_items", "retracts",
)  # fmt: skip
STATE_COLUMNS: Final = ("hidden", "available_from", "available_until")


class Record(NamedTuple):
    """A checked row, in the form in which it waits to be written.

    Attributes:
      key: Its id: of the event, the item or the user.
      at_ms: When it happened; 0 for items and users.
      meaning: Digest of its content, alike for `3` and `3.0`.
      text: The content as JSON.
    """

    key: str
    at_ms: int
    meaning: str
    text: str


class EventRows:
    """Makes events of the rows of an interactions table."""

    def __init__(
        self,
        table: Table,
        declared: Mapping[str, CellType],
        unlisted: frozenset[str],
        rules: EventRules,
        now_ms: int,
    ) -> None:
        """Rows of `table`; columns that events do not know become their properties.

        Args:
          table: The interactions.
          declared: What some of the property columns hold.
          unlisted: Property columns in which `|` separates nothing.
          rules: The event types that are known.
          now_ms: The present.
        """
        self._at = {name: at for at, name in enumerate(table.columns)}
        self._extra = [(at, n) for n, at in self._at.items() if n not in EVENT_COLUMNS]
        self._properties = AttributeCells(
            [name for _, name in self._extra],
            declared,
            plain_text=table.plain_text,
            unlisted=unlisted,
        )
        self._rules = rules
        self._now_ms = now_ms
        self.has_ids = "event_id" in self._at
        self.attributes = tuple(name for _, name in self._extra)

    def record(self, row: Row) -> Record:
        """The row, checked. Without an id it gets one that is made of its content.

        Raises:
          BadInputError: If something in it is missing, malformed or impossible.
        """
        cells = row.cells
        value = self._text(cells, "value").strip()
        event = Event(
            event_id=self._id(cells, "event_id") or "",
            event_type=self._text(cells, "event_type"),
            timestamp_ms=timestamp_ms(self._text(cells, "timestamp")),
            user_id=self._id(cells, "user_id"),
            item_id=self._id(cells, "item_id"),
            value=number("value", value) if value else None,
            session_id=self._id(cells, "session_id"),
            request_id=self._id(cells, "request_id"),
            shown_items=self._shown_items(cells),
            retracts=self._id(cells, "retracts"),
        )
        check_event(event, self._rules, self._now_ms)
        properties = {name: cell for at, name in self._extra if (cell := cells[at])}
        for name, cell in properties.items():
            self._properties.see(name, cell)
        known = _known(event)
        text = json.dumps([*known, properties])
        meaning = _meaning(known, properties, text)
        return Record(event.event_id or f"row-{meaning}", event.timestamp_ms, meaning, text)

    def event(self, record: Record) -> Event:
        """The event of a record; every row has to be recorded before."""
        (
            event_type, at_ms, user_id, item_id, value, session_id, request_id, shown_items,
            retracts, cells,
        ) = json.loads(record.text)  # fmt: skip
        return Event(
            event_id=record.key,
            event_type=event_type,
            timestamp_ms=at_ms,
            user_id=user_id,
            item_id=item_id,
            value=value,
            session_id=session_id,
            request_id=request_id,
            shown_items=tuple(shown_items),
            retracts=retracts,
            properties=self._properties.values(_cells(cells)) if cells else {},
        )

    def _text(self, cells: list[Cell], name: str) -> str:
        at = self._at.get(name)
        if at is None:
            return ""
        cell = cells[at]
        return cell if isinstance(cell, str) else "|".join(cell)

    def _id(self, cells: list[Cell], name: str) -> str | None:
        text = self._text(cells, name)
        return check_id(name, text) if text else None

    def _shown_items(self, cells: list[Cell]) -> tuple[str, ...]:
        text = self._text(cells, "shown_items")
        return tuple(check_id("shown_items", part) for part in text.split("|")) if text else ()


def event_meaning(event: Event) -> str:
    """What `Record.meaning` is for the row of this event."""
    known = _known(event)
    return _meaning(known, event.properties, json.dumps([*known, {}]))


def _known(event: Event) -> list[Any]:
    return [
        event.event_type,
        event.timestamp_ms,
        event.user_id,
        event.item_id,
        event.value,
        event.session_id,
        event.request_id,
        event.shown_items,
        event.retracts,
    ]


def _meaning(known: list[Any], cells: Attributes, text: str) -> str:
    # Cells count by their canonical text: whether 3 is a number depends on the other rows,
    # and a row must stay the same event when its file has grown.
    if cells:
        text = json.dumps([*known, {name: canonical(cells[name]) for name in sorted(cells)}])
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _cells(stored: Mapping[str, str | list[str]]) -> dict[str, Cell]:
    return {n: cell if isinstance(cell, str) else tuple(cell) for n, cell in stored.items()}


class EntityRows:
    """Makes items or users of the rows of their table."""

    def __init__(
        self,
        table: Table,
        id_column: str,
        declared: Mapping[str, CellType],
        unlisted: frozenset[str] = frozenset(),
    ) -> None:
        """Rows of `table`.

        Args:
          table: Items or users.
          id_column: `item_id` or `user_id`.
          declared: What some of the attribute columns hold.
          unlisted: Attribute columns in which `|` separates nothing.
        """
        self._id_column = id_column
        self._id_at = table.columns.index(id_column)
        known = (id_column, *(STATE_COLUMNS if id_column == "item_id" else ()))
        self._state_at = {n: at for at, n in enumerate(table.columns) if n in STATE_COLUMNS}
        self._extra = [(at, n) for at, n in enumerate(table.columns) if n not in known]
        self.attributes = tuple(name for _, name in self._extra)
        self._cells = AttributeCells(
            self.attributes,
            declared,
            plain_text=table.plain_text,
            unlisted=unlisted,
        )

    def record(self, row: Row) -> Record:
        """The row, checked.

        Raises:
          BadInputError: If something in it is missing or malformed.
        """
        key = row.cells[self._id_at]
        key = check_id(self._id_column, key if isinstance(key, str) else "|".join(key))
        cells = {name: cell for at, name in self._extra if (cell := row.cells[at])}
        for name, cell in cells.items():
            self._cells.see(name, cell)
        state = self._state(row.cells)
        text = json.dumps([state, cells])
        return Record(key, 0, _meaning([state], cells, text), text)

    def item(self, record: Record, present: ItemChange | None) -> ItemChange:
        """The item of a record; every row has to be recorded before.

        Args:
          record: What the file says.
          present: The item as it stands; what the file has no column for stays.
        """
        state, cells = json.loads(record.text)
        base = present or ItemChange(record.key, None)
        return dataclasses.replace(base, attributes=self._values(cells), **state)

    def user(self, record: Record) -> UserChange:
        """The user of a record; every row has to be recorded before."""
        _, cells = json.loads(record.text)
        return UserChange(record.key, self._values(cells))

    def _values(self, cells: Mapping[str, str | list[str]]) -> Attributes:
        return self._cells.values(_cells(cells))

    def _state(self, cells: list[Cell]) -> dict[str, bool | int | None]:
        state: dict[str, bool | int | None] = {}
        for name, at in self._state_at.items():
            text = str(cells[at]).strip()
            if name == "hidden":
                state[name] = truth(name, text) if text else False
            else:
                state[f"{name}_ms"] = _time(name, text) if text else None
        return state


def _time(name: str, text: str) -> int:
    try:
        return timestamp_ms(text)
    except BadInputError as error:
        raise BadInputError(f"{name}: {error}", f"invalid_{name}") from error
