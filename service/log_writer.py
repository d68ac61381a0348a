"""Group commit: one thread writes all batches that wait in one durable transaction."""

import asyncio
import queue
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from model.interactions import Entry
from model.storage.event_log import Appended, EventLog
from service.telemetry import Metrics


class QueueFullError(Exception):
    """More entries wait for the disk than may wait."""


@dataclass(frozen=True, slots=True)
class _Batch:
    entries: Sequence[Entry]
    received_ms: int
    written: "asyncio.Future[Appended]"


class LogWriter:
    """Appends entries to the log, durably, from any number of requests at once.

    Everything but the thread itself belongs to the event loop's thread.
    """

    def __init__(self, log: EventLog, *, limit: int, metrics: Metrics) -> None:
        self._log = log
        self._limit = limit
        self._metrics = metrics
        self._waiting = 0
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="event-writer", daemon=True)
        self._thread.start()

    async def append(self, entries: Sequence[Entry], received_ms: int) -> Appended:
        """Returns when the entries are durable.

        Raises:
          QueueFullError: If too many entries wait already; nothing was written.
          LogUnavailableError: If the log cannot be written; nothing was acknowledged.
        """
        if self._waiting + len(entries) > self._limit:
            raise QueueFullError
        written: asyncio.Future[Appended] = self._loop.create_future()
        self._count_waiting(len(entries))
        self._batches.put(_Batch(entries, received_ms, written))
        return await written

    async def close(self) -> None:
        """Writes what waits and ends the thread."""
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _count_waiting(self, n: int) -> None:
        self._waiting += n
        self._metrics.waiting.set(self._waiting)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            group = [batch]
            last = False
            # What came while the last transaction was written goes into the next one.
            while not self._batches.empty():
                following = self._batches.get()
                if following is None:
                    last = True
                    break
                group.append(following)
            self._commit(group)
            if last:
                return

    def _commit(self, group: list[_Batch]) -> None:
        entries = [entry for batch in group for entry in batch.entries]
        started = time.perf_counter()
        try:
            appended = self._log.append(entries, group[-1].received_ms)
        except Exception as error:  # noqa: BLE001 (each waiting request must hear of it)
            self._loop.call_soon_threadsafe(self._fail, group, error)
            return
        self._metrics.commit_seconds.observe(time.perf_counter() - started)
        self._metrics.commit_events.observe(len(entries))
        shares = _shares([len(batch.entries) for batch in group], appended)
        self._loop.call_soon_threadsafe(self._resolve, group, shares)

    def _resolve(self, group: list[_Batch], shares: list[Appended]) -> None:
        for batch, share in zip(group, shares, strict=True):
            self._count_waiting(-len(batch.entries))
            if not batch.written.done():
                batch.written.set_result(share)

    def _fail(self, group: list[_Batch], error: Exception) -> None:
        for batch in group:
            self._count_waiting(-len(batch.entries))
            if not batch.written.done():
                batch.written.set_exception(error)


def _shares(sizes: Sequence[int], appended: Appended) -> list[Appended]:
    """What each of several batches, written as one, would have been told alone.

    Args:
      sizes: How many entries each batch held.
      appended: The answer for all of them, whose accepted entries follow each other in the log.
    """
    shares = []
    start, next_seq = 0, appended.first_seq or 0
    for size in sizes:
        low = bisect_left(appended.duplicates, start)
        high = bisect_left(appended.duplicates, start + size)
        duplicates = tuple(index - start for index in appended.duplicates[low:high])
        accepted = size - len(duplicates)
        span = (next_seq, next_seq + accepted - 1) if accepted else (None, None)
        shares.append(Appended(accepted, duplicates, *span))
        start, next_seq = start + size, next_seq + accepted
    return shares
