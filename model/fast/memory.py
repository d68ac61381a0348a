"""The fast memory: what the log says of users and of the moment, kept current by tailing.

Its state is a function of the log prefix, the slow model's numbering and the
configuration, so every process that has read the same rows remembers the same.
What concerns one user is read from the log when that user is first asked for, and
kept up with the tail from then on; only what concerns everyone is built at start.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.fast.actors import Actors, Limits, Success, spoken
from model.fast.arrays import Arrays, from_lists, from_texts, part, to_lists, to_texts, under
from model.fast.config import MemoryConfig
from model.fast.crosses import Crosses
from model.fast.exemplars import UserMemory, retracted_id
from model.fast.lessons import Judged, Lessons
from model.fast.popularity import Popularity
from model.fast.tally import Tally
from model.fast.trending import CROSS_HALF_LIVES, Trending
from model.interactions import EventRules, Kind, LogRow, Outcome, actor_of

# Chores that go over everything fall due at fixed places of the log, wherever calls are cut.
_CHORES_EVERY: Final = 1_024


# What one actor may say in lessons within a day.
_JUDGES: Final = Limits(per_day=20, sources=0)


class Items(Protocol):
    """What the memory has to know of the catalogue."""

    def __len__(self) -> int:
        """Numbers in use; number 0 stands for no item."""

    def number(self, item_id: str) -> int:
        """The item's number, 0 for none."""

    @property
    def share(self) -> NDArray[np.float32]:
        """[items] share of successes that the slow model expects."""


class Reading(Protocol):
    """Events in the slow model's numbers."""

    def context(self, details: str | None, timestamp_ms: int) -> Sequence[int]:
        """Joint numbers of the attributes of an event's moment."""

    def segments(self, details: str | None) -> tuple[int, ...]:
        """Joint numbers of a user's attributes, from the details of the row that tells them."""

    def attributes(self, item: int) -> Sequence[int]:
        """Joint numbers of an item's attributes."""

    def chance(self, segment: int, item: int) -> float:
        """The slow model's chance that an item succeeds in a segment."""


class _Held(Protocol):
    """A part of the state."""

    def state(self) -> Arrays:
        """As arrays."""

    def restore(self, arrays: Arrays) -> None:
        """From them."""


class Size(NamedTuple):
    """How much is remembered.

    Attributes:
      crosses: Fast crosses.
      lessons: Slots that lessons are counted in.
      actors: Users and sessions whose words are followed.
      successes: What they have said.
    """

    crosses: int
    lessons: int
    actors: int
    successes: int


class FastMemory:
    """Users' episodes, the row `everyone`, fast crosses and lessons.

    Attributes:
      trending: What succeeds now beyond what the slow model expects.
      popularity: What succeeds, whatever anybody expects.
      crosses: What succeeds in which row beyond what is expected there.
      lessons: What fails or works with whom beyond what the slow model expects.
      as_of: Last log position that was taken.
    """

    def __init__(
        self,
        config: MemoryConfig,
        rules: EventRules,
        read_actor: Callable[[str, int], Iterable[LogRow]],
        read_event: Callable[[str], LogRow | None],
        reading: Reading,
    ) -> None:
        """An empty memory.

        Args:
          config: Settings.
          rules: What events mean.
          read_actor: All event rows of one actor up to a log position.
          read_event: The row of an event id, for taking a retracted one back.
          reading: Events in the slow model's numbers.
        """
        self._config = config
        self._rules = rules
        self._read_actor = read_actor
        self._read_event = read_event
        self._reading = reading
        self._limits = Limits(per_day=config.per_day)
        self.clear()

    def clear(self) -> None:
        """Forgets everything; the log is to be read from its beginning again."""
        self.trending = Trending(self._config.trending_prior)
        self.popularity = Popularity()
        self.crosses = Crosses(self._config)
        self.lessons = Lessons()
        self.as_of = 0
        self._actors = Actors(self._limits)
        self._judges = Actors(_JUDGES)
        self._segments: dict[str, tuple[int, ...]] = {}
        self._retracted: set[str] = set()
        self._users: OrderedDict[str, UserMemory] = OrderedDict()

    def state(self) -> Arrays:
        """What `restore` takes; users' own memories are read from the log again."""
        return {
            "as_of": np.array([self.as_of]),
            **under("described", from_texts(self._segments)),
            **under("segments", from_lists(self._segments.values(), np.int64)),
            **under("retracted", from_texts(sorted(self._retracted))),
            **{
                name: array
                for each, held in self._parts().items()
                for name, array in under(each, held.state()).items()
            },
        }

    def restore(self, arrays: Arrays) -> None:
        """Goes on from a state of the same slow model, rules and settings."""
        self.clear()
        for name, held in self._parts().items():
            held.restore(part(name, arrays))
        described = to_texts(part("described", arrays))
        segments = to_lists(part("segments", arrays))
        self._segments = dict(zip(described, map(tuple, segments), strict=True))
        self._retracted = set(to_texts(part("retracted", arrays)))
        self.as_of = int(arrays["as_of"][0])

    def _parts(self) -> Mapping[str, _Held]:
        return {
            "trending": self.trending,
            "popularity": self.popularity,
            "crosses": self.crosses,
            "lessons": self.lessons.slots,
            "actors": self._actors,
            "judges": self._judges,
        }

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
            for kind, alike in groupby(chunk, lambda row: row.kind):
                same = list(alike)
                if kind == Kind.EVENT:
                    changed |= self._take(same, items)
                elif kind == Kind.USER:
                    self._describe(same)
                self.as_of = same[-1].seq
        return changed

    def _describe(self, rows: Sequence[LogRow]) -> None:
        for row in rows:
            segments = self._reading.segments(row.details)
            if row.user_id is not None and (segments or row.user_id in self._segments):
                self._segments[row.user_id] = segments

    def _take(self, events: Sequence[LogRow], items: Items) -> set[str]:
        self._count(events, items)
        by_actor: dict[str, list[LogRow]] = {}
        for row in events:
            if (actor := actor_of(row)) is not None:
                by_actor.setdefault(actor, []).append(row)
        for actor in by_actor.keys() & self._users.keys():
            self._users[actor].add(by_actor[actor])
        return set(by_actor)

    def _chores(self, period: int, items: Items) -> None:
        self._actors.forget_quiet(self._config.followed_users)
        self._judges.forget_quiet(self._config.followed_users)
        self.lessons.settle()
        shares = self.trending.levels(items.share, 0)[1]
        present = np.array([shares[place] for place in CROSS_HALF_LIVES])
        self.crosses.gate(period, lambda which: present[:, which])

    def _count(self, events: Sequence[LogRow], items: Items) -> None:
        """Adds events to what everyone shares, and takes retracted ones out of it."""
        tally = Tally()
        for row, said in zip(events, self._said(events, items), strict=True):
            taken_back = retracted_id(row)
            if taken_back is not None:
                self._take_back(taken_back, row, tally, items)
            elif said is not None and row.event_id not in self._retracted:
                self._say(row, said, tally)
        tally.hand_over(self.trending, self.popularity, self.crosses, len(items))
        self.lessons.add(tally.judged)

    def _said(self, events: Sequence[LogRow], items: Items) -> list["_Said | None"]:
        """What each event says, None for one that says nothing of success or failure."""
        types = [row.event_type or "" for row in events]
        values = np.array([np.nan if row.value is None else row.value for row in events])
        outcomes = self._rules.outcomes(types, values).tolist()
        weights = self._rules.weights(types).tolist()
        rated = {name for name, rule in self._rules.rules.items() if rule.by_value}
        return [
            # a purchase is one actor's word as much as a click is
            _Said(Success(row.timestamp_ms, number, min(weight, 1.0)), outcome == Outcome.SUCCESS)
            if (outcome or (row.event_type in rated and row.value is not None))
            and row.item_id is not None
            and (number := items.number(row.item_id))
            else None
            for row, outcome, weight in zip(events, outcomes, weights, strict=True)
        ]

    def _say(self, row: LogRow, said: "_Said", tally: "Tally") -> None:
        actor = actor_of(row)
        if actor is None:
            return
        if said.succeeded:
            told = self._actors.take(actor, said.event)
            if told.counts:
                slots = self._reading.context(row.details, row.timestamp_ms)
                tally.add(said.event, slots)
                tally.add_sources(said.event, told.sources, self._limits.nearness)
                tally.add_pairs(told.changes)
        if actor in self._segments and self._judges.take(actor, said.event).counts:
            self._judge(actor, said, 1, tally)

    def _judge(self, actor: str, said: "_Said", sign: int, tally: "Tally") -> None:
        """Counts an outcome in the slots of the actor's segments, as they are now."""
        segments, (at_ms, item, _) = self._segments.get(actor, ()), said.event
        attributes = self._reading.attributes(item)
        if segments and attributes:
            chances = [self._reading.chance(segment, item) for segment in segments]
            judged = Judged(at_ms, segments, attributes, float(said.succeeded), chances)
            tally.judged.append((judged, sign))

    def _take_back(self, event_id: str, row: LogRow, tally: "Tally", items: Items) -> None:
        """Makes the shared rows as if an event had never been; it may also come later."""
        if event_id in self._retracted:
            return
        self._retracted.add(event_id)
        original = self._read_event(event_id)
        actor = None if original is None else actor_of(original)
        if original is None or actor is None or original.seq >= row.seq:
            return
        rows = [r for r in self._read_actor(actor, row.seq - 1) if retracted_id(r) is None]
        gone = self._retracted - {event_id}
        found = zip(rows, self._said(rows, items), strict=True)
        said = [(r, s) for r, s in found if s is not None and r.event_id not in gone]
        left = [(r, s) for r, s in said if r.event_id != event_id]
        self._take_back_successes(actor, said, left, tally)
        if actor in self._segments:
            for which, sign in _differences(said, left, _JUDGES):
                self._judge(actor, which[1], sign, tally)
            self._judges.replace(actor, [s.event for _, s in left])

    def _take_back_successes(
        self, actor: str, said: "_Told", left: "_Told", tally: "Tally"
    ) -> None:
        said, left = ([pair for pair in each if pair[1].succeeded] for each in (said, left))
        for (row, (success, _)), sign in _differences(said, left, self._limits):
            slots = self._reading.context(row.details, row.timestamp_ms)
            tally.add(success._replace(weight=sign * success.weight), slots)
        _, pairs = spoken([s.event for _, s in said], self._limits)
        _, pairs_left = spoken([s.event for _, s in left], self._limits)
        pairs_left.subtract(pairs)
        tally.add_pairs([(pair, n) for pair, n in pairs_left.items() if n])
        self._actors.replace(actor, [s.event for _, s in left])

    @property
    def size(self) -> Size:
        """How much is remembered of what concerns everyone."""
        actors = self._actors
        return Size(len(self.crosses), len(self.lessons), len(actors), actors.n_successes)

    @property
    def n_bytes(self) -> int:
        """Bytes that what everyone shares takes."""
        parts = (self.trending, self.popularity, self.crosses, self.lessons)
        return sum(part.n_bytes for part in parts)

    def told(self, row: LogRow, items: Items) -> tuple[Sequence[int], Sequence[int]] | None:
        """What an event has told others: its sources and its moment's attributes.

        None where it did not count: it is no success, or its actor had said enough.
        """
        actor = actor_of(row)
        if actor is None or row.event_id in self._retracted:
            return None
        rows = [r for r in self._read_actor(actor, row.seq) if r.event_id not in self._retracted]
        said = [(r, s) for r, s in zip(rows, self._said(rows, items), strict=True) if s is not None]
        said = [(r, s) for r, s in said if s.succeeded and retracted_id(r) is None]
        if not said or said[-1][0].seq != row.seq:
            return None
        counts, pairs = spoken([s.event for _, s in said], self._limits)
        if not counts[-1]:
            return None
        at_ms, item, _ = said[-1][1].event
        mine = [p for p, n in pairs.items() if n and p.timestamp_ms == at_ms and item in p[:2]]
        sources = [p.target if p.source == item else p.source for p in mine]
        return sources, self._reading.context(row.details, row.timestamp_ms)

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


class _Said(NamedTuple):
    """What an event says to others."""

    event: Success
    succeeded: bool


_Told: TypeAlias = list[tuple[LogRow, _Said]]


def _differences(
    said: _Told, left: _Told, limits: Limits
) -> Iterator[tuple[tuple[LogRow, _Said], int]]:
    """What would no longer count (-1), or count instead (1), with less said."""
    signs: dict[int, int] = {}
    for events, sign in ((said, -1), (left, 1)):
        counts, _ = spoken([s.event for _, s in events], limits)
        for (row, _), counted in zip(events, counts, strict=True):
            signs[row.seq] = signs.get(row.seq, 0) + sign * int(counted)
    return ((pair, signs[pair[0].seq]) for pair in said if signs[pair[0].seq])
