"""The slow model's arithmetic for serving: NumPy on a bundle, no TensorFlow.

The training engine computes the same numbers in `model.slow.deep` and
`model.slow.wide`; publishing refuses a bundle on which the two differ.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.slow.bundle import Bundle
from model.slow.crosses import entries
from model.slow.features import QueryBatch
from model.slow.nearby import PLACES, said
from model.slow.parameters import normalised

FloatArray = NDArray[np.float32]


class Slow(NamedTuple):
    """What was trained, in its parts, and the trunk's output.

    Attributes:
      wide: [batch, items] from the cross table.
      deep: [batch, items] query vector times item vector.
      hidden: [batch, hidden + 3·d] the shared trunk.
    """

    wide: FloatArray
    deep: FloatArray
    hidden: FloatArray


class Near(NamedTuple):
    """Chances by the newest successes of requests: what is chosen near them, and returns.

    Attributes:
      row: [cells] which request.
      chance: [cells] place in the history; returns follow, by `nearby.PLACES` further on.
      item: [cells] item number.
      lift: [cells] how many times its share an item is chosen there.
    """

    row: NDArray[np.int64]
    chance: NDArray[np.int64]
    item: NDArray[np.int64]
    lift: FloatArray

    def of_items(self, n_requests: int, n_items: int) -> FloatArray:
        """[n_requests, n_items] log-odds of all that was chosen nearby together."""
        cells = self.row * n_items + self.item
        lifts = np.bincount(cells, self.lift, n_requests * n_items)
        added = np.zeros(n_requests * n_items, np.float32)
        # a cell may stand here several times, but is assigned the same each time
        added[cells] = np.log1p(lifts[cells])
        return added.reshape(n_requests, n_items)


class SlowScorer:
    """Scores the catalogue for a batch of requests.

    Item vectors may be longer than the bundle's: items that came after it follow,
    with vectors made from their attributes.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.space = bundle.space
        self.calibration = bundle.calibration
        self._p = bundle.parameters
        self.vectors: FloatArray = bundle.parameters["item_vectors"]
        self.id_vectors: FloatArray = bundle.parameters["item_embedding"]
        self.bias: FloatArray = bundle.parameters["item_bias"]
        self.share: FloatArray = bundle.parameters["item_share"]
        self._nearby_indptr: NDArray[np.int64] = bundle.parameters["nearby_indptr"]
        self._nearby_items: NDArray[np.int32] = bundle.parameters["nearby_items"]
        self._nearby_lifts: FloatArray = bundle.parameters["nearby_lifts"]
        self._chance_weights: FloatArray = np.concatenate(
            [bundle.parameters["nearby_weights"], bundle.parameters["return_weights"]]
        )
        self._has_chances = bool(self._chance_weights.any())
        self.trust = float(bundle.parameters["trust"][0])
        self._scale = float(bundle.parameters["query_scale"][0])
        self._outcome_bias: FloatArray = bundle.parameters["outcome_item_bias"]
        self._liked_weights = np.exp(bundle.parameters["liked_decay"])
        self._disliked_weights = np.exp(bundle.parameters["disliked_decay"])

    def vector_of(self, slots: list[int], weights: list[float]) -> FloatArray:
        """[d] vector of an item that the bundle does not know, from its attribute values."""
        vector: FloatArray = self._p["item_embedding"][0].copy()
        # one after the other, as in `parameters.item_vectors`: the sums agree to the bit
        for slot, weight in zip(slots, weights, strict=True):
            vector += self._p["item_attribute_embedding"][slot] * np.float32(weight)
        return normalised(vector[None, :])[0] if self._scale > 0 else vector

    def history_inputs(self, batch: QueryBatch, vectors: FloatArray) -> FloatArray:
        """[batch, inputs] the trunk's inputs that change only when the user does something."""
        return np.concatenate(
            [
                self._p["user_embedding"][batch.user],
                _pooled(vectors, batch.liked, self._liked_weights),
                _pooled(vectors, batch.disliked, self._disliked_weights),
                _sum_present(vectors, batch.last[:, None]),
                _log_count(batch.liked),
                _log_count(batch.disliked),
            ],
            axis=1,
        )

    def hidden(self, history_inputs: FloatArray, attributes: NDArray[np.int32]) -> FloatArray:
        """The trunk.

        Args:
          history_inputs: [batch, inputs] from `history_inputs`.
          attributes: [batch, slots] as in `QueryBatch`.

        Returns:
          [batch, hidden + 3·d] the layer's outputs, then the history as it came in.
        """
        p = self._p
        moment = _sum_present(p["query_attribute_embedding"], attributes)
        inputs = np.concatenate([history_inputs, moment], axis=1)
        activation = np.maximum(row_by_row(inputs, p["hidden_kernel"]) + p["hidden_bias"], 0.0)
        first = p["user_embedding"].shape[1]
        straight = history_inputs[:, first : first + 3 * p["item_embedding"].shape[1]]
        return np.concatenate([activation, straight], axis=1)

    def wide(self, rows: NDArray[np.int32], n_items: int) -> FloatArray:
        """[batch, n_items] what the cross table and repetition add for these active rows."""
        positions, slot = entries(self._p["wide_indptr"], rows)
        items = self._p["wide_items"][positions]
        cells = items if len(rows) == 1 else slot // rows.shape[1] * n_items + items
        added = np.bincount(cells, self._p["wide_weights"][positions], len(rows) * n_items)
        scores = added.astype(np.float32).reshape(len(rows), n_items)
        request, place, item = self.space.repeats(rows)
        np.add.at(scores, (request, item), self._p["repeat_weights"][place])
        return scores

    def crosses(self, rows: NDArray[np.int32], item: int) -> list[tuple[int, float]]:
        """The (row, weight) pairs that add to one item's score.

        Args:
          rows: [1, slots] active rows of one request.
          item: Item number.

        Returns:
          Pairs, largest size first.
        """
        positions, slot = entries(self._p["wide_indptr"], rows)
        mine = self._p["wide_items"][positions] == item
        active = rows.ravel()[slot[mine]].tolist()
        weights = self._p["wide_weights"][positions[mine]].tolist()
        _, place, repeated = self.space.repeats(rows)
        place = place[repeated == item]
        active += rows[0, place].tolist()
        weights += self._p["repeat_weights"][place].tolist()
        return sorted(zip(active, weights, strict=True), key=lambda pair: -abs(pair[1]))

    def chances(self, newest: NDArray[np.integer]) -> Near:
        """What was chosen near the newest successes of requests, and returns to them.

        Args:
          newest: [batch, any] items of successes, newest first; -1, or beyond the bundle, for
            none.
        """
        position, slot = said(self._nearby_indptr, newest)
        row, place = np.divmod(slot, PLACES)
        met = newest[:, :PLACES]
        back = np.nonzero((met > 0) & (met < len(self.share)))
        again = met[back].astype(np.int64)
        return Near(
            np.concatenate([row, back[0]]),
            np.concatenate([place, PLACES + back[1]]),
            np.concatenate([self._nearby_items[position].astype(np.int64), again]),
            np.concatenate([self._nearby_lifts[position], 1.0 / self.share[again]]),
        )

    def nearby(self, newest: NDArray[np.integer]) -> Near:
        """`chances` as far as they count."""
        if not self._has_chances:
            none = np.empty(0, np.int64)
            return Near(none, none, none, none.astype(np.float32))
        near = self.chances(newest)
        return near._replace(lift=near.lift * self._chance_weights[near.chance])

    def lifted(self, newest: NDArray[np.integer], n_items: int) -> FloatArray:
        """[batch, n_items] log-odds that what was chosen nearby adds; see `nearby`."""
        return self.nearby(newest).of_items(len(newest), n_items)

    def scores(self, batch: QueryBatch) -> FloatArray:
        """[batch, items] the slow score whole.

        What was trained, as far as it is trusted, and what was chosen nearby.
        """
        slow = self.score(batch)
        trained = np.float32(self.trust) * (slow.wide + slow.deep + self.bias)
        return np.asarray(trained + self.lifted(batch.liked, trained.shape[1]))

    def score(self, batch: QueryBatch, vectors: FloatArray | None = None) -> Slow:
        """What was trained for the whole catalogue, bias not added.

        Args:
          batch: The requests.
          vectors: [items, d] item vectors; the bundle's own by default.
        """
        vectors = self.vectors if vectors is None else vectors
        hidden = self.hidden(self.history_inputs(batch, vectors), batch.attributes)
        return self.score_hidden(hidden, self.space.wide_rows(batch), vectors)

    def score_hidden(
        self, hidden: FloatArray, rows: NDArray[np.int32], vectors: FloatArray
    ) -> Slow:
        """The slow score from the trunk's output and the active rows of the cross table."""
        deep = self.queries(hidden) @ vectors.T
        return Slow(self.wide(rows, len(vectors)), deep, hidden)

    def queries(self, hidden: FloatArray) -> FloatArray:
        """[batch, d] what the retrieval head multiplies item vectors with."""
        query = row_by_row(hidden, self._p["query_kernel"]) + self._p["query_bias"]
        return np.float32(self._scale) * normalised(query) if self._scale > 0 else query

    def deep_scores(
        self, batch: QueryBatch, vectors: FloatArray, items: NDArray[np.intp]
    ) -> FloatArray:
        """[batch, items] the deep half's part for these items alone."""
        hidden = self.hidden(self.history_inputs(batch, vectors), batch.attributes)
        return np.asarray(self.queries(hidden) @ vectors[items].T)

    def outcome_logits(
        self, hidden: FloatArray, vectors: FloatArray, items: NDArray[np.integer]
    ) -> FloatArray:
        """Uncalibrated log-odds of success, given that the item is shown.

        Args:
          hidden: [batch, hidden + 3·d] trunk outputs.
          vectors: [all items, d] item vectors.
          items: [batch, k] item numbers; those beyond the bundle take the unknown's bias.

        Returns:
          [batch, k].
        """
        p = self._p
        query = row_by_row(hidden, p["outcome_kernel"]) + p["outcome_query_bias"]
        match = np.einsum("bd,bkd->bk", query, vectors[items])
        known = np.where(items < len(self._outcome_bias), items, 0)
        own = row_by_row(hidden, p["outcome_user_kernel"])
        return np.asarray(match + own + self._outcome_bias[known])

    def probabilities(
        self, hidden: FloatArray, vectors: FloatArray, items: NDArray[np.integer]
    ) -> NDArray[np.float64] | None:
        """[batch, k] calibrated chance of success; None where none could be learned."""
        if self.calibration is None:
            return None
        logits = self.outcome_logits(hidden, vectors, items).astype(np.float64)
        return 1.0 / (1.0 + np.exp(-(self.calibration.scale * logits + self.calibration.offset)))


def row_by_row(rows: FloatArray, table: FloatArray) -> FloatArray:
    """[batch, columns] products of [batch, k] rows with a [k, columns] table.

    A row's product is the same to the bit whatever stands beside it; the product of two
    matrices may add in another order.
    """
    return np.asarray(np.matmul(rows[:, None, :], table)[:, 0, :])


def _pooled(vectors: FloatArray, items: NDArray[np.int32], decay: FloatArray) -> FloatArray:
    """[batch, d] weighted mean of a history; zeros for an empty one."""
    weights = np.where(items >= 0, decay, np.float32(0.0))
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-9))
    return np.asarray(np.matmul(weights[:, None, :], vectors[np.maximum(items, 0)])[:, 0, :])


def _sum_present(table: FloatArray, numbers: NDArray[np.int32]) -> FloatArray:
    """[batch, columns] sum of the rows that are named, -1 naming none."""
    present = (numbers >= 0)[:, :, None]
    return np.asarray((table[np.maximum(numbers, 0)] * present).sum(axis=1, dtype=np.float32))


def _log_count(items: NDArray[np.int32]) -> FloatArray:
    """[batch, 1] log(1 + length) of a history."""
    return np.asarray(np.log1p((items >= 0).sum(axis=1, keepdims=True).astype(np.float32)))
