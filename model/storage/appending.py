"""How entries enter the SQLite log: what is new is told from what is known, then written.

Everything here runs inside one transaction of the caller.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from model.interactions import LogRow
from model.storage.rows import BARE, DELETED, EVENT, ITEM, USER

_ROWS_PER_STATEMENT: Final = 100

# These answer in one row, however many ids they are asked about: each row that SQLite
# hands over costs a turn at the interpreter lock, for which a writer thread beside a
# busy event loop waits long.
_KNOWN_EVENTS: Final = (
    "SELECT json_group_array(event_id) FROM log WHERE event_id IN (SELECT value FROM json_each(?))"
)
_PRESENT: Final = (
    "SELECT json_group_object(id, details) FROM metadata "
    "WHERE kind = ? AND id IN (SELECT value FROM json_each(?))"
)
_PUT: Final = "INSERT OR REPLACE INTO metadata SELECT ?, key, value FROM json_each(?)"
_DROP: Final = "DELETE FROM metadata WHERE kind = ? AND id IN (SELECT value FROM json_each(?))"


def write(db: sqlite3.Connection, rows: Sequence[LogRow]) -> tuple[int | None, list[int]]:
    """Writes the rows that are new, and brings the metadata to the state they leave.

    Args:
      db: A connection with an open transaction.
      rows: At least one, as `encode` makes them.

    Returns:
      The seq of the last row written (None where all were known), and the indices of
      the rows that were known.
    """
    known, present = _known_events(db, rows), _present_metadata(db, rows)
    before = {kind: dict(states) for kind, states in present.items()}
    new, duplicates = _sift(rows, known, present)
    last_seq = insert(db, new)
    for kind, states in present.items():
        _update_metadata(db, kind, before[kind], states)
    return last_seq, duplicates


def _known_events(db: sqlite3.Connection, rows: Iterable[LogRow]) -> set[str]:
    ids = [row.event_id for row in rows if row.kind == EVENT]
    return set(json.loads(_answer(db, _KNOWN_EVENTS, (_text(ids),)))) if ids else set()


def _present_metadata(db: sqlite3.Connection, rows: Iterable[LogRow]) -> dict[int, dict[str, str]]:
    """Details by id, by kind, of the items and users that rows name and metadata exist of."""
    items: dict[str, None] = {}
    users: dict[str, None] = {}
    for row in rows:
        if row.item_id is not None:
            items[row.item_id] = None
        elif row.kind == USER and row.user_id is not None:
            users[row.user_id] = None
    asked = ((ITEM, list(items)), (USER, list(users)))
    return {
        kind: json.loads(_answer(db, _PRESENT, (kind, _text(ids)))) for kind, ids in asked if ids
    }


def _sift(
    rows: Iterable[LogRow], known: set[str], present: dict[int, dict[str, str]]
) -> tuple[list[LogRow], list[int]]:
    """New rows, and the indices of the others; leads `known` and `present` through them."""
    new, duplicates = [], []
    for index, row in enumerate(rows):
        is_new = _meet_event(row, known, present) if row.kind == EVENT else _meet(row, present)
        if is_new:
            new.append(row)
        else:
            duplicates.append(index)
    return new, duplicates


def _meet_event(row: LogRow, known: set[str], present: dict[int, dict[str, str]]) -> bool:
    if row.event_id is None or row.event_id in known:
        return False
    known.add(row.event_id)
    # An item that was deleted stays so, whatever late events say of it
    if row.item_id is not None:
        present[ITEM].setdefault(row.item_id, BARE)
    return True


def _meet(row: LogRow, present: dict[int, dict[str, str]]) -> bool:
    name = row.item_id if row.kind == ITEM else row.user_id
    states = present[row.kind]
    if name is None or row.details is None or states.get(name, DELETED) == row.details:
        return False
    states[name] = row.details
    return True


def insert(db: sqlite3.Connection, rows: Sequence[LogRow]) -> int | None:
    """Writes rows at the end of the log; the last one's seq, None for no rows."""
    last_seq = None
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        chunk = rows[start : start + _ROWS_PER_STATEMENT]
        values = list(chain.from_iterable(row[1:] for row in chunk))
        last_seq = db.execute(_insert_statement(len(chunk)), values).lastrowid
    return last_seq


@lru_cache(maxsize=_ROWS_PER_STATEMENT)
def _insert_statement(n_rows: int) -> str:
    # OR ROLLBACK saves SQLite the copies of pages for undoing a single statement, which
    # cost as much as the insert; on an error all is rolled back in any case.
    row = f"(NULL{', ?' * (len(LogRow._fields) - 1)})"
    return f"INSERT OR ROLLBACK INTO log VALUES {', '.join([row] * n_rows)}"  # noqa: S608


def _update_metadata(
    db: sqlite3.Connection, kind: int, before: dict[str, str], after: dict[str, str]
) -> None:
    changed = {name: text for name, text in after.items() if before.get(name) != text}
    # An item leaves its deletion behind: an event that names it must not put it back
    put = {name: text for name, text in changed.items() if kind == ITEM or text != DELETED}
    dropped = [name for name in changed if name not in put]
    if put:
        db.execute(_PUT, (kind, _text(put)))
    if dropped:
        db.execute(_DROP, (kind, _text(dropped)))


def _answer(db: sqlite3.Connection, statement: str, values: tuple[str | int, ...]) -> str:
    answer: str = db.execute(statement, values).fetchone()[0]
    return answer


def _text(ids: object) -> str:
    # Not escaped: text that is not valid Unicode must fail here too, not only as a column
    return json.dumps(ids, ensure_ascii=False)
