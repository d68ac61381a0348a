"""The fast memory: what the log says of users and of the moment, kept current by tailing.

Its state is a function of the log prefix, the slow model's numbering and the
configuration, so every process that has read the same rows remembers the same.
What concerns one user is read from the log when that user is first asked for, and
kept up with the tail from then on; only what concerns everyone is built at start.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from model.fast.actors import Actors, Limits, Pair, Success, spoken
from model.fast.config import MemoryConfig
from model.fast.crosses import Crosses, context_keys, liked_keys
from model.fast.exemplars import UserMemory, retracted_id
from model.fast.trending import CROSS_HALF_LIVES, Trending
from model.interactions import EventRules, Kind, LogRow, Outcome, actor_of

# Chores that go over everything fall due at fixed places of the log, wherever calls are cut.
_CHORES_EVERY: Final = 1_024


class Items(Protocol):
    """What the memory has to know of the catalogue."""

    def __len__(self) -> int:
        """Numbers in use; number 0 stands for no item."""

    def number(self, item_id: str) -> int:
        """The item's number, 0 for none."""

    @property
    def share(self) -> NDArray[np.float32]:
        """[items] share of successes that the slow model expects."""


Contexts = Callable[[str | None, int], Sequence[int]]
"""The joint numbers of the attributes of the moment, from an event's details and time."""


class FastMemory:
    """Users' episodes, the row `everyone` and fast crosses.

    Attributes:
      trending: What succeeds now beyond what the slow model expects.
      crosses: What succeeds in which row beyond what is expected there.
      as_of: Last log position that was taken.
    """

    def __init__(
        self,
        config: MemoryConfig,
        rules: EventRules,
        read_actor: Callable[[str, int], Iterable[LogRow]],
        read_event: Callable[[str], LogRow | None],
        contexts: Contexts,
    ) -> None:
        """An empty memory.

        Args:
          config: Settings.
          rules: What events mean.
          read_actor: All event rows of one actor up to a log position.
          read_event: The row of an event id, for taking a retracted one back.
          contexts: The attributes of a moment.
        """
        self.trending = Trending(config.trending_prior)
        self.crosses = Crosses(config)
        self.as_of = 0
        self._config = config
        self._rules = rules
        self._read_actor = read_actor
        self._read_event = read_event
        self._contexts = contexts
        self._limits = Limits(per_day=config.per_day)
        self._actors = Actors(self._limits)
        self._retracted: set[str] = set()
        self._users: OrderedDict[str, UserMemory] = OrderedDict()

    def add(self, rows: Sequence[LogRow], items: Items) -> set[str]:
        """Takes the next rows of the log.

        Args:
          rows: In log order; rows that are no events are passed over.
          items: The catalogue, with all the items that the rows name.

        Returns:
          The actors whose memory changed.
        """
        changed: set[str] = set()
        for period, chunk in groupby(rows, lambda row: row.seq // _CHORES_EVERY):
            if period > self.as_of // _CHORES_EVERY:
                self._chores(period, items)
            part = list(chunk)
            changed |= self._take([row for row in part if row.kind == Kind.EVENT], items)
            self.as_of = part[-1].seq
        return changed

    def _take(self, events: Sequence[LogRow], items: Items) -> set[str]:
        if not events:
            return set()
        self._count(events, items)
        by_actor: dict[str, list[LogRow]] = {}
        for row in events:
            if (actor := actor_of(row)) is not None:
                by_actor.setdefault(actor, []).append(row)
        for actor in by_actor.keys() & self._users.keys():
            self._users[actor].add(by_actor[actor])
        return set(by_actor)

    def _chores(self, period: int, items: Items) -> None:
        self._actors.forget_quiet()
        shares = self.trending.levels(items.share, 0)[1]
        present = np.array([shares[place] for place in CROSS_HALF_LIVES])
        self.crosses.gate(period, lambda which: present[:, which])

    def _count(self, events: Sequence[LogRow], items: Items) -> None:
        """Adds successes to what everyone shares, and takes retracted ones out of it."""
        tally = _Tally()
        for row, success in zip(events, self._successes(events, items), strict=True):
            taken_back = retracted_id(row)
            if taken_back is not None:
                self._take_back(taken_back, row, tally, items)
            elif success is not None and row.event_id not in self._retracted:
                actor = actor_of(row)
                if actor is not None:
                    told = self._actors.take(actor, success)
                    if told.counts:
                        slots = self._contexts(row.details, row.timestamp_ms)
                        tally.add(success, slots, told.sources)
                        tally.add_pairs(told.changes)
        tally.hand_over(self.trending, self.crosses, len(items))

    def _successes(self, events: Sequence[LogRow], items: Items) -> list[Success | None]:
        """For each event the success that it is, None for one that is none."""
        types = [row.event_type or "" for row in events]
        values = np.array([np.nan if row.value is None else row.value for row in events])
        succeeded = (self._rules.outcomes(types, values) == Outcome.SUCCESS).tolist()
        weights = self._rules.weights(types).tolist()
        return [
            Success(row.timestamp_ms, number, min(weight, 1.0))
            if succeeded_ and row.item_id is not None and (number := items.number(row.item_id))
            else None
            for row, succeeded_, weight in zip(events, succeeded, weights, strict=True)
        ]

    def _take_back(self, event_id: str, row: LogRow, tally: "_Tally", items: Items) -> None:
        """Makes the shared rows as if an event had never been; it may also come later."""
        if event_id in self._retracted:
            return
        self._retracted.add(event_id)
        original = self._read_event(event_id)
        if original is None or original.seq >= row.seq:
            return
        actor = actor_of(original)
        if actor is None:
            return
        rows = [r for r in self._read_actor(actor, row.seq - 1) if retracted_id(r) is None]
        found = zip(rows, self._successes(rows, items), strict=True)
        gone = self._retracted - {event_id}
        said = [(r, s) for r, s in found if s is not None and r.event_id not in gone]
        left = [(r, s) for r, s in said if r.event_id != event_id]
        self._tell_apart(said, left, tally)
        self._actors.replace(actor, [success for _, success in left])

    def _tell_apart(
        self,
        said: list[tuple[LogRow, Success]],
        left: list[tuple[LogRow, Success]],
        tally: "_Tally",
    ) -> None:
        """Takes back what an actor had said and would not have said with what is left."""
        counts, pairs = spoken([success for _, success in said], self._limits)
        counts_left, pairs_left = spoken([success for _, success in left], self._limits)
        pairs_left.subtract(pairs)
        tally.add_pairs([(pair, n) for pair, n in pairs_left.items() if n])
        signs = {row.seq: -int(counted) for (row, _), counted in zip(said, counts, strict=True)}
        for (row, _), counted in zip(left, counts_left, strict=True):
            signs[row.seq] += int(counted)
        for row, success in said:
            if sign := signs[row.seq]:
                slots = self._contexts(row.details, row.timestamp_ms)
                tally.add(success._replace(weight=sign * success.weight), slots)

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


@dataclass
class _Tally:
    """What a batch of events adds to what everyone shares, in the order of the log."""

    successes: list[Success] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    def add(self, success: Success, slots: Sequence[int], sources: Sequence[int] = ()) -> None:
        """Counts a success in the row `everyone`, the moment's rows and those of its sources."""
        timestamp_ms, item, weight = success
        self.successes.append(success)
        self.keys += context_keys(slots, item)
        self.keys += liked_keys(sources, item)
        self._add(len(slots) + len(sources), timestamp_ms, weight)

    def add_pairs(self, pairs: Sequence[tuple[Pair, int]]) -> None:
        """Counts pairs as often as is said with them."""
        for (source, target, timestamp_ms, weight), times in pairs:
            self.keys += liked_keys([source], target)
            self._add(1, timestamp_ms, times * weight)

    def _add(self, n_cells: int, timestamp_ms: int, weight: float) -> None:
        self.lengths.append(n_cells)
        self.times.append(timestamp_ms)
        self.weights.append(weight)

    def hand_over(self, trending: Trending, crosses: Crosses, n_items: int) -> None:
        """Adds it all."""
        times, items, weights = zip(*self.successes, strict=True) if self.successes else ((),) * 3
        trending.add(
            np.array(items, np.int64),
            np.array(times, np.int64),
            np.array(weights, np.float64),
            n_items,
        )
        lengths = np.array(self.lengths, np.int64)
        crosses.add(
            self.keys,
            np.repeat(np.array(self.times, np.int64), lengths),
            np.repeat(np.array(self.weights, np.float64), lengths),
        )
