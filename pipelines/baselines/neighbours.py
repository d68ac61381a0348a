"""Item neighbours: what was liked together with what the actor liked."""

import numpy as np
import scipy.sparse as sp
from implicit.nearest_neighbours import ItemItemRecommender

from pipelines.baselines.histories import Popular
from pipelines.baselines.refitted import Refitted
from pipelines.evaluation.arm import FloatArray, Setting


class ItemKNN(Refitted):
    """Sum of the cosines to the history's items, each item knowing its nearest neighbours.

    The neighbours are the library implicit's, fitted every night on who succeeded with
    what; an item counts itself as its first neighbour.
    """

    def __init__(self, setting: Setting, neighbours: int) -> None:
        super().__init__(setting, {"neighbours": neighbours})
        self._neighbours = neighbours
        self._similarity = sp.csr_matrix((setting.n_items, setting.n_items), dtype="float32")

    def fit(self, successes: sp.csr_matrix, popular: Popular) -> None:  # noqa: ARG002
        """Finds the neighbours of every item."""
        # the library's own cosine hands itself a format that it then warns of
        lengths = np.sqrt(np.bincount(successes.indices, minlength=successes.shape[1]))
        scaled = successes.astype(np.float64)
        scaled.data /= lengths[successes.indices]
        library = ItemItemRecommender(K=self._neighbours)
        library.fit(scaled, show_progress=False)
        self._similarity = library.similarity.astype("float32")

    def score(self, histories: sp.csr_matrix) -> FloatArray:
        """[histories, n_items] sums of cosines; 0 for an item that is nobody's neighbour."""
        scores: FloatArray = (histories @ self._similarity).toarray()
        return scores
