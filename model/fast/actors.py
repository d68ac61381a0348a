"""What one actor may say in the rows that others are served from.

An actor's successes count, but each item once and a bounded number a day, and each is
paired with the few successes before it. What an actor has said is a function of the
actor's events alone, so it can be worked out again without one of them and the
difference taken back.
"""

from array import array
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

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


class Pairs:
    """What successes are paired with, in the order in which it was said.

    An entry is one success with some of those before it, the nearest of them last; what
    each pair counts is the entry's weight, the less the further apart.

    Attributes:
      sources: [pairs] items of the earlier ones.
      lengths: [entries] how many pairs.
      targets: [entries] item of the later one.
      times: [entries] when the later one came.
      weights: [entries] what the nearest pair counts; negative to take it back.
    """

    __slots__ = ("lengths", "sources", "targets", "times", "weights")

    def __init__(self) -> None:
        self.sources: list[int] = []
        self.lengths: list[int] = []
        self.targets: list[int] = []
        self.times: list[int] = []
        self.weights: list[float] = []

    def add(self, sources: Sequence[int], success: Success) -> None:
        """Pairs a success with those before it."""
        timestamp_ms, item, weight = success
        self.sources.extend(sources)
        self.lengths.append(len(sources))
        self.targets.append(item)
        self.times.append(timestamp_ms)
        self.weights.append(weight)

    def counted(self, nearness: Sequence[float]) -> Counter[Pair]:
        """How often each pair was added in the end."""
        counts: Counter[Pair] = Counter()
        entries = zip(self.lengths, self.targets, self.times, self.weights, strict=True)
        sources = iter(self.sources)
        for length, target, at_ms, weight in entries:
            nearest_first = zip(list(islice(sources, length))[::-1], nearness, strict=False)
            for source, near in nearest_first:
                pair = Pair(source, target, at_ms, abs(weight) * near)
                counts[pair] += 1 if weight > 0.0 else -1
        return counts


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


_Said: TypeAlias = tuple["array[int]", "array[int]", "array[float]"]
"""Times, items and weights of one actor's last successes that counted, by (time, item)."""


def _nothing_said() -> _Said:
    return array("q"), array("q"), array("d")


def _drop(said: _Said, n: int) -> None:
    for column in said:
        del column[:n]


def _place(said: _Said, success: Success) -> int:
    """Where a success belongs."""
    times, items, _ = said
    at = bisect_left(times, success.timestamp_ms)
    while at < len(times) and times[at] == success.timestamp_ms and items[at] < success.item:
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
        return sum(len(times) for times, _, _ in self._said.values())

    def state(self) -> Arrays:
        """What `restore` takes."""
        columns = list(zip(*self._said.values(), strict=True)) or [(), (), ()]
        return {
            "newest_ms": np.array([self._newest_ms]),
            **under("names", from_texts(self._said)),
            **under("times", from_lists(columns[0], np.int64)),
            **under("items", from_lists(columns[1], np.int64)),
            **under("weights", from_lists(columns[2], np.float64)),
        }

    def restore(self, arrays: Arrays) -> None:
        """Goes on from a state."""
        self._newest_ms = int(arrays["newest_ms"][0])
        columns = (to_lists(part(name, arrays)) for name in ("times", "items", "weights"))
        self._said = OrderedDict(
            (name, (array("q", times), array("q", items), array("d", weights)))
            for name, times, items, weights in zip(
                to_texts(part("names", arrays)), *columns, strict=True
            )
        )

    def take(self, actor: str, success: Success, pairs: Pairs) -> bool:
        """Takes a success, the next of the log.

        Args:
          actor: Whose.
          success: What happened.
          pairs: Takes what the success is paired with, and how others' pairs change.

        Returns:
          Whether it counts.
        """
        said = self._said.get(actor)
        if said is None:
            said = self._said[actor] = _nothing_said()
        else:
            self._said.move_to_end(actor)
        if success.timestamp_ms > self._newest_ms:
            self._newest_ms = success.timestamp_ms
        return _say(said, success, self._limits, pairs)

    def forget_quiet(self, most: int) -> None:
        """Lets go of the actors who were quiet for longer than the window, or longest.

        Args:
          most: Actors who may stay.
        """
        oldest_ms = self._newest_ms - self._limits.window_ms
        while self._said:
            actor, (times, _, _) = next(iter(self._said.items()))
            if len(self._said) <= most and times and times[-1] >= oldest_ms:
                return
            del self._said[actor]

    def replace(self, actor: str, successes: Iterable[Success]) -> None:
        """Remembers of the actor what it would be had these been the actor's successes."""
        said = _nothing_said()
        for success in successes:
            _say(said, success, self._limits, Pairs())
        if actor in self._said:
            self._said[actor] = said


def spoken(successes: Iterable[Success], limits: Limits) -> tuple[list[bool], Counter[Pair]]:
    """All that an actor with these successes, in log order, has said.

    Returns:
      Whether each success counts, and how often each pair was added.
    """
    said, pairs = _nothing_said(), Pairs()
    counts = [_say(said, success, limits, pairs) for success in successes]
    return counts, pairs.counted(limits.nearness)


def _say(said: _Said, success: Success, limits: Limits, pairs: Pairs) -> bool:
    (times, items, weights), (now_ms, item, weight) = said, success
    if times and times[0] < now_ms - limits.window_ms:
        _drop(said, bisect_left(times, now_ms - limits.window_ms))
    if item in items:
        return False
    if len(times) >= limits.per_day:
        if times[0] > now_ms - DAY_MS:
            return False
        _drop(said, 1)
    at = len(times)
    if at and now_ms <= times[-1]:
        at = _place(said, success)
        _pair_late(said, at, success, limits, pairs)
    elif at:
        start = bisect_left(times, now_ms - limits.span_ms, max(at - limits.sources, 0))
        if start < at:
            pairs.add(items[start:], success)
    times.insert(at, now_ms)
    items.insert(at, item)
    weights.insert(at, weight)
    return True


def _pair_late(said: _Said, at: int, success: Success, limits: Limits, pairs: Pairs) -> None:
    """What changes with an event of the same moment as others, or one that comes late.

    It is paired with those before it, and they lie one place further from those behind it.
    """
    (times, items, weights), near, span_ms = said, limits.nearness, limits.span_ms
    now_ms, item, weight = success
    first = max(at - limits.sources, 0)
    for n in range(at - 1, bisect_left(times, now_ms - span_ms, first, at) - 1, -1):
        pairs.add([items[n]], Success(now_ms, item, weight * near[at - 1 - n]))
    gone: list[tuple[int, Success]] = []
    for later in range(at, min(at + limits.sources, len(times))):
        later_ms, target, weight = times[later], items[later], weights[later]
        if later_ms - now_ms > span_ms:
            break
        apart = later - at
        pairs.add([item], Success(later_ms, target, weight * near[apart]))
        first = max(later - limits.sources, 0)
        for n in range(at - 1, bisect_left(times, later_ms - span_ms, first, at) - 1, -1):
            gone.append((items[n], Success(later_ms, target, -weight * near[later - 1 - n])))
            if later - n < limits.sources:
                pairs.add([items[n]], Success(later_ms, target, weight * near[later - n]))
    for source, taken_back in gone:
        pairs.add([source], taken_back)
