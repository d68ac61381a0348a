"""iALS: matrix factorisation of who succeeded with what (Hu, Koren and Volinsky, 2008)."""

from itertools import pairwise
from typing import Final

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from pipelines.baselines.histories import Popular
from pipelines.baselines.refitted import Refitted
from pipelines.evaluation.arm import FloatArray, Setting

FACTORS: Final = 64


class ImplicitALS(Refitted):
    """The library implicit's factors, fitted again every night; actors are folded in live.

    A success has weight `alpha`, everything else weight 1. The actor's vector solves
    (YᵀY + (alpha − 1) Y_hᵀY_h + λI) x = alpha Σ Y_h for the items h of the history, with the
    item vectors Y of the last night: what the library does when it fits.
    """

    def __init__(
        self, setting: Setting, alpha: float, regularization: float, factors: int = FACTORS
    ) -> None:
        super().__init__(setting, {"alpha": alpha, "regularization": regularization})
        self._seed = setting.seed
        self._alpha, self._regularization, self._factors = alpha, regularization, factors
        self._items = np.zeros((setting.n_items, factors), np.float32)

    def fit(self, successes: sp.csr_matrix, popular: Popular) -> None:  # noqa: ARG002
        """Alternates, from the same random start every night."""
        # the library runs threads of its own and warns of those of the linear algebra
        with threadpool_limits(1, "blas"):
            library = AlternatingLeastSquares(
                factors=self._factors,
                alpha=self._alpha,
                regularization=self._regularization,
                random_state=self._seed,
                num_threads=1,  # sums in one order: the same seed gives the same factors
            )
            library.fit(successes, show_progress=False)
        self._items = library.item_factors

    def score(self, histories: sp.csr_matrix) -> FloatArray:
        """[histories, n_items] inner products; all 0 for an empty history."""
        items = self._items
        base = items.T @ items + self._regularization * np.eye(self._factors, dtype=np.float32)
        left = np.tile(base, (histories.shape[0], 1, 1))
        for row, (start, stop) in enumerate(pairwise(histories.indptr)):
            own = items[histories.indices[start:stop]]
            left[row] += (self._alpha - 1.0) * (own.T @ own)
        right = self._alpha * (histories @ items)
        actors = np.linalg.solve(left, right[:, :, None])[:, :, 0]
        return np.asarray(actors @ items.T, np.float32)
