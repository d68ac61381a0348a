"""The fast memory: what the log says of users and of the moment, kept current by tailing.

Its state is a function of the log prefix, the slow model's numbering and the
configuration, so every process that has read the same rows remembers the same.
What concerns one user is read from the log when that user is first asked for, and
kept up with the tail from then on; only what concerns everyone is built at start.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple, Protocol

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
from model.fast.words import Said, Told, differences, said_by
from model.interactions import EventRules, Kind, LogRow, actor_of

# Chores that go over everything fall due at fixed places of the log, wherever calls are cut.
_CHORES_EVERY: Final = 1_024

_PLACE: Final = itemgetter(0)

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

    def chances(self, segments: Sequence[int], item: int) -> list[float]:
        """The slow model's chances that an item succeeds in segments."""


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
        sources = Limits.sources if config.cross_weight else 0
        self._limits = Limits(per_day=config.per_day, sources=sources)
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
        start = 0
        while start < len(rows):
            period = rows[start].seq // _CHORES_EVERY
            if period > self.as_of // _CHORES_EVERY:
                self._chores(period, items)
            end = bisect_left(rows, (period + 1) * _CHORES_EVERY, start, key=attrgetter("seq"))
            for kind, alike in groupby(rows[start:end], attrgetter("kind")):
                same = list(alike)
                if kind == Kind.EVENT:
                    changed |= self._take(same, items)
                elif kind == Kind.USER and self._config.lesson_weight:
                    self._describe(same)
                self.as_of = same[-1].seq
            start = end
        return changed

    def _describe(self, rows: Sequence[LogRow]) -> None:
        for row in rows:
            segments = self._reading.segments(row.details)
            if row.user_id is not None and (segments or row.user_id in self._segments):
                self._segments[row.user_id] = segments

    def _take(self, events: Sequence[LogRow], items: Items) -> set[str]:
        actors = list(map(actor_of, events))
        self._count(events, actors, items)
        changed = {actor for actor in actors if actor is not None}
        known = changed & self._users.keys()
        if known:
            for row, actor in zip(events, actors, strict=True):
                if actor in known:
                    self._users[actor].add([row])
        return changed

    def _chores(self, period: int, items: Items) -> None:
        self._actors.forget_quiet(self._config.followed_users)
        self._judges.forget_quiet(self._config.followed_users)
        self.lessons.settle()
        self.crosses.gate(period, lambda which: self._shares(items).take(which, axis=1))

    def _shares(self, items: Items) -> NDArray[np.float32]:
        """[half-lives, items] shares as of the newest event, at the crosses' half-lives."""
        shares = self.trending.levels(items.share, 0)[1]
        return np.array([shares[place] for place in CROSS_HALF_LIVES])

    def _count(self, events: Sequence[LogRow], actors: Sequence[str | None], items: Items) -> None:
        """Adds events to what everyone shares, and takes retracted ones out of it."""
        tally, said, start = Tally(), list(said_by(events, self._rules, items.number)), 0
        for at, row in enumerate(events):
            taken_back = retracted_id(row)
            if taken_back is not None:
                end = bisect_left(said, at, key=_PLACE)
                self._say(said[start:end], events, actors, tally)
                self._take_back(taken_back, row, tally, items)
                start = bisect_left(said, at + 1, key=_PLACE)
        self._say(said[start:], events, actors, tally)
        tally.hand_over(self._everyone, self._crossed, self._limits.nearness, len(items))
        self.lessons.add(tally.judged)

    def _say(
        self,
        said: Iterable[Said],
        events: Sequence[LogRow],
        actors: Sequence[str | None],
        tally: Tally,
    ) -> None:
        pairs, retracted = tally.pairs, self._retracted
        for at, success, succeeded in said:
            actor = actors[at]
            if actor is None or (retracted and events[at].event_id in retracted):
                continue
            if succeeded:
                place = len(pairs.lengths)
                if self._actors.take(actor, success, pairs):
                    tally.add(success, self._context(events[at]), place)
            if actor in self._segments and self._judges.take(actor, success, pairs):
                self._judge(actor, success, float(succeeded), 1, tally)

    def _context(self, row: LogRow) -> Sequence[int]:
        if self._crossed is None:
            return ()
        return self._reading.context(row.details, row.timestamp_ms)

    def _judge(self, actor: str, said: Success, label: float, sign: int, tally: Tally) -> None:
        """Counts an outcome in the slots of the actor's segments, as they are now."""
        segments, (at_ms, item, _) = self._segments.get(actor, ()), said
        attributes = self._reading.attributes(item)
        if segments and attributes:
            chances = self._reading.chances(segments, item)
            tally.judged.append((Judged(at_ms, segments, attributes, label, chances), sign))

    def _take_back(self, event_id: str, row: LogRow, tally: Tally, items: Items) -> None:
        """Makes the shared rows as if an event had never been; it may also come later."""
        if event_id in self._retracted:
            return
        self._retracted.add(event_id)
        original = self._read_event(event_id)
        actor = None if original is None else actor_of(original)
        if original is None or actor is None or original.seq >= row.seq:
            return
        gone = self._retracted - {event_id}
        said = self._told(actor, row.seq - 1, items, gone)
        left = [told for told in said if told[0].event_id != event_id]
        self._take_back_successes(actor, said, left, tally)
        if actor in self._segments:
            for (_, success, succeeded), sign in differences(said, left, _JUDGES):
                self._judge(actor, success, float(succeeded), sign, tally)
            self._judges.replace(actor, [success for _, success, _ in left])

    def _told(self, actor: str, through_seq: int, items: Items, gone: Set[str]) -> list[Told]:
        """What an actor's events have said, without those that are gone."""
        rows = self._read_actor(actor, through_seq)
        rows = [r for r in rows if retracted_id(r) is None and r.event_id not in gone]
        said = said_by(rows, self._rules, items.number)
        return [(rows[at], success, succeeded) for at, success, succeeded in said]

    def _take_back_successes(
        self, actor: str, said: list[Told], left: list[Told], tally: Tally
    ) -> None:
        said, left = ([told for told in each if told[2]] for each in (said, left))
        for (row, success, _), sign in differences(said, left, self._limits):
            taken_back = success._replace(weight=sign * success.weight)
            tally.add(taken_back, self._context(row), len(tally.pairs.lengths))
        _, pairs = spoken([success for _, success, _ in said], self._limits)
        _, pairs_left = spoken([success for _, success, _ in left], self._limits)
        pairs_left.subtract(pairs)
        for (source, target, at_ms, weight), n in pairs_left.items():
            if n:
                tally.pairs.add([source], Success(at_ms, target, n * weight))
        self._actors.replace(actor, [success for _, success, _ in left])

    @property
    def _everyone(self) -> Sequence[Trending | Popularity]:
        """Where every success counts; crosses need shares, and these are of the row `everyone`."""
        shares = self._config.trending_weight or self._config.cross_weight
        return (self.trending, self.popularity) if shares else (self.popularity,)

    @property
    def _crossed(self) -> Crosses | None:
        return self.crosses if self._config.cross_weight else None

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
        said = [t for t in self._told(actor, row.seq, items, self._retracted) if t[2]]
        if not said or said[-1][0].seq != row.seq:
            return None
        counts, pairs = spoken([success for _, success, _ in said], self._limits)
        if not counts[-1]:
            return None
        at_ms, item, _ = said[-1][1]
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
