"""Lists that callers page through: kept for a while, the same for every worker."""

import json
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

KEPT_MS: Final = 600_000
_MOST_LISTS: Final = 2_000
_SWEEP_EVERY: Final = 100
_BUSY_S: Final = 0.05


@dataclass(frozen=True)
class RankedList:
    """A list as it was when its first page was asked for.

    Attributes:
      asked_by: The user or session it was made for; nobody else may page through it.
    """

    asked_by: str | None
    model_version: str
    memory_as_of: int
    fallback: str | None
    item_ids: Sequence[str]
    scores: Sequence[float]
    probabilities: Sequence[float] | None
    sources: Sequence[str]


class PageStore:
    """Lists by request id, in a file that the workers of one machine share.

    It is a convenience: where it cannot be read or written, pages are made anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._puts = 0
        self._db: sqlite3.Connection | None = None
        try:
            self._db = self._opened()
        except (sqlite3.Error, OSError) as error:
            logger.warning("pages cannot be kept", extra={"fields": {"reason": str(error)}})

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        # a list lost with the power is made again
        db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA secure_delete = ON;"
            "CREATE TABLE IF NOT EXISTS lists (request_id TEXT PRIMARY KEY, made_ms INTEGER, "
            "content TEXT) WITHOUT ROWID"
        )
        return db

    def put(self, request_id: str, ranked: RankedList, now_ms: int) -> None:
        """Keeps a list for a while."""
        if self._db is None:
            return
        with suppress(sqlite3.Error):
            content = json.dumps(asdict(ranked))
            self._db.execute(
                "INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", (request_id, now_ms, content)
            )
            if self._puts % _SWEEP_EVERY == 0:
                self._sweep(self._db, now_ms)
            self._puts += 1

    def _sweep(self, db: sqlite3.Connection, now_ms: int) -> None:
        db.execute("DELETE FROM lists WHERE made_ms < ?", (now_ms - KEPT_MS,))
        db.execute(
            "DELETE FROM lists WHERE made_ms < (SELECT made_ms FROM lists ORDER BY made_ms DESC "
            "LIMIT 1 OFFSET ?)",
            (_MOST_LISTS,),
        )

    def get(self, request_id: str, asked_by: str | None, now_ms: int) -> RankedList | None:
        """The list of a request id that was made for the same user, if it is still kept."""
        if self._db is None:
            return None
        with suppress(sqlite3.Error):
            found = self._db.execute(
                "SELECT content FROM lists WHERE request_id = ? AND made_ms >= ?",
                (request_id, now_ms - KEPT_MS),
            ).fetchone()
            ranked = found and RankedList(**json.loads(found[0]))
            return ranked if ranked and ranked.asked_by == asked_by else None
        return None

    def clear(self) -> None:
        """Drops every list: one of them may have been made for somebody who is erased."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.execute("DELETE FROM lists")

    def close(self) -> None:
        """Ends the use of the file."""
        if self._db is not None:
            self._db.close()
