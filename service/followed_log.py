"""A recommender's own connection to the log, which notes what passes through it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from model.interactions import Kind, LogRow
from model.storage.event_log import SqliteEventLog
from service.telemetry import Metrics

_BUSY_TIMEOUT_MS: Final = 10_000
# Rows that a memory takes in within some milliseconds.
_FEW_ROWS: Final = 200


class FollowedLog(SqliteEventLog):
    """The log as a recommender tails it.

    Attributes:
      saw_erasure: Whether a user was erased since it was opened: what a memory was built of
        before is to be built again.
    """

    def __init__(self, path: Path, metrics: Metrics) -> None:
        super().__init__(path, busy_timeout_ms=_BUSY_TIMEOUT_MS)
        self.saw_erasure = False
        self._is_still = False
        self._share = 1.0
        self._handed_s = 0.0
        self._metrics = metrics
        self._opened_through = self.head()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Nothing new seems to be there: for answers from memory while it cannot be read."""
        self._is_still = True
        try:
            yield
        finally:
            self._is_still = False

    @contextmanager
    def read_in_passing(self, share: float) -> Iterator[None]:
        """Hands out few rows at a time, with pauses for whoever else needs the interpreter.

        Args:
          share: Of the time, what the reader may spend on the rows it is given.
        """
        self._share, self._handed_s = share, time.perf_counter()
        try:
            yield
        finally:
            self._share = 1.0

    def head(self) -> int:
        """See `EventLog.head`."""
        return 0 if self._is_still else super().head()

    def tail(
        self, after_seq: int, *, through_seq: int | None = None, limit: int = 10_000
    ) -> list[LogRow]:
        """See `EventLog.tail`."""
        if self._share < 1.0:
            limit = min(limit, _FEW_ROWS)
            time.sleep((time.perf_counter() - self._handed_s) * (1.0 / self._share - 1.0))
        rows = super().tail(after_seq, through_seq=through_seq, limit=limit)
        self._handed_s = time.perf_counter()
        if rows and rows[-1].seq > self._opened_through:
            fresh = [row for row in rows if row.seq > self._opened_through]
            self.saw_erasure |= any(row.kind == Kind.ERASURE for row in fresh)
            now_ms = time.time_ns() // 1_000_000
            # entries that were committed together take effect together
            for received_ms in {row.received_ms for row in fresh}:
                self._metrics.effect_seconds.observe(max(now_ms - received_ms, 0) / 1_000)
        return rows
