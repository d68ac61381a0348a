"""The row `everyone`: what succeeds now beyond what the slow model expects."""

import numpy as np
from numpy.typing import NDArray

from model.fast.config import MemoryConfig

_REBASE_HALF_LIVES = 64


class Trending:
    """Exponentially decayed successes of each item, as residual log-odds.

    The rate of an item against the slow model's expectation follows a gamma-Poisson
    model with prior mean 1: log((c + a) / (C·p + a)), c the item's decayed
    successes, C all items', p the item's share by the slow model, a the prior in
    pseudo-successes. An item nobody knew has a tiny p, so a burst of successes
    lifts it at once, and it sinks as c decays.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self._config = config
        self._half_life_ms = config.trending_half_life_s * 1000.0
        # successes times 2 to the power of (their time - base) in half-lives: decay
        # is then one factor for all items, applied when the row is read. Whole
        # half-lives are split off everywhere, as scaling by them is exact: the sums
        # come out the same wherever the base has moved to
        self._scaled = np.zeros(0, np.float64)
        self._base = 0
        self._newest_ms = 0

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
        if n_items > len(self._scaled):
            self._scaled = np.concatenate([self._scaled, np.zeros(n_items - len(self._scaled))])
        if not len(items):
            return
        self._newest_ms = max(self._newest_ms, int(timestamps_ms.max()))
        newest = int(self._newest_ms // self._half_life_ms)
        if newest - self._base > _REBASE_HALF_LIVES:
            self._scaled = np.ldexp(self._scaled, self._base - newest)
            self._base = newest
        whole, part = np.divmod(timestamps_ms, self._half_life_ms)
        grown = np.ldexp(
            weights * np.exp2(part / self._half_life_ms), whole.astype(int) - self._base
        )
        np.add.at(self._scaled, items, grown)

    def counts(self, now_ms: int) -> NDArray[np.float64]:
        """[items] successes decayed to `now_ms`, or to the newest event if that is later."""
        now = max(now_ms, self._newest_ms)
        whole, part = divmod(now, self._half_life_ms)
        faded = self._scaled * np.exp2(-part / self._half_life_ms)
        return np.asarray(np.ldexp(faded, self._base - int(whole)))

    def row(self, share: NDArray[np.floating], now_ms: int) -> NDArray[np.float32]:
        """Residual log-odds of each item.

        Args:
          share: [items] share of successes that the slow model expects.
          now_ms: The moment to decay to.

        Returns:
          [items] zero where nothing has happened.
        """
        prior = self._config.trending_prior
        counts = np.zeros(len(share))
        counts[: len(self._scaled)] = self.counts(now_ms)
        counts = np.maximum(counts, 0.0)
        residual = np.log((counts + prior) / (counts.sum() * share + prior))
        return np.asarray(self._config.trending_weight * residual, np.float32)
