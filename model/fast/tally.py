"""What a batch of events adds to what everyone shares."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from model.fast.actors import Pairs, Success
from model.fast.crosses import Crosses, context_keys, pair_keys
from model.fast.lessons import Judged
from model.fast.popularity import Popularity
from model.fast.trending import Trending


@dataclass
class Tally:
    """Gathered in the order of the log, and added all at once.

    Attributes:
      successes: Those that count.
      slots: Joint numbers of each one's moment.
      places: How many entries `pairs` had before each of them.
      pairs: What they are paired with.
      judged: Outcomes for lessons, with how often each counts.
    """

    successes: list[Success] = field(default_factory=list)
    slots: list[Sequence[int]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    pairs: Pairs = field(default_factory=Pairs)
    judged: list[tuple[Judged, int]] = field(default_factory=list)

    def add(self, success: Success, slots: Sequence[int], place: int) -> None:
        """Counts a success in the row `everyone` and in the moment's rows."""
        self.successes.append(success)
        self.slots.append(slots)
        self.places.append(place)

    def hand_over(
        self,
        everyone: Sequence[Trending | Popularity],
        crosses: Crosses | None,
        nearness: Sequence[float],
        n_items: int,
    ) -> None:
        """Adds it all.

        Args:
          everyone: What counts successes in the row `everyone`.
          crosses: Where successes are counted beside others; None for nowhere.
          nearness: What pairs count, those of neighbours first.
          n_items: Items known by now.
        """
        times, items, weights = zip(*self.successes, strict=True) if self.successes else ((),) * 3
        columns = np.array(items, np.int64), np.array(times, np.int64), np.array(weights, float)
        for each in everyone:
            each.add(*columns, n_items)
        if crosses is not None:
            crosses.add(*self._cells(*columns, np.array(nearness)))

    def _cells(
        self,
        items: NDArray[np.int64],
        times: NDArray[np.int64],
        weights: NDArray[np.float64],
        nearness: NDArray[np.float64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """[cells] keys, times and weights in the order of the log, moments before pairs."""
        pairs = self.pairs
        n_slots = np.fromiter(map(len, self.slots), np.int64, len(self.slots))
        of = np.repeat(np.arange(len(n_slots)), n_slots)
        slots = np.array(list(chain.from_iterable(self.slots)), np.int64)
        lengths = np.array(pairs.lengths, np.int64)
        entry = np.repeat(np.arange(len(lengths)), lengths)
        apart = np.cumsum(lengths)[entry] - 1 - np.arange(len(entry))
        sources = np.array(pairs.sources, np.int64)
        forth, back = pair_keys(sources, np.array(pairs.targets, np.int64)[entry])
        pair_times = np.array(pairs.times, np.int64)[entry]
        pair_weights = np.array(pairs.weights, np.float64)[entry] * nearness[apart]
        order = np.argsort(
            np.concatenate([np.array(self.places, np.int64)[of], entry, entry]), kind="stable"
        )
        return (
            np.concatenate([context_keys(slots, items[of]), forth, back])[order],
            np.concatenate([times[of], pair_times, pair_times])[order],
            np.concatenate([weights[of], pair_weights, pair_weights])[order],
        )
