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
        if self.successes:
            times, items, weights = zip(*self.successes, strict=True)
            columns = np.array(items, np.int64), np.array(times, np.int64), np.array(weights)
        else:
            columns = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        for each in everyone:
            each.add(*columns, n_items)
        if crosses is not None and (self.successes or self.pairs.sources):
            self._cross(crosses, *columns, np.array(nearness))

    def _cross(
        self,
        crosses: Crosses,
        items: NDArray[np.int64],
        times: NDArray[np.int64],
        weights: NDArray[np.float64],
        nearness: NDArray[np.float64],
    ) -> None:
        """Counts moments and pairs, in the order of the log."""
        pairs = self.pairs
        of = np.repeat(np.arange(len(items)), list(map(len, self.slots)))
        slots = np.array(list(chain.from_iterable(self.slots)), np.int64)
        lengths = np.array(pairs.lengths, np.int64)
        entry = np.repeat(np.arange(len(lengths)), lengths)
        near = nearness[lengths.cumsum()[entry] - 1 - np.arange(len(entry))]
        forth, back = pair_keys(
            np.array(pairs.sources, np.int64), np.array(pairs.targets, np.int64)[entry]
        )
        keys = np.concatenate([context_keys(slots, items[of]), forth, back])
        told = np.concatenate([of, entry + len(items), entry + len(items)])
        parts = np.concatenate([np.ones(len(of)), near, near])
        places = np.array(self.places, np.int64)
        order = np.concatenate([places[of], entry, entry]).argsort(kind="stable")
        told = told[order]
        weights = np.concatenate([weights, np.array(pairs.weights, np.float64)])[told]
        times = np.concatenate([times, np.array(pairs.times, np.int64)])
        crosses.add(keys[order], times, weights * parts[order], told)
