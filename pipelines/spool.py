"""Checked rows waiting on the disk, so that a file of any size is judged before it is written.

SQLite's private temporary database does what is needed: it sorts and finds duplicates
beyond the memory, and the operating system drops it however the process ends.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from model.errors import LogUnavailableError
from model.interactions import Kind
from pipelines.readers.tables import CHUNK_ROWS
from pipelines.records import Record

_CACHE_KIB: Final = 65_536


class Conflict(NamedTuple):
    """A row whose id was used before with other content.

    Attributes:
      key: The id.
      line: Where it stands.
      first_line: Where the id was used first.
    """

    key: str
    line: int
    first_line: int


class Spool:
    """Records by kind, read back in the order of time."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE records (row INTEGER PRIMARY KEY, kind INTEGER, line INTEGER, "
            "key TEXT, at_ms INTEGER, meaning TEXT, text TEXT)"
        )

    def add(self, kind: Kind, records: Iterable[tuple[int, Record]]) -> None:
        """Takes records with the lines they stand on, in the order of the file."""
        rows = ((int(kind), line, *record) for line, record in records)
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO records VALUES (NULL, ?, ?, ?, ?, ?, ?)", rows)
        self._database.execute("COMMIT")

    def settle(self) -> tuple[list[tuple[Kind, Conflict]], dict[Kind, int]]:
        """Keeps the first record of every id; to be called once, after the last `add`.

        Returns:
          Records that were dropped because they contradict the first one of their id, and
          by kind how many were dropped because they repeat it.
        """
        run = self._database.execute
        run("CREATE INDEX by_key ON records (kind, key)")
        later = (
            "FROM (SELECT kind, key, MIN(row) AS row FROM records GROUP BY kind, key "
            "HAVING COUNT(*) > 1) AS twice JOIN records AS first USING (row) "
            "JOIN records AS later ON later.kind = first.kind AND later.key = first.key "
            "AND later.row > first.row"
        )
        run(
            "CREATE TEMP TABLE dropped AS SELECT later.row AS row, later.kind AS kind, "
            "later.key AS key, later.line AS line, first.line AS first_line, "
            f"later.meaning != first.meaning AS differs {later}"
        )
        run("DELETE FROM records WHERE row IN (SELECT row FROM dropped)")
        conflicts = [
            (Kind(kind), Conflict(*rest))
            for kind, *rest in run(
                "SELECT kind, key, line, first_line FROM dropped WHERE differs ORDER BY row"
            )
        ]
        repeats = run("SELECT kind, COUNT(*) FROM dropped WHERE NOT differs GROUP BY kind")
        return conflicts, {Kind(kind): count for kind, count in repeats}

    def drop(self, kind: Kind, keys: Iterable[str]) -> None:
        """Forgets the records with these ids; to be called after `settle`."""
        self._database.executemany(
            "DELETE FROM records WHERE kind = ? AND key = ?", ((int(kind), key) for key in keys)
        )

    def count(self, kind: Kind) -> int:
        """Records of a kind."""
        found = self._database.execute("SELECT COUNT(*) FROM records WHERE kind = ?", (int(kind),))
        return int(found.fetchone()[0])

    def span(self, kind: Kind) -> tuple[int, int]:
        """The first and the last moment of a kind's records, of which there must be one."""
        found = self._database.execute(
            "SELECT MIN(at_ms), MAX(at_ms) FROM records WHERE kind = ?", (int(kind),)
        )
        first, last = found.fetchone()
        return first, last

    def chunks(self, kind: Kind) -> Iterator[list[tuple[int, Record]]]:
        """Lines and records in the order of time, then of the file, `CHUNK_ROWS` at a time."""
        cursor = self._database.execute(
            "SELECT line, key, at_ms, meaning, text FROM records WHERE kind = ? "
            "ORDER BY at_ms, row",
            (int(kind),),
        )
        while rows := cursor.fetchmany(CHUNK_ROWS):
            yield [(line, Record(*record)) for line, *record in rows]

    def close(self) -> None:
        """Gives the disk space back."""
        self._database.close()


@contextmanager
def opened_spool() -> Iterator[Spool]:
    """An empty spool that is gone at the end.

    Raises:
      LogUnavailableError: If there is no room for its records.
    """
    spool = Spool()
    try:
        yield spool
    except sqlite3.OperationalError as error:
        raise LogUnavailableError(
            f"the rows cannot be kept in the folder for temporary files while they are checked: "
            f"{error}"
        ) from error
    finally:
        spool.close()
