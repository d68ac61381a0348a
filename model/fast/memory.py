"""The fast memory: what the log says of users and of the moment, kept current by tailing.

Its state is a function of the log prefix, the slow model's numbering and the
configuration, so every process that has read the same rows remembers the same.
What concerns one user is read from the log when that user is first asked for, and
kept up with the tail from then on; only what concerns everyone is built at start.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from model.fast.config import MemoryConfig
from model.fast.exemplars import UserMemory, retracted_id
from model.fast.popularity import Popularity
from model.fast.trending import Trending
from model.interactions import EventRules, Kind, LogRow, Outcome, actor_of


class FastMemory:
    """Users' episodes and the trending row.

    Attributes:
      trending: What succeeds now beyond what the slow model expects.
      popularity: What succeeds, whatever anybody expects.
      as_of: Last log position that was taken.
    """

    def __init__(
        self,
        config: MemoryConfig,
        rules: EventRules,
        read_actor: Callable[[str, int], Iterable[LogRow]],
        read_event: Callable[[str], LogRow | None],
    ) -> None:
        """An empty memory.

        Args:
          config: Settings.
          rules: What events mean.
          read_actor: All event rows of one actor up to a log position.
          read_event: The row of an event id, for taking a retracted one back.
        """
        self.trending = Trending(config)
        self.popularity = Popularity()
        self.as_of = 0
        self._config = config
        self._rules = rules
        self._read_actor = read_actor
        self._read_event = read_event
        self._users: OrderedDict[str, UserMemory] = OrderedDict()

    def add(self, rows: Sequence[LogRow], number: Callable[[str], int], n_items: int) -> set[str]:
        """Takes the next rows of the log.

        Args:
          rows: In log order; rows that are no events are passed over.
          number: An item id's number, 0 for none.
          n_items: Numbers in use.

        Returns:
          The actors whose memory changed.
        """
        events = [row for row in rows if row.kind == Kind.EVENT]
        self._count(events, number, n_items)
        by_actor: dict[str, list[LogRow]] = {}
        for row in events:
            if (actor := actor_of(row)) is not None:
                by_actor.setdefault(actor, []).append(row)
        for actor in by_actor.keys() & self._users.keys():
            self._users[actor].add(by_actor[actor])
        if rows:
            self.as_of = rows[-1].seq
        return set(by_actor)

    def _count(self, events: Sequence[LogRow], number: Callable[[str], int], n_items: int) -> None:
        """Adds successes to the trending row, and takes retracted ones out of it."""
        counted: list[tuple[LogRow, float]] = []
        for row in events:
            taken_back = retracted_id(row)
            if taken_back is None:
                counted.append((row, 1.0))
            elif (original := self._read_event(taken_back)) is not None:
                counted.append((original, -1.0))
        types = [row.event_type or "" for row, _ in counted]
        values = np.array([np.nan if row.value is None else row.value for row, _ in counted])
        items = np.array([number(row.item_id or "") for row, _ in counted], np.int64)
        kept = (self._rules.outcomes(types, values) == Outcome.SUCCESS) & (items > 0)
        times = np.array([row.timestamp_ms for row, _ in counted], np.int64)
        weights = self._rules.weights(types) * np.array([sign for _, sign in counted])
        self.trending.add(items[kept], times[kept], weights[kept], n_items)
        self.popularity.add(items[kept], times[kept], weights[kept], n_items)

    def drop_users(self) -> None:
        """Lets go of everybody's memory; it is read from the log again when asked for."""
        self._users.clear()

    def nobody(self) -> UserMemory:
        """The memory of one of whom nothing is known."""
        return UserMemory(self._rules)

    def user(self, actor: str) -> UserMemory:
        """What is remembered of a user or session; empty for one that was never heard of."""
        memory = self._users.get(actor)
        if memory is not None:
            self._users.move_to_end(actor)
            return memory
        memory = UserMemory(self._rules)
        memory.add(self._read_actor(actor, self.as_of))
        self._users[actor] = memory
        if len(self._users) > self._config.cached_users:
            self._users.popitem(last=False)
        return memory
