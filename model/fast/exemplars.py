"""What is remembered of one user: the events themselves, kept concretely.

The memory is a pure function of the user's log rows. Order is by event time, then
log position, so a late event ends where it belongs, and a retracted one is as if it
had never been.
"""

import bisect
import json
from collections.abc import Iterable
from typing import NamedTuple

from model.interactions import EXCLUDING_TYPES, EventRules, LogRow, Outcome


class Episode(NamedTuple):
    """One remembered event; tuples sort by time, then log position."""

    timestamp_ms: int
    seq: int
    item_id: str
    outcome: Outcome
    event_id: str
    event_type: str


class UserMemory:
    """The episodes of one user, oldest first."""

    def __init__(self, rules: EventRules) -> None:
        self._rules = rules
        self._retracted: set[str] = set()
        self.episodes: list[Episode] = []

    def add(self, rows: Iterable[LogRow]) -> None:
        """Takes further log rows of this user, in log order; rows without an item are passed over.

        A retraction may come before the event it takes back.
        """
        for row in rows:
            taken_back = retracted_id(row)
            if taken_back is not None:
                self._retracted.add(taken_back)
                self.episodes = [e for e in self.episodes if e.event_id != taken_back]
            elif row.item_id is not None and row.event_id not in self._retracted:
                bisect.insort(self.episodes, self._episode(row, row.item_id))

    def _episode(self, row: LogRow, item_id: str) -> Episode:
        event_type = row.event_type or ""
        # the rules may have lost a type since the event was taken; it then says nothing
        known = event_type in self._rules.rules
        outcome = self._rules.outcome(event_type, row.value) if known else Outcome.NEUTRAL
        return Episode(row.timestamp_ms, row.seq, item_id, outcome, row.event_id or "", event_type)

    def newest(self, outcome: Outcome, limit: int) -> list[Episode]:
        """The most recent episodes with this outcome, newest first."""
        found = [e for e in reversed(self.episodes) if e.outcome is outcome]
        return found[:limit]

    def seen(self) -> set[str]:
        """Items the user has come across, whatever the outcome."""
        return {episode.item_id for episode in self.episodes}

    def refused(self) -> set[str]:
        """Items the user said never to show again, unless a later success took it back."""
        latest: dict[str, bool] = {}
        for episode in self.episodes:
            if episode.event_type in EXCLUDING_TYPES:
                latest[episode.item_id] = True
            elif episode.outcome is Outcome.SUCCESS:
                latest[episode.item_id] = False
        return {item for item, refused in latest.items() if refused}


def retracted_id(row: LogRow) -> str | None:
    """The id of the event that this row takes back, or None when it is no retraction."""
    # the substring test spares the parser: nearly every row has nothing to take back
    if row.details is None or '"retracts"' not in row.details:
        return None
    taken_back = json.loads(row.details).get("retracts")
    return taken_back if isinstance(taken_back, str) else None
