"""What one actor may say in the rows that others are served from.

An actor's successes count, but each item once and a bounded number a day, and each is
paired with the few successes before it. What an actor has said is a function of the
actor's events alone, so it can be worked out again without one of them and the
difference taken back.
"""

from array import array
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from model.fast.arrays import Arrays, from_lists, from_texts, part, to_lists, to_texts, under

DAY_MS: Final = 86_400_000


class Success(NamedTuple):
    """A success as far as shared rows are concerned."""

    timestamp_ms: int
    item: int
    weight: float


class Pair(NamedTuple):
    """A success that came a little before another of the same actor.

    Attributes:
      source: The item of the earlier one; of two of one moment, the lower number.
      target: The item of the later one.
      timestamp_ms: When the later one came.
      weight: What the pair counts: the later one's weight, the less the further apart.
    """

    source: int
    target: int
    timestamp_ms: int
    weight: float


class Told(NamedTuple):
    """What a success adds to shared rows.

    Attributes:
      counts: Whether it counts.
      sources: Items that it is now paired with as their target, the nearest last.
      changes: Other pairs that it adds (1) or takes back (-1).
    """

    counts: bool
    sources: list[int]
    changes: list[tuple[Pair, int]]


_NOTHING: Final = Told(counts=False, sources=[], changes=[])


@dataclass(frozen=True)
class Limits:
    """How much one actor may say.

    Attributes:
      per_day: Most successes of one actor that count within a day. The same item counts
        again only when as many other items have counted since.
      sources: How many of the successes before it a success is paired with.
      near: What a pair counts for each further place that lies between the two.
      span_ms: How far back these may lie.
      window_ms: An actor who was quiet for longer is forgotten.
    """

    per_day: int = 100
    sources: int = 5
    near: float = 0.8
    span_ms: int = DAY_MS
    window_ms: int = 14 * DAY_MS

    @cached_property
    def nearness(self) -> tuple[float, ...]:
        """[sources] what pairs count, those of neighbours first."""
        return tuple(self.near**places for places in range(self.sources))


class _Said:
    """The last successes of one actor that counted, oldest first, by (time, item)."""

    __slots__ = ("items", "times", "weights")

    def __init__(self) -> None:
        self.times = array("q")
        self.items = array("q")
        self.weights = array("d")

    def insert(self, at: int, success: Success) -> None:
        self.times.insert(at, success.timestamp_ms)
        self.items.insert(at, success.item)
        self.weights.insert(at, success.weight)

    def drop(self, n: int) -> None:
        del self.times[:n], self.items[:n], self.weights[:n]

    def place(self, success: Success) -> int:
        at = bisect_left(self.times, success.timestamp_ms)
        while (
            at < len(self.times)
            and self.times[at] == success.timestamp_ms
            and self.items[at] < success.item
        ):
            at += 1
        return at


class Actors:
    """The recent successes of everyone who was active of late."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._said: OrderedDict[str, _Said] = OrderedDict()
        self._newest_ms = 0

    def __len__(self) -> int:
        """Actors who are remembered."""
        return len(self._said)

    def __iter__(self) -> Iterator[str]:
        """Actors who are remembered, the longest quiet first."""
        return iter(self._said)

    @property
    def n_successes(self) -> int:
        """Successes that are remembered of all actors together."""
        return sum(len(said.items) for said in self._said.values())

    def state(self) -> Arrays:
        """What `restore` takes."""
        said = self._said.values()
        return {
            "newest_ms": np.array([self._newest_ms]),
            **under("names", from_texts(self._said)),
            **under("times", from_lists((one.times for one in said), np.int64)),
            **under("items", from_lists((one.items for one in said), np.int64)),
            **under("weights", from_lists((one.weights for one in said), np.float64)),
        }

    def restore(self, arrays: Arrays) -> None:
        """Goes on from a state."""
        self._newest_ms = int(arrays["newest_ms"][0])
        columns = (to_lists(part(name, arrays)) for name in ("times", "items", "weights"))
        self._said = OrderedDict()
        for name, *lists in zip(to_texts(part("names", arrays)), *columns, strict=True):
            said = self._said[name] = _Said()
            said.times.extend(lists[0])
            said.items.extend(lists[1])
            said.weights.extend(lists[2])

    def take(self, actor: str, success: Success) -> Told:
        """Takes a success, the next of the log."""
        said = self._said.get(actor)
        if said is None:
            said = self._said[actor] = _Said()
        else:
            self._said.move_to_end(actor)
        self._newest_ms = max(self._newest_ms, success.timestamp_ms)
        return _say(said, success, self._limits)

    def forget_quiet(self, most: int) -> None:
        """Lets go of the actors who were quiet for longer than the window, or longest.

        Args:
          most: Actors who may stay.
        """
        oldest_ms = self._newest_ms - self._limits.window_ms
        while self._said:
            actor, said = next(iter(self._said.items()))
            if len(self._said) <= most and said.times and said.times[-1] >= oldest_ms:
                return
            del self._said[actor]

    def replace(self, actor: str, successes: Iterable[Success]) -> None:
        """Remembers of the actor what it would be had these been the actor's successes."""
        said = _Said()
        for success in successes:
            _say(said, success, self._limits)
        if actor in self._said:
            self._said[actor] = said


def spoken(successes: Iterable[Success], limits: Limits) -> tuple[list[bool], Counter[Pair]]:
    """All that an actor with these successes, in log order, has said.

    Returns:
      Whether each success counts, and how often each pair was added.
    """
    said, counts = _Said(), []
    pairs: Counter[Pair] = Counter()
    for success in successes:
        told = _say(said, success, limits)
        counts.append(told.counts)
        at_ms, item, weight = success
        nearest_first = zip(reversed(told.sources), limits.nearness, strict=False)
        pairs.update(Pair(source, item, at_ms, weight * near) for source, near in nearest_first)
        for pair, sign in told.changes:
            pairs[pair] += sign
    return counts, pairs


def _say(said: _Said, success: Success, limits: Limits) -> Told:
    times, now_ms = said.times, success.timestamp_ms
    if times and times[0] < now_ms - limits.window_ms:
        said.drop(bisect_left(times, now_ms - limits.window_ms))
    if success.item in said.items:
        return _NOTHING
    if len(times) >= limits.per_day:
        if times[0] > now_ms - DAY_MS:
            return _NOTHING
        said.drop(1)
    if not times or now_ms > times[-1]:
        start = max(len(times) - limits.sources, bisect_left(times, now_ms - limits.span_ms))
        sources = said.items[start:].tolist()
        said.insert(len(times), success)
        return Told(counts=True, sources=sources, changes=[])
    # an event of the same moment, or one that comes late, changes what others are paired with
    at = said.place(success)
    before = _pairs_from(said, at, at + limits.sources, limits)
    said.insert(at, success)
    changed = _pairs_from(said, at, at + 1 + limits.sources, limits)
    changed.subtract(before)
    return Told(counts=True, sources=[], changes=[(pair, n) for pair, n in changed.items() if n])


def _pairs_from(said: _Said, start: int, stop: int, limits: Limits) -> Counter[Pair]:
    places = range(start, min(stop, len(said.times)))
    return Counter(pair for at in places for pair in _pairs(said, at, limits))


def _pairs(said: _Said, at: int, limits: Limits) -> list[Pair]:
    """What the success at a place is paired with."""
    now_ms, item, weight = said.times[at], said.items[at], said.weights[at]
    pairs: list[Pair] = []
    for n in range(at - 1, max(at - limits.sources, 0) - 1, -1):
        before_ms = said.times[n]
        if now_ms - before_ms > limits.span_ms:
            break
        pairs.append(Pair(said.items[n], item, now_ms, weight * limits.nearness[at - 1 - n]))
    return pairs
