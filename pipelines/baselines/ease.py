"""EASE: the linear item-to-item model with a closed form (Steck, 2019)."""

from typing import Final

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from model.errors import BadInputError
from pipelines.baselines.histories import Popular
from pipelines.baselines.refitted import Refitted
from pipelines.evaluation.arm import FloatArray, Setting

MAX_ITEMS: Final = 10_000


class Ease(Refitted):
    """Weights B that rebuild who succeeded with what, no item from itself.

    With G = XᵀX + λI and P = G⁻¹, B_ij = −P_ij / P_jj and B_jj = 0. The inverse is computed
    in place in 32 bits, which takes 400 MB for 10,000 items. Of a larger catalogue only the
    `max_items` with the most recent successes take part; the others have no score.
    """

    def __init__(self, setting: Setting, strength: float, max_items: int = MAX_ITEMS) -> None:
        if strength <= 0.0:
            raise BadInputError(f"EASE needs a regularisation above 0, got {strength}")
        super().__init__(setting, {"strength": strength})
        self._strength, self._max_items = strength, max_items
        self._items = np.zeros(0, np.int64)
        self._weights = np.zeros((0, 0), np.float32)

    def fit(self, successes: sp.csr_matrix, popular: Popular) -> None:
        """Solves for the weights."""
        # the old weights make room before the new ones are computed
        self._weights = np.zeros((0, 0), np.float32)
        self._items = popular.most(self._max_items)
        chosen = successes[:, self._items]
        gram = np.asfortranarray((chosen.T @ chosen).toarray(), np.float32)
        np.einsum("ii->i", gram)[:] += self._strength
        # on a busy machine the threads of this step wait for each other longer than it takes
        with threadpool_limits(1, "blas"):
            self._weights = _weights(gram)

    def score(self, histories: sp.csr_matrix) -> FloatArray:
        """[histories, n_items] sums of weights; -inf for an item that takes no part."""
        scores = np.full(histories.shape, -np.inf, np.float32)
        scores[:, self._items] = histories[:, self._items] @ self._weights
        return scores


def _weights(gram: FloatArray) -> FloatArray:
    """[items, items] weights; overwrites its argument, a positive definite matrix."""
    factor, failed = lapack.spotrf(gram, lower=1, overwrite_a=1, clean=0)
    inverse, failed_too = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise BadInputError("EASE needs a larger regularisation: its matrix has no inverse")
    for row in range(len(inverse) - 1):  # only the lower half was computed
        inverse[row, row + 1 :] = inverse[row + 1 :, row]
    inverse = inverse.T  # the same numbers, row by row in memory, as sparse products need them
    inverse /= -np.diag(inverse).copy()
    np.einsum("ii->i", inverse)[:] = 0.0
    return np.asarray(inverse, np.float32)
