"""The event log: source of truth, append-only, one order for events and metadata.

`EventLog` is what any back end offers; `open_log` gives the one on SQLite.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

from model.errors import BadInputError, LogUnavailableError
from model.interactions import Attributes, Entry, ItemChange, Kind, LogRow, UserChange
from model.storage.appending import write
from model.storage.erasing import Erased, Erasure, user_digest
from model.storage.rows import (
    DELETED,
    ERASURE,
    ITEM,
    USER,
    encode,
    event_of,
    item_change,
    item_of,
    user_change,
    user_of,
)
from model.storage.sqlite_file import ACTOR, connect, create

__all__ = [
    "Appended",
    "CatalogueSnapshot",
    "Erased",
    "EventLog",
    "LogReader",
    "ReadableLog",
    "SqliteEventLog",
    "event_of",
    "event_rows",
    "item_of",
    "open_log",
    "user_digest",
    "user_of",
]


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one append.

    Attributes:
      accepted: How many entries were written.
      duplicates: Indices of the entries that were not written: events whose id the log
        knows, metadata equal to the present state.
      first_seq: Position of the first entry written; None where nothing was.
      last_seq: Position of the last entry written; None where nothing was.
    """

    accepted: int
    duplicates: tuple[int, ...]
    first_seq: int | None
    last_seq: int | None


@dataclass(frozen=True, slots=True)
class CatalogueSnapshot:
    """The items as of one log position.

    Attributes:
      seq: The position; 0 for an empty log.
      items: Every item that is not deleted, by rising id.
    """

    seq: int
    items: tuple[ItemChange, ...]


class ReadableLog(Protocol):
    """What recommending reads of an append-only log with one order, by one thread.

    Every method raises LogUnavailableError when the log cannot be used now.
    """

    def head(self) -> int:
        """The last position, 0 when the log is empty; cheap enough for every request."""

    def tail(
        self, after_seq: int, *, through_seq: int | None = None, limit: int = 10_000
    ) -> list[LogRow]:
        """Rows after `after_seq`, up to and with `through_seq`, at most `limit`, in order."""

    def actor_rows(self, actor: str, through_seq: int) -> list[LogRow]:
        """The events of whom `actor_of` calls `actor`, up to and with `through_seq`, in order."""

    def event(self, event_id: str) -> LogRow | None:
        """The event of this id, or None."""

    def user(self, user_id: str) -> Attributes | None:
        """A user's attributes, or None where none were ever given or they were deleted."""


class LogReader(ReadableLog, Protocol):
    """What is read of a log, by one thread; see `ReadableLog`."""

    def catalogue(self) -> CatalogueSnapshot:
        """All items and the position they belong to, read at one moment."""

    def users(self) -> Iterator[UserChange]:
        """Every user with metadata, by rising id."""

    def close(self) -> None:
        """Ends the use of the log."""


def event_rows(log: LogReader, after_seq: int, through_seq: int) -> Iterator[LogRow]:
    """The events behind a log position, up to and with another, in order and in bounded memory."""
    while rows := log.tail(after_seq, through_seq=through_seq, limit=_EVENTS_AT_ONCE):
        yield from (row for row in rows if row.kind == Kind.EVENT)
        after_seq = rows[-1].seq


class EventLog(LogReader, Protocol):
    """A log that is shared by any number of processes.

    Any threads may append, amend and erase, while one thread does the rest. Every method
    raises LogUnavailableError when the log cannot be used now; nothing is half-written then.
    """

    def append(self, entries: Sequence[Entry], received_ms: int) -> Appended:
        """Writes entries in their order, durably, all or none; what is known is skipped.

        An event that names an item outside the catalogue puts it there without attributes,
        unless it was deleted.

        Raises:
          BadInputError: If an entry cannot be stored as it is; nothing is written then.
        """

    def amend_item(
        self, item_id: str, amend: Callable[[ItemChange | None], ItemChange], received_ms: int
    ) -> Appended:
        """Writes what `amend` makes of the item's present state, which nothing changes meanwhile.

        `amend` gets None where there is no such item, and may raise to refuse.
        """

    def amend_user(
        self, user_id: str, amend: Callable[[UserChange | None], UserChange], received_ms: int
    ) -> Appended:
        """The same for a user's metadata."""

    def erase_user(self, user_id: str, received_ms: int) -> Erased:
        """Removes all that is known of a user; one row of kind ERASURE takes its place."""

    def erasures(self) -> Mapping[str, int]:
        """Position of the latest erasure of each digest of a user id."""

    def item(self, item_id: str) -> ItemChange | None:
        """An item's metadata, or None where there is no such item or it was deleted."""


def open_log(path: Path, *, busy_timeout_ms: int = 10_000) -> "SqliteEventLog":
    """Opens the log at `path`, making it and its folder where they are missing.

    Args:
      path: The file; its folder must allow SQLite's two companions beside it.
      busy_timeout_ms: How long an append waits for other processes' appends.

    Raises:
      LogUnavailableError: If the file cannot be opened, is not a Slowwave event log or
        is of a format version that this code does not know.
    """
    return SqliteEventLog(path, busy_timeout_ms=busy_timeout_ms)


_USERS_PER_PAGE: Final = 1_000
_EVENTS_AT_ONCE: Final = 20_000
_CHECKPOINT_TIMEOUT_MS: Final = 1_000

# The table's columns are the fields of LogRow, in their order.
_TAIL: Final = "SELECT * FROM log WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
_EVENT: Final = "SELECT * FROM log WHERE event_id = ?"
# The kind is spelt out, for the index holds events alone.
_ACTOR_ROWS: Final = f"SELECT * FROM log WHERE kind = 0 AND {ACTOR} = ? AND seq <= ? ORDER BY seq"  # noqa: S608
_HEAD: Final = "SELECT ifnull(max(seq), 0) FROM log"
_ALL_METADATA: Final = (
    "SELECT id, details FROM metadata WHERE kind = ? AND details != ? ORDER BY id"
)
_METADATA: Final = "SELECT details FROM metadata WHERE kind = ? AND id = ?"
_METADATA_PAGE: Final = (
    "SELECT id, details FROM metadata WHERE kind = ? AND id > ? ORDER BY id LIMIT ?"
)

# Mistakes of the calling code, which waiting will not cure.
_BUGS: Final = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.DataError)


class SqliteEventLog:
    """An `EventLog` in one SQLite file.

    Reading and appending use a connection each, so one thread may append while another
    reads. Must not be carried over a fork.
    """

    def __init__(self, path: Path, *, busy_timeout_ms: int) -> None:
        self._trouble = _Trouble(path)
        with self._trouble:
            create(path)
            self._writer = connect(path, busy_timeout_ms=busy_timeout_ms)
            # The pages of the event-id index: appends touch them in random order.
            self._writer.execute("PRAGMA cache_size = -16000")
            self._reader = connect(path, busy_timeout_ms=busy_timeout_ms)
            self._reader.execute("PRAGMA query_only = ON")
        self._path = path
        self._append_lock = threading.Lock()
        self._head_version: int | None = None
        self._head = 0

    def append(self, entries: Sequence[Entry], received_ms: int) -> Appended:
        """See `EventLog.append`: one transaction, on the disk when it returns."""
        rows = [encode(entry, received_ms) for entry in entries]
        if not rows:
            return Appended(0, (), None, None)
        with self._append_lock, self._trouble, self._transaction() as db:
            return _appended(db, rows)

    def amend_item(
        self, item_id: str, amend: Callable[[ItemChange | None], ItemChange], received_ms: int
    ) -> Appended:
        """See `EventLog.amend_item`."""
        with self._append_lock, self._trouble, self._transaction() as db:
            changed = amend(_item(db, item_id))
            return _appended(db, [encode(changed, received_ms)])

    def amend_user(
        self, user_id: str, amend: Callable[[UserChange | None], UserChange], received_ms: int
    ) -> Appended:
        """See `EventLog.amend_user`."""
        with self._append_lock, self._trouble, self._transaction() as db:
            stored = _stored(db, USER, user_id)
            present = None if stored is None else user_change(user_id, stored)
            return _appended(db, [encode(amend(present), received_ms)])

    def erase_user(self, user_id: str, received_ms: int) -> Erased:
        """See `EventLog.erase_user`: nothing of it stays in free pages or the log written ahead."""
        with (
            self._trouble,
            closing(connect(self._path, busy_timeout_ms=_CHECKPOINT_TIMEOUT_MS)) as own,
        ):
            erasure = Erasure(own, user_id)
            with self._append_lock, self._transaction() as db:
                erased = erasure.write(db, received_ms)
            own.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return erased

    def erasures(self) -> Mapping[str, int]:
        """See `EventLog.erasures`."""
        with self._trouble:
            stored = self._reader.execute(_ALL_METADATA, (ERASURE, DELETED)).fetchall()
        return {digest: int(seq) for digest, seq in stored}

    def head(self) -> int:
        """See `EventLog.head`."""
        with self._trouble:
            # Changes when any other connection commits, the own writer among them. Asked
            # before the head, so that a commit in between is seen at the next call.
            version = self._reader.execute("PRAGMA data_version").fetchone()[0]
            if version != self._head_version:
                self._head = self._reader.execute(_HEAD).fetchone()[0]
                self._head_version = version
        return self._head

    def tail(
        self, after_seq: int, *, through_seq: int | None = None, limit: int = 10_000
    ) -> list[LogRow]:
        """See `EventLog.tail`."""
        if limit < 1:
            raise BadInputError(f"limit must be at least 1, got {limit}")
        through = 2**63 - 1 if through_seq is None else through_seq
        return self._rows(_TAIL, (after_seq, through, limit))

    def actor_rows(self, actor: str, through_seq: int) -> list[LogRow]:
        """See `EventLog.actor_rows`."""
        return self._rows(_ACTOR_ROWS, (actor, through_seq))

    def event(self, event_id: str) -> LogRow | None:
        """See `EventLog.event`."""
        rows = self._rows(_EVENT, (event_id,))
        return rows[0] if rows else None

    def catalogue(self) -> CatalogueSnapshot:
        """See `EventLog.catalogue`."""
        with self._trouble:
            self._reader.execute("BEGIN")
            try:
                seq = self._reader.execute(_HEAD).fetchone()[0]
                stored = self._reader.execute(_ALL_METADATA, (ITEM, DELETED)).fetchall()
            finally:
                self._reader.execute("ROLLBACK")
        return CatalogueSnapshot(seq, tuple(item_change(*pair) for pair in stored))

    def item(self, item_id: str) -> ItemChange | None:
        """See `EventLog.item`."""
        with self._trouble:
            return _item(self._reader, item_id)

    def user(self, user_id: str) -> Attributes | None:
        """See `EventLog.user`."""
        with self._trouble:
            stored = _stored(self._reader, USER, user_id)
        return None if stored is None else user_change(user_id, stored).attributes

    def users(self) -> Iterator[UserChange]:
        """See `EventLog.users`; not one moment's view where users change meanwhile."""
        # Pages, not one long read: an unfinished read would freeze what `head` sees.
        page = self._users_after("")
        while page:
            yield from page
            page = self._users_after(page[-1].user_id)

    def close(self) -> None:
        """See `EventLog.close`."""
        with self._append_lock, self._trouble:
            self._reader.close()
            self._writer.close()

    def _rows(self, statement: str, values: tuple[str | int, ...]) -> list[LogRow]:
        with self._trouble:
            stored = self._reader.execute(statement, values)
            # what `LogRow._make` does, without a call in Python for every row
            return list(map(tuple.__new__, repeat(LogRow), stored))

    def _users_after(self, user_id: str) -> list[UserChange]:
        with self._trouble:
            stored = self._reader.execute(_METADATA_PAGE, (USER, user_id, _USERS_PER_PAGE))
            return [user_change(*pair) for pair in stored]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._writer
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after the worst errors
            if db.in_transaction:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            raise


def _appended(db: sqlite3.Connection, rows: Sequence[LogRow]) -> Appended:
    """What becomes of at least one row, inside a transaction."""
    last_seq, duplicates = write(db, rows)
    accepted = len(rows) - len(duplicates)
    first_seq = None if last_seq is None else last_seq - accepted + 1
    return Appended(accepted, tuple(duplicates), first_seq, last_seq)


def _stored(db: sqlite3.Connection, kind: int, name: str) -> str | None:
    stored = db.execute(_METADATA, (kind, name)).fetchone()
    return None if stored is None else str(stored[0])


def _item(db: sqlite3.Connection, item_id: str) -> ItemChange | None:
    stored = _stored(db, ITEM, item_id)
    change = None if stored is None else item_change(item_id, stored)
    return None if change is None or change.attributes is None else change


class _Trouble:
    """Makes SQLite's and the system's errors a LogUnavailableError that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, (sqlite3.Error, OSError)) and not isinstance(error, _BUGS):
            raise LogUnavailableError(f"the event log {self._path} failed: {error}") from error
        if isinstance(error, (UnicodeEncodeError, OverflowError)):
            raise BadInputError(
                f"text must be valid Unicode and whole numbers must fit 64 bits: {error}"
            ) from error
