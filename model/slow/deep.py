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
    "outcome_kernel",
    "outcome_query_bias",
    "outcome_user_kernel",
    "outcome_item_bias",
)


class DeepTowers(tf.keras.layers.Layer):
    """Query and item towers over shared item vectors.

    Axis letters: N items with the unknown one, d dimensions, L history.
    """

    def __init__(self, parameters: Mapping[str, NDArray[Any]], config: SlowConfig) -> None:
        super().__init__(name="deep")
        self._config = config
        self.p = {
            name: tf.Variable(np.asarray(parameters[name], np.float32), name=name)
            for name in DEEP_PARAMETERS
        }
        n_items = len(parameters["item_bias"])
        indptr = parameters["item_slot_indptr"]
        rows = np.repeat(np.arange(n_items), np.diff(indptr))
        places = np.stack([rows, parameters["item_slots"]], axis=1).astype(np.int64)
        self._slots = tf.SparseTensor(
            places.reshape(-1, 2),
            np.asarray(parameters["item_slot_weights"], np.float32),
            (n_items, len(parameters["item_attribute_embedding"])),
        )
        self._n_items = n_items

    def item_vectors(self, *, training: bool) -> Any:
        """[N, d] item vectors: id embedding plus the mean embedding of each attribute.

        In training some ids are replaced by the unknown one, so that attributes
        learn to carry an item whose id nobody has seen.
        """
        ids = tf.range(self._n_items)
        if training and self._config.id_dropout > 0:
            hidden = tf.random.uniform((self._n_items,)) < self._config.id_dropout
            ids = tf.where(hidden, 0, ids)
        embedded = tf.gather(self.p["item_embedding"], ids)
        return embedded + tf.sparse.sparse_dense_matmul(
            self._slots, self.p["item_attribute_embedding"]
        )

    def hidden(self, batch: Mapping[str, Any], vectors: Any, *, training: bool) -> Any:
        """[batch, hidden] the trunk that both heads share."""
        user = batch["user"]
        if training and self._config.id_dropout > 0:
            unknown = tf.random.uniform(tf.shape(user)) < self._config.id_dropout
            user = tf.where(unknown, 0, user)
        parts = [
            tf.gather(self.p["user_embedding"], user),
            self._pooled(vectors, batch["liked"], "liked_decay", training=training),
            self._pooled(vectors, batch["disliked"], "disliked_decay", training=training),
            self._sum_present(vectors, batch["last"][:, None]),
            self._log_count(batch["liked"]),
            self._log_count(batch["disliked"]),
            self._sum_present(self.p["query_attribute_embedding"], batch["attributes"]),
        ]
        inputs = tf.concat(parts, axis=1)
        activation = tf.nn.relu(inputs @ self.p["hidden_kernel"] + self.p["hidden_bias"])
        if training and self._config.hidden_dropout > 0:
            activation = tf.nn.dropout(activation, self._config.hidden_dropout)
        return activation

    def retrieval_logits(self, hidden: Any, vectors: Any) -> Any:
        """[batch, N] the deep half's and the bias's part of the score."""
        query = hidden @ self.p["query_kernel"] + self.p["query_bias"]
        return tf.matmul(query, vectors, transpose_b=True) + self.p["item_bias"]

    def outcome_logits(self, hidden: Any, vectors: Any, items: Any) -> Any:
        """[batch] log-odds that each row's item is a success, given that it was shown."""
        query = hidden @ self.p["outcome_kernel"] + self.p["outcome_query_bias"]
        match = tf.reduce_sum(query * tf.gather(vectors, items), axis=1)
        own = tf.squeeze(hidden @ self.p["outcome_user_kernel"], axis=1)
        return match + own + tf.gather(self.p["outcome_item_bias"], items)

    def _pooled(self, vectors: Any, items: Any, decay: str, *, training: bool) -> Any:
        """[batch, d] weighted mean of the history, weights learned by recency rank."""
        present = tf.cast(items >= 0, tf.float32)
        if training and self._config.history_dropout > 0:
            kept = tf.random.uniform(tf.shape(items)) >= self._config.history_dropout
            present *= tf.cast(kept, tf.float32)
        weights = present * tf.exp(self.p[decay])
        weights /= tf.maximum(tf.reduce_sum(weights, axis=1, keepdims=True), 1e-9)
        # as a sparse product: gathering every vector first would move far more memory
        places = tf.where(weights > 0)
        columns = tf.cast(tf.gather_nd(items, places), tf.int64)
        pooling = tf.SparseTensor(
            tf.stack([places[:, 0], columns], axis=1),
            tf.gather_nd(weights, places),
            (tf.shape(items, tf.int64)[0], self._n_items),
        )
        return tf.sparse.sparse_dense_matmul(pooling, vectors)

    @staticmethod
    def _sum_present(table: Any, numbers: Any) -> Any:
        """[batch, columns] sum of the table's rows that are named, -1 naming none."""
        present = tf.cast(numbers >= 0, tf.float32)[:, :, None]
        return tf.reduce_sum(tf.gather(table, tf.maximum(numbers, 0)) * present, axis=1)

    @staticmethod
    def _log_count(items: Any) -> Any:
        """[batch, 1] log(1 + length) of a history, so that the tower knows how sure to be."""
        return tf.math.log1p(tf.reduce_sum(tf.cast(items >= 0, tf.float32), 1, keepdims=True))
