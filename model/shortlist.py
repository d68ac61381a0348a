"""The few items of a large catalogue that come into question for a request.

Items lie in lists of neighbours (an inverted file: Jégou et al. 2011), by their vectors and
their popularity; a request looks into the lists whose middles suit it best. What its vector
does not say (crosses, what is trending, lessons) may lift any item, so the items that all the
rest lifts most come into question too.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.prepared import best
from model.slow.scorer import FloatArray

_LISTS_PER_ROOT: Final = 2
_SAMPLED_PER_LIST: Final = 64
_ROUNDS: Final = 6
_LEAST_LOOKED_AT: Final = 20_000
_SHARE_LOOKED_AT: Final = 0.04
_LIFTED: Final = 1_000
_NEAREST_AT_ONCE: Final = 4_096
_PRODUCTS_AT_ONCE: Final = 2_048


class Shortlist:
    """Items of one model in lists.

    Their vectors and popularity stay as long as the model does, so the lists do; items newer
    than the model are in no list and come into question for every request.
    """

    def __init__(self, vectors: FloatArray, bias: FloatArray, rng: np.random.Generator) -> None:
        """Makes the lists.

        Args:
          vectors: [items, d] item vectors.
          bias: [items] what is added to their products.
          rng: Draws the items that the lists begin with.
        """
        points = np.concatenate([vectors, bias[:, None]], axis=1, dtype=np.float32)
        n_lists = _LISTS_PER_ROOT * int(np.ceil(len(points) ** 0.5))
        sample = rng.permutation(len(points))[: _SAMPLED_PER_LIST * n_lists]
        self._middles = _middles(points[np.sort(sample)], n_lists)
        nearest = _nearest(points, self._middles)
        self._items = np.argsort(nearest, kind="stable").astype(np.int32)
        self._starts = np.searchsorted(nearest[self._items], np.arange(len(self._middles) + 1))
        self._looked_at = max(_LEAST_LOOKED_AT, int(_SHARE_LOOKED_AT * len(points)))

    def of(self, direction: FloatArray, rest: FloatArray) -> NDArray[np.int64]:
        """[few] numbers of the items that come into question; one may come twice.

        Args:
          direction: [d] what item vectors are multiplied with.
          rest: [items] all that is added to the product, popularity included.
        """
        suits = self._middles[:, :-1] @ direction + self._middles[:, -1]
        lists = np.argsort(-suits, kind="stable")
        lengths = np.diff(self._starts)[lists]
        lists = lists[: 1 + np.searchsorted(lengths.cumsum(), self._looked_at)]
        looked_at = [self._items[self._starts[one] : self._starts[one + 1]] for one in lists]
        newer = np.arange(len(self._items), len(rest))
        return np.concatenate([*looked_at, best(rest, _LIFTED), newer])


def products(vectors: FloatArray, few: NDArray[np.integer], direction: FloatArray) -> FloatArray:
    """[few] products of some of the [items, d] vectors with a direction [d]."""
    found = np.empty(len(few), np.float32)
    # what is gathered stays in the cache until it is multiplied: a third of the time
    gathered = np.empty((_PRODUCTS_AT_ONCE, vectors.shape[1]), np.float32)
    for start in range(0, len(few), _PRODUCTS_AT_ONCE):
        which = few[start : start + _PRODUCTS_AT_ONCE]
        rows = gathered[: len(which)]
        np.take(vectors, which, axis=0, out=rows, mode="clip")
        np.dot(rows, direction, out=found[start : start + len(which)])
    return found


def _middles(points: FloatArray, n_lists: int) -> FloatArray:
    """[lists, d] middles of groups of near points (Lloyd's algorithm)."""
    middles = points[np.linspace(0, len(points) - 1, n_lists).astype(np.intp)]
    for _ in range(_ROUNDS):
        nearest = _nearest(points, middles)
        order = np.argsort(nearest, kind="stable")
        which, starts = np.unique(nearest[order], return_index=True)
        lengths = np.diff(starts, append=len(points)).astype(np.float32)
        middles[which] = np.add.reduceat(points[order], starts, axis=0) / lengths[:, None]
    return middles


def _nearest(points: FloatArray, middles: FloatArray) -> NDArray[np.intp]:
    """[points] the nearest of the middles."""
    halved = np.square(middles).sum(axis=1) / np.float32(2.0)
    blocks = np.split(points, range(_NEAREST_AT_ONCE, len(points), _NEAREST_AT_ONCE))
    return np.concatenate([(block @ middles.T - halved).argmax(axis=1) for block in blocks])
