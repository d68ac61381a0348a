"""A log as it was: what came later cannot be read through it."""

from model.interactions import Attributes, Kind, LogRow
from model.storage.event_log import LogReader


class LogUpTo:
    """A log that ends at a position, and whose old events stay out of what everyone shares.

    Attributes:
      end: The last position that can be seen.
    """

    def __init__(self, log: LogReader, end: int = 0, *, events_after: int = 0) -> None:
        """The log of another one.

        Args:
          log: The other one.
          end: The last position that can be seen.
          events_after: Only events behind this position are in the tail; metadata always are.
        """
        self._log = log
        self._events_after = events_after
        self.end = end

    def head(self) -> int:
        """See `LogReader.head`."""
        return self.end

    def tail(
        self, after_seq: int, *, through_seq: int | None = None, limit: int = 10_000
    ) -> list[LogRow]:
        """See `LogReader.tail`."""
        through = self.end if through_seq is None else min(self.end, through_seq)
        while rows := self._log.tail(after_seq, through_seq=through, limit=limit):
            after_seq = rows[-1].seq
            old = self._events_after
            if shown := [row for row in rows if row.seq > old or row.kind != Kind.EVENT]:
                return shown
        return []

    def actor_rows(self, actor: str, through_seq: int) -> list[LogRow]:
        """See `LogReader.actor_rows`."""
        return self._log.actor_rows(actor, min(self.end, through_seq))

    def event(self, event_id: str) -> LogRow | None:
        """See `LogReader.event`."""
        row = self._log.event(event_id)
        return row if row is not None and row.seq <= self.end else None

    def user(self, user_id: str) -> Attributes | None:
        """See `LogReader.user`: as it is now."""
        return self._log.user(user_id)
