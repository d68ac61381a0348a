"""The row `everyone`: what succeeds now beyond what the slow model expects."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.fast.decay import DecayClock

HALF_LIVES_S: Final = (600.0, 3_600.0, 43_200.0, 259_200.0, 1_209_600.0, 5_184_000.0)
"""10 minutes, 1 hour, 12 hours, 3, 14 and 60 days: from news to films."""


class Trending:
    """Decayed successes of each item at several half-lives, as residual log-odds.

    At each half-life the rate of an item against the slow model's expectation follows a
    gamma-Poisson model with prior mean 1: log((c + a) / (C·p + a)), c the item's decayed
    successes, C all items', p the item's share by the slow model, a the prior in
    pseudo-successes. An item nobody knew has a tiny p, so a burst of successes lifts it
    at once, and it sinks as c decays. How much each half-life says is learned.
    """

    def __init__(self, prior: float, half_lives_s: Sequence[float] = HALF_LIVES_S) -> None:
        self._prior = prior
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

    def counts(self, now_ms: int) -> NDArray[np.float64]:
        """[half-lives, items] successes decayed to `now_ms`, or to the newest event if later."""
        return self._sums[:, : self._length] * self._clock.faded(now_ms)[:, None]

    def residuals(
        self, share: NDArray[np.floating], now_ms: int, which: Sequence[int]
    ) -> NDArray[np.float32]:
        """Residual log-odds of each item at some of the half-lives.

        Args:
          share: [items] share of successes that the slow model expects.
          now_ms: The moment to decay to.
          which: Positions of the half-lives.

        Returns:
          [which, items] zero where nothing has happened.
        """
        factors = self._clock.faded(now_ms)
        prior = np.float32(self._prior)
        found = np.empty((len(which), len(share)), np.float32)
        for row, which_one in zip(found, which, strict=True):
            sums = np.maximum(self._sums[which_one, : self._length], 0.0)
            row[:] = share
            row *= np.float32(sums.sum() * factors[which_one])
            row += prior
            np.divide(prior, row[self._length :], out=row[self._length :])
            known = row[: self._length]
            # single precision from here: a logarithm of it costs a tenth
            np.divide((sums * factors[which_one]).astype(np.float32) + prior, known, out=known)
        return np.log(found, out=found)

    def shares(
        self,
        items: NDArray[np.integer],
        share: NDArray[np.floating],
        now_ms: int,
        which: Sequence[int],
    ) -> NDArray[np.float64]:
        """[which, given items] share of all successes at each half-life, shrunk to `share`.

        Args:
          items: Item numbers.
          share: [given items] the share of each by the slow model.
          now_ms: The moment to decay to.
          which: Positions of the half-lives.
        """
        chosen = list(which)
        sums, factors = self._sums[chosen], self._clock.faded(now_ms)[chosen]
        known = items < self._length
        counts = sums[:, np.where(known, items, 0)] * known * factors[:, None]
        totals = sums.sum(axis=1) * factors
        return np.asarray(
            (np.maximum(counts, 0.0) + self._prior * share)
            / (np.maximum(totals, 0.0) + self._prior)[:, None]
        )
