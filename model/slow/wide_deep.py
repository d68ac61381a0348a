"""Wide & Deep: both halves in one logit, one loss, one step (Cheng et al. 2016)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.slow.config import SlowConfig
from model.slow.crosses import CrossTable
from model.slow.deep import DeepTowers
from model.slow.engine import tf, tfrs
from model.slow.wide import WarmFtrl, WideCrosses

NOT_DECAYED = ("bias", "decay")


class CatalogueRetrieval(tf.keras.layers.Layer, tfrs.tasks.Task):
    """The retrieval task on logits over the whole catalogue.

    `tfrs.tasks.Retrieval` multiplies query and candidate embeddings itself; here
    the logit also holds the wide half, so it comes in ready-made.
    """

    def call(self, logits: Any, targets: Any, sample_weight: Any) -> Any:
        """Mean cross-entropy of the targets, in nats.

        Args:
          logits: [successes, n_items] summed logits.
          targets: [successes] item numbers, 0 the unknown one.
          sample_weight: [successes] how much each counts; 0 for an unknown target.

        Returns:
          A scalar.
        """
        # the unknown item is not a candidate
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.maximum(targets - 1, 0), logits[:, 1:]
        )
        return tf.reduce_sum(loss * sample_weight) / tf.maximum(tf.reduce_sum(sample_weight), 1e-9)


class WideDeep(tfrs.Model):
    """The jointly trained model: retrieval and outcome heads on a shared trunk."""

    def __init__(self, parameters: Mapping[str, NDArray[Any]], config: SlowConfig) -> None:
        super().__init__()
        self._config = config
        table = CrossTable(
            parameters["wide_indptr"], parameters["wide_items"], parameters["wide_weights"]
        )
        self.wide = WideCrosses(table, len(parameters["item_bias"]))
        self.deep = DeepTowers(parameters, config)
        self.retrieval = CatalogueRetrieval()
        self.outcome = tfrs.tasks.Ranking(
            loss=tf.keras.losses.BinaryCrossentropy(
                from_logits=True, reduction=tf.keras.losses.Reduction.NONE
            )
        )

    def optimise(self, scale: float = 1.0) -> None:
        """Gives each half its optimiser: FTRL with L1 to the wide, AdamW to the deep.

        Args:
          scale: Factor on both learning rates.
        """
        config = self._config
        deep = tf.keras.optimizers.AdamW(
            config.deep_learning_rate * scale, weight_decay=config.deep_weight_decay
        )
        deep.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
        wide = WarmFtrl(
            config.wide_learning_rate * scale, l1_regularization_strength=config.wide_l1
        )
        self.compile(
            optimizer=tfrs.experimental.optimizers.CompositeOptimizer(
                [
                    (wide, lambda: self.wide.trainable_variables),
                    (deep, lambda: self.deep.trainable_variables),
                ]
            )
        )

    def logits(self, batch: Mapping[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        """The summed logit of every item for the chosen rows, and what the outcome head needs.

        Args:
          batch: Query features; `ranked` names the rows to score, and `positions`
            and `example` the crosses they touch, `example` counting within `ranked`.
          training: Whether dropout is on.

        Returns:
          scores: [ranked, n_items], hidden: [batch, hidden], vectors: [n_items, d].
        """
        vectors = self.deep.item_vectors(training=training)
        hidden = self.deep.hidden(batch, vectors, training=training)
        ranked = tf.gather(hidden, batch["ranked"])
        wide = self.wide(batch["positions"], batch["example"], tf.shape(ranked)[0])
        return self.deep.retrieval_logits(ranked, vectors) + wide, hidden, vectors

    def compute_loss(self, inputs: Mapping[str, Any], training: bool = False) -> Any:  # noqa: FBT001, FBT002 - the library's signature
        """Retrieval loss on the successes plus the weighted outcome loss on all, in nats."""
        scores, hidden, vectors = self.logits(inputs, training=training)
        target, ranked = inputs["target"], inputs["ranked"]
        goal = tf.gather(target, ranked)
        counted = tf.gather(inputs["weight"], ranked) * tf.cast(goal > 0, tf.float32)
        retrieval = self.retrieval(scores, goal, counted)
        outcome = self.outcome(
            labels=inputs["label"][:, None],
            predictions=self.deep.outcome_logits(hidden, vectors, target)[:, None],
            compute_metrics=False,
        )
        labelled = inputs["labelled"]
        outcome = tf.reduce_sum(outcome * labelled) / tf.maximum(tf.reduce_sum(labelled), 1e-9)
        return retrieval + self._config.outcome_weight * outcome

    def trained_parameters(self) -> dict[str, NDArray[np.float32]]:
        """The trained arrays under their bundle names."""
        arrays = {name: variable.numpy() for name, variable in self.deep.p.items()}
        arrays["wide_weights"] = self.wide.weights_by_pair.numpy()
        return arrays
