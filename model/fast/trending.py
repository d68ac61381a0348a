"""The row `everyone`: what succeeds now beyond what the slow model expects."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.fast.arrays import Arrays, part, under
from model.fast.decay import DecayClock

HALF_LIVES_S: Final = (600.0, 3_600.0, 43_200.0, 259_200.0, 1_209_600.0, 5_184_000.0)
"""10 minutes, 1 hour, 12 hours, 3, 14 and 60 days: from news to films."""

CROSS_HALF_LIVES: Final = (1, 5)
"""Which of them fast crosses have."""

_FIRST: Final = 1.0


class Level(NamedTuple):
    """The row `everyone` at one half-life.

    Attributes:
      where: [changed] items with successes.
      residual: [changed] log-odds of their shares against those at the next longer half-life.
      others: The same for all other items.
    """

    where: NDArray[np.intp]
    residual: NDArray[np.float64]
    others: float


class Trending:
    """Decayed successes of each item at several half-lives, as residual log-odds.

    The shares at each half-life are shrunk to those at the next longer one, and those at
    the longest to what the slow model expects: p = (c + A·q) / (C + A), c the item's
    successes beyond the first, C all items', q the longer share and A the prior in
    pseudo-events, which grows with the root of the half-life. One event is not a fact: it
    takes two actors to lift an item. How much the residual of each half-life says is
    learned: minutes for news, weeks for films.
    """

    def __init__(
        self,
        prior: float,
        half_lives_s: Sequence[float] = HALF_LIVES_S,
        shared: Sequence[int] = CROSS_HALF_LIVES,
    ) -> None:
        """Nothing has happened yet.

        Args:
          prior: A at the shortest half-life.
          half_lives_s: Rising.
          shared: Places of the half-lives at which others want shares.
        """
        longer = np.array(half_lives_s) / half_lives_s[0]
        self._priors = (prior * np.sqrt(longer)).tolist()
        self._shared = frozenset(shared)
        self._clock = DecayClock(half_lives_s)
        self._sums = np.zeros((len(half_lives_s), 0), np.float64)
        self._length = 0

    def add(
        self,
        items: NDArray[np.integer],
        timestamps_ms: NDArray[np.integer],
        weights: NDArray[np.floating],
        n_items: int,
    ) -> None:
        """Counts successes in the order given; a negative weight takes one back.

        The result does not depend on how the events are cut into calls.

        Args:
          items: [events] item numbers below `n_items`.
          timestamps_ms: [events] when they happened, in any order.
          weights: [events] how much each counts.
          n_items: Items known by now; the row grows to this length.
        """
        self._reserve(n_items)
        if not len(items):
            return
        moved = self._clock.advance(int(timestamps_ms.max()))
        if moved is not None:
            self._sums = np.ldexp(self._sums, moved)
        for sums, grown in zip(self._sums, self._clock.grown(timestamps_ms, weights), strict=True):
            np.add.at(sums, items, grown)

    def _reserve(self, n_items: int) -> None:
        self._length = max(self._length, n_items)
        short = self._length - self._sums.shape[1]
        if short > 0:
            extra = max(short, self._sums.shape[1])
            self._sums = np.concatenate([self._sums, np.zeros((len(self._sums), extra))], axis=1)

    def state(self) -> Arrays:
        """What `restore` takes."""
        return {"sums": self._sums[:, : self._length], **under("clock", self._clock.state())}

    def restore(self, arrays: Arrays) -> None:
        """Goes on from a state."""
        self._clock.restore(part("clock", arrays))
        self._sums, self._length = arrays["sums"], arrays["sums"].shape[1]

    def counts(self, now_ms: int) -> NDArray[np.float64]:
        """[half-lives, items] successes decayed to `now_ms`, or to the newest event if later."""
        return self._sums[:, : self._length] * self._clock.faded(now_ms)[:, None]

    @property
    def n_bytes(self) -> int:
        """Bytes that they take."""
        return self._sums.nbytes

    def levels(
        self, share: NDArray[np.floating], now_ms: int
    ) -> tuple[list[Level], dict[int, NDArray[np.float32]]]:
        """The row at a moment.

        Args:
          share: [items] share of successes that the slow model expects, above 0.
          now_ms: The moment to decay to.

        Returns:
          For each half-life its residuals; and by the place of a half-life that crosses have,
          [items] the shares at it.
        """
        levels: list[Level] = []
        shares: dict[int, NDArray[np.float32]] = {}
        present, scale = np.array(share, np.float64), 1.0
        factors = self._clock.faded(now_ms).tolist()
        for place in reversed(range(len(factors))):
            # few items have successes at a short half-life, and all others fall alike
            where, counts = self._beyond_first(place, factors[place])
            prior = self._priors[place]
            total = float(counts.sum()) + prior
            others = prior / total
            ratio = (counts / (present[where] * scale) + prior) / total
            levels.append(Level(where, np.log(ratio), float(np.log(others))))
            present[where] *= ratio / others
            scale *= others
            if place in self._shared:
                shares[place] = (present * scale).astype(np.float32)
        return levels[::-1], shares

    def _beyond_first(
        self, place: int, factor: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The items with more than the first success, and how much more."""
        sums = self._sums[place, : self._length]
        if factor == 0.0:
            return np.zeros(0, np.intp), np.zeros(0)
        where = np.flatnonzero(sums > _FIRST / factor)
        return where, sums[where] * factor - _FIRST

    def row(
        self, levels: Sequence[Level], factors: Sequence[float], n_items: int
    ) -> NDArray[np.float32]:
        """[items] log-odds of all half-lives together, each times its factor."""
        total = np.zeros(n_items, np.float32)
        for (where, residual, others), factor in zip(levels, factors, strict=True):
            if factor:
                total += np.float32(factor * others)
                total[where] += (factor * (residual - others)).astype(np.float32)
        return total
