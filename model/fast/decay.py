"""Sums that fade by the clock, for several half-lives at once.

An event of weight w at time t is kept as w·2^(t/H - base). Decay is then one factor for
all sums, applied when they are read, and nothing has to be touched while time passes.
Whole half-lives are split off everywhere, as scaling by them is exact: sums come out the
same to the bit wherever the base has moved to, and however events were cut into calls.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.fast.arrays import Arrays

# Sums grow by this many doublings at most before they are scaled down: far from overflow.
_REBASE_HALF_LIVES: Final = 64


class DecayClock:
    """The scale on which decayed sums are kept.

    Attributes:
      newest_ms: The latest event that was counted; what is read never lies before it.
    """

    def __init__(self, half_lives_s: Sequence[float]) -> None:
        self._half_lives_ms = np.array(half_lives_s, np.float64)[:, None] * 1000.0
        self._base = np.zeros((len(half_lives_s), 1), np.int64)
        self.newest_ms = 0
        self._late_ms = self._late()

    def _late(self) -> float:
        """The moment from which on sums have to be scaled down."""
        return float(((self._base + _REBASE_HALF_LIVES + 1) * self._half_lives_ms).min())

    def __len__(self) -> int:
        """Number of half-lives."""
        return len(self._base)

    def state(self) -> Arrays:
        """What `restore` takes."""
        return {"base": self._base, "newest_ms": np.array([self.newest_ms])}

    def restore(self, arrays: Arrays) -> None:
        """Goes on from a state."""
        self._base, self.newest_ms = arrays["base"], int(arrays["newest_ms"][0])
        self._late_ms = self._late()

    def advance(self, newest_ms: int) -> NDArray[np.int64] | None:
        """Moves to a later event.

        Returns:
          [half-lives, 1] the powers of two to scale every kept sum by, or None when the
          sums stay as they are.
        """
        if newest_ms <= self.newest_ms:
            return None
        self.newest_ms = newest_ms
        if newest_ms < self._late_ms:
            return None
        whole = np.floor_divide(newest_ms, self._half_lives_ms).astype(np.int64)
        late = whole - self._base > _REBASE_HALF_LIVES
        moved = np.where(late, self._base - whole, 0)
        self._base = self._base - moved
        self._late_ms = self._late()
        return moved

    def grown(
        self, timestamps_ms: NDArray[np.integer], weights: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """[half-lives, events] what each event adds to the kept sums.

        Weights are [events], or [half-lives, events] where sums count different things.
        """
        return weights * self.growth(timestamps_ms)

    def growth(self, timestamps_ms: NDArray[np.integer]) -> NDArray[np.float64]:
        """[half-lives, events] what an event of weight 1 adds to the kept sums."""
        whole, part = np.divmod(timestamps_ms, self._half_lives_ms)
        power = whole.astype(np.int64) - self._base
        return np.asarray(np.ldexp(np.exp2(part / self._half_lives_ms), power))

    def faded(self, now_ms: int) -> NDArray[np.float64]:
        """[half-lives] the factor that turns kept sums into sums decayed to `now_ms`.

        A moment before the newest event counts as that event's.
        """
        whole, part = np.divmod(max(now_ms, self.newest_ms), self._half_lives_ms)
        factor = np.ldexp(np.exp2(-part / self._half_lives_ms), self._base - whole.astype(np.int64))
        return np.asarray(factor[:, 0])
