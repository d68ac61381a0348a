"""What a batch of events adds to what everyone shares."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from model.fast.actors import Pair, Success
from model.fast.crosses import Crosses, context_keys, pair_keys
from model.fast.lessons import Judged
from model.fast.popularity import Popularity
from model.fast.trending import Trending


@dataclass
class Tally:
    """Gathered in the order of the log, and added all at once."""

    successes: list[Success] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    judged: list[tuple[Judged, int]] = field(default_factory=list)

    def add(self, success: Success, slots: Sequence[int]) -> None:
        """Counts a success in the row `everyone` and in the moment's rows."""
        timestamp_ms, item, weight = success
        self.successes.append(success)
        if slots:
            self._add(context_keys(slots, item), timestamp_ms, [weight] * len(slots))

    def add_sources(
        self, success: Success, sources: Sequence[int], nearness: Sequence[float]
    ) -> None:
        """Counts a success beside those before it, the nearest of them last."""
        if sources:
            timestamp_ms, item, weight = success
            weights = [weight * near for near in nearness[len(sources) - 1 :: -1]]
            self._add(pair_keys(sources, item), timestamp_ms, 2 * weights)

    def add_pairs(self, pairs: Sequence[tuple[Pair, int]]) -> None:
        """Counts pairs as often as is said with them."""
        for (source, target, timestamp_ms, weight), times in pairs:
            self._add(pair_keys([source], target), timestamp_ms, [times * weight] * 2)

    def _add(self, keys: Sequence[int], timestamp_ms: int, weights: Sequence[float]) -> None:
        self.keys += keys
        self.lengths.append(len(keys))
        self.times.append(timestamp_ms)
        self.weights += weights

    def hand_over(
        self, trending: Trending, popularity: Popularity, crosses: Crosses, n_items: int
    ) -> None:
        """Adds it all."""
        times, items, weights = zip(*self.successes, strict=True) if self.successes else ((),) * 3
        for each in (trending, popularity):
            each.add(
                np.array(items, np.int64),
                np.array(times, np.int64),
                np.array(weights, np.float64),
                n_items,
            )
        lengths = np.array(self.lengths, np.int64)
        crosses.add(
            self.keys,
            np.repeat(np.array(self.times, np.int64), lengths),
            np.array(self.weights, np.float64),
        )
