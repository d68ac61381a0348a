"""Scores of prepared requests: both halves of the slow model, moved by what is remembered."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.catalogue import Catalogue
from model.prepared import Part, Prepared, side_by_side
from model.shortlist import Shortlist, products
from model.slow.features import QueryBatch
from model.slow.scorer import FloatArray, SlowScorer
from model.views import View


class Asked(NamedTuple):
    """What the slow model makes of requests, as far as it is to be trusted.

    Attributes:
      wide: [requests, items] from the cross table.
      query: [requests, d] what item vectors are multiplied with.
      hidden: [requests, trunk] the trunk's output.
    """

    wide: FloatArray
    query: FloatArray
    hidden: FloatArray


class Scoring:
    """Scores every item for requests."""

    def __init__(
        self, scorer: SlowScorer, catalogue: Catalogue, trust: float, shortlist: Shortlist | None
    ) -> None:
        """A scoring.

        Args:
          scorer: The slow model.
          catalogue: The items as they are now.
          trust: Factor on the slow model.
          shortlist: The model's items in lists; None to score all of them always.
        """
        self._shortlist = shortlist
        self._scorer = scorer
        self._catalogue = catalogue
        self._trust = np.float32(trust)
        self._mean_vector: FloatArray = np.mean(scorer.vectors, axis=0)

    def hidden(self, requests: Sequence[Prepared]) -> FloatArray:
        """[requests, trunk] what the slow model's trunk makes of each request."""
        each = [self._scorer.hidden(r.view.inputs, r.batch.attributes) for r in requests]
        return each[0] if len(each) == 1 else np.concatenate(each)

    def rows(self, view: View, batch: QueryBatch) -> NDArray[np.int32]:
        """[1, slots] rows of the cross table that a request activates."""
        moment = batch.attributes[:, view.history.attributes.shape[1] :]
        return np.concatenate([view.rows, self._scorer.space.attribute_rows(moment)], axis=1)

    def asked(self, requests: Sequence[Prepared]) -> Asked:
        """The slow model on requests, from what their views have ready."""
        hidden = self.hidden(requests)
        rows = [self.rows(request.view, request.batch) for request in requests]
        table = rows[0] if len(rows) == 1 else side_by_side(rows)
        wide = self._scorer.wide(table, len(self._catalogue))
        query = self._scorer.queries(hidden)
        if self._trust == 1.0:
            return Asked(wide, query, hidden)
        return Asked(self._trust * wide, self._trust * query, hidden)

    def scores(self, asked: Asked, requests: Sequence[Prepared]) -> FloatArray:
        """[requests, items] every item's score, -inf for one that could not be shown then."""
        # one product for both: at a million items it is most of what a request costs
        directions = asked.query + np.stack([request.own for request in requests])
        total = directions @ self._catalogue.vectors.T
        total += asked.wide
        for row, request in zip(total, requests, strict=True):
            n_items = len(request.base)
            row[:n_items] += request.base
            row[n_items:] = -np.inf  # came after the request was prepared
        return np.asarray(total)

    def scores_of_few(self, asked: Asked, request: Prepared) -> FloatArray | None:
        """[items] the scores of those that come into question, -inf for others.

        None where all items are to be scored always.
        """
        if self._shortlist is None:
            return None
        direction, wide = asked.query[0] + request.own, asked.wide[0]
        few = self._shortlist.of(direction, request.base + wide)
        scores = np.full(len(wide), -np.inf, np.float32)
        moved = products(self._catalogue.vectors, few, direction)
        scores[few] = moved + wide[few] + request.base[few]
        return scores

    def parts(self, asked: Asked, request: Prepared, top: NDArray[np.intp]) -> dict[str, Part]:
        """What the parts that this class knows say of some items in the one request."""
        vectors, mean = self._catalogue.vectors[top], self._mean_vector
        query, near = asked.query[0], request.near.of_items(1, len(self._catalogue))[0]
        return {
            "slow_wide": Part.of(asked.wide[0] + near, top),
            "slow_deep": Part(vectors @ query, float(mean @ query)),
            "fast_wide": Part.of(request.fast - near, top),
            "fast_deep": Part(vectors @ request.own, float(mean @ request.own)),
        }
