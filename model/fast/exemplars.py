"""What is remembered of one user: the events themselves, kept concretely.

The memory is a pure function of the user's log rows. Order is by event time, then
log position, so a late event ends where it belongs, and a retracted one is as if it
had never been.
"""

import json
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

from model.interactions import EXCLUDING_TYPES, EventRules, LogRow, Outcome


class Episode(NamedTuple):
    """One remembered event; tuples sort by time, then log position.

    Attributes:
      labelled: Whether it says anything of success or failure.
      weight: How much it counts.
      details: What the log holds beside, as JSON text.
    """

    timestamp_ms: int
    seq: int
    item_id: str
    outcome: Outcome
    event_id: str
    event_type: str
    labelled: bool
    weight: float
    details: str | None


class UserMemory:
    """The episodes of one user, oldest first.

    Attributes:
      episodes: All of them.
      successes: Those that are successes.
      failures: Those that are failures.
      revision: Rises when more happened than a new newest episode.
    """

    def __init__(self, rules: EventRules) -> None:
        self._rules = rules
        self._retracted: set[str] = set()
        self.episodes: list[Episode] = []
        self.successes: list[Episode] = []
        self.failures: list[Episode] = []
        self.revision = 0

    def add(self, rows: Iterable[LogRow]) -> None:
        """Takes further log rows of this user, in log order; rows without an item are passed over.

        A retraction may come before the event it takes back.
        """
        for row in rows:
            taken_back = retracted_id(row)
            if taken_back is not None:
                self._take_back(taken_back)
            elif row.item_id is not None and row.event_id not in self._retracted:
                self._insert(self._episode(row, row.item_id))

    def _insert(self, episode: Episode) -> None:
        newest = not self.episodes or episode > self.episodes[-1]
        if not newest:
            self.revision += 1
        for kept in self._lists(episode.outcome):
            if newest:
                kept.append(episode)
            else:
                insort(kept, episode)

    def _take_back(self, event_id: str) -> None:
        self._retracted.add(event_id)
        for episode in [e for e in self.episodes if e.event_id == event_id]:
            self.revision += 1
            for kept in self._lists(episode.outcome):
                del kept[bisect_left(kept, episode)]

    def _lists(self, outcome: Outcome) -> list[list[Episode]]:
        if outcome is Outcome.SUCCESS:
            return [self.episodes, self.successes]
        return [self.episodes, self.failures] if outcome is Outcome.FAILURE else [self.episodes]

    def _episode(self, row: LogRow, item_id: str) -> Episode:
        event_type = row.event_type or ""
        # the rules may have lost a type since the event was taken; it then says nothing
        rule = self._rules.rules.get(event_type)
        outcome, rated = Outcome.NEUTRAL if rule is None else rule.outcome, False
        if rule is not None and rule.by_value:
            outcome = self._rules.outcome(event_type, row.value)
            rated = row.value is not None
        return Episode(
            row.timestamp_ms,
            row.seq,
            item_id,
            outcome,
            row.event_id or "",
            event_type,
            labelled=rated or outcome is not Outcome.NEUTRAL,
            weight=0.0 if rule is None else rule.weight,
            details=row.details,
        )

    def newest(self, outcome: Outcome, limit: int) -> list[Episode]:
        """The most recent successes or failures, newest first."""
        kept = self.successes if outcome is Outcome.SUCCESS else self.failures
        return kept[: -limit - 1 : -1]

    def before(self, episode: Episode, limit: int) -> tuple[list[Episode], list[Episode]]:
        """The most recent successes and failures that come before an episode, newest first."""
        ends = [bisect_left(kept, episode) for kept in (self.successes, self.failures)]
        return (
            self.successes[max(ends[0] - limit, 0) : ends[0]][::-1],
            self.failures[max(ends[1] - limit, 0) : ends[1]][::-1],
        )

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
