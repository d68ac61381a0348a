"""The event log of a stream, shown up to a moment and no further."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from model.errors import BadInputError
from model.interactions import Entry, Event, ItemChange, UserChange
from model.storage.event_log import CatalogueSnapshot, EventLog, open_log
from model.storage.log_up_to import LogUpTo
from pipelines.evaluation.stream import Stream

_CHUNK: Final = 20_000


def write_log(stream: Stream, path: Path) -> None:
    """Writes a stream as an event log: metadata first, then the events in their order.

    The file appears whole or not at all.
    """
    if path.exists():
        return
    unfinished = path.with_suffix(".unfinished")
    for suffix in ("", "-wal", "-shm"):
        unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)
    write_rows(stream, len(stream), unfinished)
    unfinished.rename(path)


def write_rows(stream: Stream, stop: int, path: Path) -> None:
    """Writes the first rows of a stream as an event log that more can be appended to."""
    log = open_log(path)
    try:
        start_ms = int(stream.events.timestamp_ms[0])
        log.append(metadata_of(stream), start_ms)
        for start in range(0, stop, _CHUNK):
            log.append(events_between(stream, start, min(start + _CHUNK, stop)), start_ms)
    finally:
        log.close()  # the last connection folds the write-ahead log into the file


def metadata_of(stream: Stream) -> list[Entry]:
    """What is known from the start of items and of users."""
    described = [ItemChange(item, found) for item, found in stream.item_attributes.items()]
    users = [UserChange(user, found) for user, found in stream.user_attributes.items()]
    return [*described, *users]


def events_between(stream: Stream, start: int, stop: int) -> list[Event]:
    """The rows from `start` to before `stop` as events."""
    events = stream.events.take(slice(start, stop))
    columns = zip(
        events.actor.tolist(),
        events.item.tolist(),
        events.kind.tolist(),
        events.value.tolist(),
        events.timestamp_ms.tolist(),
        _contexts(stream, start, stop),
        strict=True,
    )
    return [
        Event(
            event_id=f"e{row}",
            event_type=stream.kinds[kind],
            timestamp_ms=timestamp_ms,
            user_id=None if stream.sessions else stream.actors[actor],
            session_id=stream.actors[actor] if stream.sessions else None,
            item_id=stream.items[item],
            value=None if value != value else value,  # NaN
            properties=context,
        )
        for row, (actor, item, kind, value, timestamp_ms, context) in enumerate(columns, start)
    ]


def _contexts(stream: Stream, start: int, stop: int) -> Iterator[dict[str, str]]:
    columns = {name: column[start:stop] for name, column in stream.events.context.items()}
    for place in range(stop - start):
        yield {name: stream.terms[name][column[place]] for name, column in columns.items()}


class SealedLog(LogUpTo):
    """The log of a stream that ends at a moment; what comes later cannot be read through it.

    Attributes:
      n_events: Events that can be seen.
    """

    def __init__(self, log: EventLog, stream: Stream) -> None:
        """Takes `log` over, sealed before its first event.

        Raises:
          BadInputError: If the log was not made by `write_log` of this stream.
        """
        self._before = log.head() - len(stream)
        if self._before != len(stream.item_attributes) + len(stream.user_attributes):
            raise BadInputError(
                f"expected the log of {stream.name} with {len(stream):,} events and the metadata "
                f"before them, got a log of {log.head():,} rows; remove it to have it made again"
            )
        super().__init__(log, self._before)
        self.n_events = 0

    def show(self, n_events: int) -> None:
        """Moves the end: the first `n_events` can be seen from now on."""
        self.n_events = n_events
        self.end = self._before + n_events

    def append(self, entries: Sequence[Entry], received_ms: int) -> NoReturn:
        """Refused: the stream is written."""
        raise BadInputError(
            f"a sealed log takes no entries, got {len(entries)} received at {received_ms}"
        )

    def catalogue(self) -> CatalogueSnapshot:
        """See `EventLog.catalogue`; only items that are described, which all are from the start."""
        items = tuple(item for item in self._log.catalogue().items if item.attributes)
        return CatalogueSnapshot(self.end, items)

    def users(self) -> Iterator[UserChange]:
        """See `EventLog.users`; users are described from the start."""
        return self._log.users()

    def close(self) -> None:
        """Closes the log below."""
        self._log.close()
