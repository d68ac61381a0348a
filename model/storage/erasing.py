"""Erasing a user from the SQLite log: as if it had never been, but for a digest of the id."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from model.storage.appending import insert
from model.storage.rows import BARE, ERASURE, ITEM, USER, erasure_row
from model.storage.sqlite_file import ACTOR


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure removed.

    Attributes:
      digest: `user_digest` of the user: all that the log keeps, to know the erasure by.
      events: How many events were removed.
      changes: How many changes of the user's metadata were removed.
      items: How many items were removed because these events alone had named them.
      seq: Log position of the erasure; None where there was nothing to erase.
    """

    digest: str
    events: int
    changes: int
    items: int
    seq: int | None


def user_digest(user_id: str) -> str:
    """What stands for a user who was erased: the SHA-256 of the id, in hex."""
    return hashlib.sha256(user_id.encode()).hexdigest()


_EVENTS: Final = f"kind = 0 AND {ACTOR} = ?"
_BARE_ITEMS: Final = (
    f"SELECT DISTINCT item_id FROM log WHERE {_EVENTS} AND item_id IN "  # noqa: S608
    "(SELECT id FROM metadata WHERE kind = ? AND details = ?)"
)
_NAMED_BY_OTHERS: Final = (
    "SELECT DISTINCT item_id FROM log WHERE seq > ? AND item_id IN "  # noqa: S608
    f"(SELECT value FROM json_each(?)) AND NOT (kind = 0 AND {ACTOR} IS ?)"
)
_CHANGES: Final = "SELECT seq FROM log WHERE seq > ? AND kind = ? AND user_id = ?"
_LISTED: Final = "IN (SELECT value FROM json_each(?))"


class Erasure:
    """One erasure in two steps, of which only the second keeps writers waiting.

    Some of it has no index, for it is rare: that is looked up beforehand, and then again
    only in what has come since.
    """

    def __init__(self, db: sqlite3.Connection, user_id: str) -> None:
        """Looks through the log, by reading alone."""
        self._user_id = user_id
        self._through = int(db.execute("SELECT ifnull(max(seq), 0) FROM log").fetchone()[0])
        self._changes = self._changes_after(db, 0)
        self._alone = self._unnamed(db, self._bare_items(db), after_seq=0)

    def write(self, db: sqlite3.Connection, received_ms: int) -> Erased:
        """Removes the rows and notes the erasure, inside one transaction of the caller."""
        user, digest = self._user_id, user_digest(self._user_id)
        bare = self._bare_items(db) & self._alone
        alone = self._unnamed(db, bare, after_seq=self._through)
        changes = self._changes + self._changes_after(db, self._through)
        events = db.execute(f"DELETE FROM log WHERE {_EVENTS}", (user,)).rowcount  # noqa: S608
        db.execute(f"DELETE FROM log WHERE seq {_LISTED}", (_text(changes),))  # noqa: S608
        db.execute("DELETE FROM metadata WHERE kind = ? AND id = ?", (USER, user))
        drop = f"DELETE FROM metadata WHERE kind = ? AND id {_LISTED}"  # noqa: S608
        db.execute(drop, (ITEM, _text(sorted(alone))))
        if not events + len(changes):
            return Erased(digest, 0, 0, 0, None)
        seq = insert(db, [erasure_row(digest, received_ms)])
        note = "INSERT OR REPLACE INTO metadata VALUES (?, ?, ?)"
        db.execute(note, (ERASURE, digest, str(seq)))
        return Erased(digest, events, len(changes), len(alone), seq)

    def _changes_after(self, db: sqlite3.Connection, seq: int) -> list[int]:
        """Positions of the changes of the user's metadata."""
        return [found for (found,) in db.execute(_CHANGES, (seq, USER, self._user_id))]

    def _bare_items(self, db: sqlite3.Connection) -> set[str]:
        """Items that this user's events named and of which nothing else is known."""
        return {found for (found,) in db.execute(_BARE_ITEMS, (self._user_id, ITEM, BARE))}

    def _unnamed(self, db: sqlite3.Connection, items: set[str], *, after_seq: int) -> set[str]:
        """The items that no row of others after a position names."""
        if not items:
            return items
        named = db.execute(_NAMED_BY_OTHERS, (after_seq, _text(sorted(items)), self._user_id))
        return items - {found for (found,) in named}


def _text(values: Iterable[str | int]) -> str:
    return json.dumps(list(values), ensure_ascii=False)
