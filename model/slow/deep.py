"""The deep half: a query tower and an item tower that meet in a dot product."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.slow.config import SlowConfig
from model.slow.engine import tf

DEEP_PARAMETERS = (
    "item_embedding",
    "item_attribute_embedding",
    "item_bias",
    "user_embedding",
    "query_attribute_embedding",
    "liked_decay",
    "disliked_decay",
    "hidden_kernel",
    "hidden_bias",
    "query_kernel",
    "query_bias",
    "query_scale",
    "outcome_kernel",
    "outcome_query_bias",
    "outcome_user_kernel",
    "outcome_item_bias",
)


class Chance:
    """What is random in one step, decided by its seed alone."""

    def __init__(self, seed: Any) -> None:
        self._seed = seed
        self._drawn = 0

    def kept(self, shape: Any, share: float) -> Any:
        """[shape] 0 for a share of the cells, 1 for the others; each call draws anew."""
        self._drawn += 1
        seed = self._seed + tf.constant([0, self._drawn])
        return tf.cast(tf.random.stateless_uniform(shape, seed) >= share, tf.float32)


class DeepTowers(tf.keras.layers.Layer):
    """Query and item towers over shared item vectors.

    Axis letters: N items with the unknown one, d dimensions, L history.
    """

    def __init__(self, parameters: Mapping[str, NDArray[Any]], config: SlowConfig) -> None:
        super().__init__(name="deep")
        self._config = config
        lengths = np.diff(parameters["item_slot_indptr"])
        has_slots = bool(lengths.any())
        self._cosine = float(parameters["query_scale"][0]) > 0
        still = {
            *(() if has_slots else ("item_attribute_embedding",)),
            *(() if self._cosine else ("query_scale",)),
            *(("query_kernel", "query_bias", "query_scale") if config.halves == "wide" else ()),
        }
        self.p = {
            name: tf.Variable(
                np.asarray(parameters[name], np.float32),
                name=name,
                trainable=name not in still,
            )
            for name in DEEP_PARAMETERS
        }
        self._n_items = len(parameters["item_bias"])
        self._slots = (
            (
                tf.constant(np.repeat(np.arange(self._n_items), lengths), tf.int32),
                tf.constant(parameters["item_slots"], tf.int32),
                tf.constant(parameters["item_slot_weights"], tf.float32),
            )
            if has_slots
            else None
        )

    def item_vectors(self, chance: "Chance | None" = None) -> Any:
        """[N, d] item vectors: id embedding plus the mean embedding of each attribute.

        In training some ids are replaced by the unknown one, so that attributes
        learn to carry an item whose id nobody has seen.
        """
        embedded = self.p["item_embedding"]
        if self._slots is None:  # nothing could carry an item without its id
            return self._normalised(embedded)
        if chance is not None and self._config.id_dropout > 0:
            known = chance.kept((self._n_items,), self._config.id_dropout) > 0
            embedded = tf.gather(embedded, tf.where(known, tf.range(self._n_items), 0))
        rows, slots, weights = self._slots
        values = tf.gather(self.p["item_attribute_embedding"], slots) * weights[:, None]
        vectors = embedded + tf.math.unsorted_segment_sum(values, rows, self._n_items)
        return self._normalised(vectors)

    def _normalised(self, vectors: Any) -> Any:
        return tf.math.l2_normalize(vectors, axis=1) if self._cosine else vectors

    def hidden(self, batch: Mapping[str, Any], vectors: Any, chance: "Chance | None" = None) -> Any:
        """[batch, hidden + 3·d] the trunk that both heads share.

        The layer's outputs, then the history as it came in: liked, disliked, last.
        """
        user = batch["user"]
        if chance is not None and self._config.id_dropout > 0:
            known = chance.kept(tf.shape(user), self._config.id_dropout)
            user *= tf.cast(known, user.dtype)
        history = [
            self._pooled(vectors, batch["liked"], "liked_decay", chance),
            self._pooled(vectors, batch["disliked"], "disliked_decay", chance),
            self._sum_present(vectors, batch["last"][:, None]),
        ]
        parts = [
            tf.gather(self.p["user_embedding"], user),
            *history,
            self._log_count(batch["liked"]),
            self._log_count(batch["disliked"]),
            self._sum_present(self.p["query_attribute_embedding"], batch["attributes"]),
        ]
        inputs = tf.concat(parts, axis=1)
        activation = tf.nn.relu(inputs @ self.p["hidden_kernel"] + self.p["hidden_bias"])
        if chance is not None and self._config.hidden_dropout > 0:
            share = self._config.hidden_dropout
            activation *= chance.kept(tf.shape(activation), share) / (1.0 - share)
        return tf.concat([activation, *history], axis=1)

    def queries(self, hidden: Any) -> Any:
        """[batch, d] what the retrieval head multiplies item vectors with."""
        query = hidden @ self.p["query_kernel"] + self.p["query_bias"]
        return self.p["query_scale"] * self._normalised(query) if self._cosine else query

    def outcome_logits(self, hidden: Any, vectors: Any, items: Any) -> Any:
        """[batch] log-odds that each row's item is a success, given that it was shown."""
        query = hidden @ self.p["outcome_kernel"] + self.p["outcome_query_bias"]
        match = tf.reduce_sum(query * tf.gather(vectors, items), axis=1)
        own = tf.squeeze(hidden @ self.p["outcome_user_kernel"], axis=1)
        return match + own + tf.gather(self.p["outcome_item_bias"], items)

    def _pooled(self, vectors: Any, items: Any, decay: str, chance: "Chance | None") -> Any:
        """[batch, d] weighted mean of the history, weights learned by recency rank."""
        present = tf.cast(items >= 0, tf.float32)
        if chance is not None and self._config.history_dropout > 0:
            present *= chance.kept(tf.shape(items), self._config.history_dropout)
        weights = present * tf.exp(self.p[decay][: tf.shape(items)[1]])
        weights /= tf.maximum(tf.reduce_sum(weights, axis=1, keepdims=True), 1e-9)
        met = tf.gather(vectors, tf.maximum(items, 0))
        return tf.squeeze(tf.matmul(weights[:, None, :], met), axis=1)

    @staticmethod
    def _sum_present(table: Any, numbers: Any) -> Any:
        """[batch, columns] sum of the table's rows that are named, -1 naming none."""
        present = tf.cast(numbers >= 0, tf.float32)[:, :, None]
        return tf.reduce_sum(tf.gather(table, tf.maximum(numbers, 0)) * present, axis=1)

    @staticmethod
    def _log_count(items: Any) -> Any:
        """[batch, 1] log(1 + length) of a history, so that the tower knows how sure to be."""
        return tf.math.log1p(tf.reduce_sum(tf.cast(items >= 0, tf.float32), 1, keepdims=True))
