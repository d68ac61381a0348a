"""The SQLite file that holds an event log: its tables, how it is made and how it is opened."""

import sqlite3
from pathlib import Path
from typing import Final

from model.errors import LogUnavailableError
from model.files import sync_folder
from model.storage.locks import flocked

FORMAT: Final = 1

# `model.interactions.actor_of` in SQL; a query must spell it the same way to use the index.
ACTOR: Final = "coalesce(user_id, char(31) || session_id)"

_APPLICATION_ID: Final = 0x534C4F57  # "SLOW"

# AUTOINCREMENT: a seq is never used twice, even after the last row was erased.
# The index by actor needs no seq column: every SQLite index ends with the row's number.
_SCHEMA: Final = f"""
CREATE TABLE log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    event_id TEXT UNIQUE,
    event_type TEXT,
    user_id TEXT,
    item_id TEXT,
    value REAL,
    timestamp_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    session_id TEXT,
    details TEXT
) STRICT;
CREATE INDEX log_by_actor ON log ({ACTOR}) WHERE kind = 0;
CREATE TABLE metadata (
    kind INTEGER NOT NULL,
    id TEXT NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""

# A longer write-ahead log than SQLite's 1,000 pages: fewer pauses to copy it back.
# What is erased must not stay readable in the file's free pages.
_SETTINGS: Final = """
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA wal_autocheckpoint = 4000;
PRAGMA journal_size_limit = 67108864;
"""


def create(path: Path) -> None:
    """Makes an empty log, with its folder, unless the file is there already.

    The file appears complete or not at all, also where several processes try at once.

    Raises:
      OSError: If the folder or the file cannot be written.
      sqlite3.Error: If SQLite cannot write the file.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with flocked(path.parent, wait=True):
        if path.exists():
            return
        staged = path.with_name(f"{path.name}.new")
        for leftover in ("", "-journal", "-wal", "-shm"):
            staged.with_name(staged.name + leftover).unlink(missing_ok=True)
        db = sqlite3.connect(staged, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        finally:
            db.close()
        staged.rename(path)
        sync_folder(path.parent)


def connect(path: Path, *, busy_timeout_ms: int) -> sqlite3.Connection:
    """A connection in autocommit mode to an existing log, for use by any one thread at a time.

    Raises:
      LogUnavailableError: If the file is not a Slowwave event log or of another format version.
      sqlite3.Error: If SQLite cannot open the file.
    """
    # mode=rw: SQLite must never make an empty database where the log has gone.
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_timeout_ms / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        _check_format(db, path)
        db.executescript(_SETTINGS)
    except BaseException:
        db.close()
        raise
    return db


def _check_format(db: sqlite3.Connection, path: Path) -> None:
    application_id = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if application_id != _APPLICATION_ID:
        raise LogUnavailableError(
            f"{path} is not a Slowwave event log: its application id is {application_id}, "
            f"expected {_APPLICATION_ID}"
        )
    if version != FORMAT:
        raise LogUnavailableError(
            f"{path} is an event log of format version {version}; "
            f"this version of Slowwave reads format version {FORMAT}"
        )
    # A log that was restored from a backup may have lost its mode.
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise LogUnavailableError(
            f"{path} lies on a file system without SQLite's write-ahead log (mode is {mode!r})"
        )
