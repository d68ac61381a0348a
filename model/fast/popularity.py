"""What is popular now: successes of each item, decayed with several half-lives at once."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.fast.arrays import Arrays

WINDOWS_S: Final[Mapping[str, float]] = MappingProxyType(
    {
        "hour": 3_600.0,
        "day": 86_400.0,
        "week": 604_800.0,
        "month": 2_592_000.0,
        "year": 31_536_000.0,
    }
)
"""Half-life by the name of a window."""

_REBASE_HALF_LIVES: Final = 64


class Popularity:
    """Decayed sums of successes for every window; apart from rounding, in any order."""

    def __init__(self) -> None:
        self._half_lives_ms = np.array(list(WINDOWS_S.values()))[:, None] * 1_000.0
        self._windows = {name: place for place, name in enumerate(WINDOWS_S)}
        # sums times 2 to the power of (their time - base) in half-lives, as in `Trending`
        self._scaled = np.zeros((len(WINDOWS_S), 0))
        self._base = np.zeros((len(WINDOWS_S), 1))

    def add(
        self,
        items: NDArray[np.integer],
        timestamps_ms: NDArray[np.integer],
        weights: NDArray[np.floating],
        n_items: int,
    ) -> None:
        """Counts successes; a negative weight takes one back.

        Args:
          items: [events] item numbers below `n_items`.
          timestamps_ms: [events] when they happened, in any order.
          weights: [events] how much each counts.
          n_items: Items known by now.
        """
        more = n_items - self._scaled.shape[1]
        if more > 0:
            # doubling keeps the cost of an item constant
            room = max(more, self._scaled.shape[1])
            self._scaled = np.pad(self._scaled, ((0, 0), (0, room)))
        if not len(items):
            return
        ages = timestamps_ms / self._half_lives_ms
        newest = np.floor(ages.max(axis=1, keepdims=True))
        moved = np.where(newest - self._base > _REBASE_HALF_LIVES, newest - self._base, 0.0)
        if moved.any():
            self._scaled *= np.exp2(-moved)
            self._base += moved
        grown = weights * np.exp2(np.maximum(ages - self._base, -1_000.0))
        for row, more_of_it in zip(self._scaled, grown, strict=True):
            np.add.at(row, items, more_of_it)

    def state(self) -> Arrays:
        """What `restore` takes."""
        return {"scaled": self._scaled, "base": self._base}

    def restore(self, arrays: Arrays) -> None:
        """Goes on from a state."""
        self._scaled, self._base = arrays["scaled"], arrays["base"]

    @property
    def n_bytes(self) -> int:
        """Bytes that they take."""
        return self._scaled.nbytes

    def counts(self, window: str, now_ms: int, n_items: int) -> NDArray[np.float64]:
        """[n_items] successes decayed to a moment, with the half-life of a window."""
        place = self._windows[window]
        faded = np.exp2(self._base[place, 0] - now_ms / self._half_lives_ms[place, 0])
        counts = np.zeros(n_items)
        known = self._scaled[place, :n_items]
        counts[: len(known)] = np.maximum(known * faded, 0.0)
        return counts
