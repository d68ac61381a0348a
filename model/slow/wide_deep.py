"""Wide & Deep: both halves in one logit, one loss, one step (Cheng et al. 2016)."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.slow.batches import NO_CANDIDATE
from model.slow.config import SlowConfig
from model.slow.deep import Chance, DeepTowers
from model.slow.engine import tf, tfrs
from model.slow.wide import WarmFtrl, WideCrosses

_WORTH_FUSING = 1_000_000
_LEAST_CHANCE = 1e-37
# Steps after which Adam no longer corrects its means for having begun at nothing.
_LONG_TRAINED = 100_000

NOT_DECAYED = ("bias", "decay", "scale")


class CatalogueRetrieval(tf.keras.layers.Layer, tfrs.tasks.Task):
    """The retrieval task on logits over the competing items.

    `tfrs.tasks.Retrieval` multiplies query and candidate embeddings itself; here
    the logit also holds the wide half, so it comes in ready-made.
    """

    def call(self, logits: Any, goals: Any, sample_weight: Any) -> Any:
        """Mean cross-entropy of the targets, in nats.

        Args:
          logits: [successes, candidates] summed logits.
          goals: [successes] column of each row's target.
          sample_weight: [successes] how much each counts; 0 for an unknown target.

        Returns:
          A scalar.
        """

        @tf.custom_gradient
        def losses(scores: Any) -> Any:
            # the library's own operation takes three times as long as the matrix products
            chances = tf.nn.softmax(scores)

            places = tf.stack([tf.range(tf.size(goals)), goals], axis=1)

            def gradient(upstream: Any) -> Any:
                spread = upstream[:, None] * chances
                return tf.tensor_scatter_nd_sub(spread, places, upstream)

            return -tf.math.log(tf.gather_nd(chances, places) + _LEAST_CHANCE), gradient

        loss = losses(logits)
        return tf.reduce_sum(loss * sample_weight) / tf.maximum(tf.reduce_sum(sample_weight), 1e-9)


class WideDeep(tfrs.Model):
    """The jointly trained model: retrieval and outcome heads on a shared trunk."""

    def __init__(self, parameters: Mapping[str, NDArray[Any]], config: SlowConfig) -> None:
        super().__init__()
        self._config = config
        self.wide = WideCrosses(
            parameters["wide_weights"],
            parameters["repeat_weights"],
            trained=config.halves != "deep",
        )
        self.deep = DeepTowers(parameters, config)
        self.drift = tf.Variable(0.0, trainable=False)
        self.drift_weight = tf.Variable(0.0, trainable=False)
        self.planning_weight = tf.Variable(0.0, trainable=False)
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
        crosses, others = [], [*self.deep.trainable_variables]
        if config.halves != "deep":
            crosses, others = [self.wide.weights_by_pair], [*others, self.wide.repeat_weights]
        deep = tf.keras.optimizers.AdamW(
            config.deep_learning_rate * scale,
            weight_decay=config.deep_weight_decay,
            # fused, a large table is read and written once; a small one is not worth it
            jit_compile=sum(v.shape.num_elements() for v in others) > _WORTH_FUSING,
        )
        deep.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
        wide = WarmFtrl(
            config.wide_learning_rate * scale, l1_regularization_strength=config.wide_l1
        )
        self._wide_optimiser, self._deep_optimiser = wide, deep
        self._deep_variables = others
        # made here: a compiled step cannot make variables
        wide._create_all_weights(crosses)  # noqa: SLF001
        deep.build(others)
        self.compile(
            optimizer=tfrs.experimental.optimizers.CompositeOptimizer(
                [(wide, lambda: crosses), (deep, lambda: others)]
            )
        )

    def pace(self, batches: Iterable[Mapping[str, Any]]) -> None:
        """Gives a fresh Adam the gradients' usual sizes, as if it had trained so far.

        Adam divides a gradient by the root of its running mean square (Kingma and Ba 2015,
        algorithm 1). Where that mean begins with nothing, the first steps are as long as the
        learning rate allows, however small the gradients: a short training would mostly undo
        what the model knows. Here the means are measured, before anything moves, on batches
        of what it was trained on.

        Args:
          batches: As `compute_loss` wants them; without any nothing changes.
        """
        deep, variables = self._deep_optimiser, self._deep_variables

        @tf.function(reduce_retracing=True, autograph=False)
        def squares(batch: Mapping[str, Any]) -> Any:
            with tf.GradientTape() as tape:
                loss = self.compute_loss(batch, training=True)
            gradients = tape.gradient(loss, variables)
            return [tf.square(tf.convert_to_tensor(gradient)) for gradient in gradients]

        n = 0
        for n, batch in enumerate(batches, start=1):
            for mean, square in zip(deep._velocities, squares(batch), strict=True):  # noqa: SLF001
                mean.assign_add((square - mean) / n)
        if n:
            deep.iterations.assign(_LONG_TRAINED)
            for mean in deep._velocities:  # noqa: SLF001
                # a row that nothing chose in these batches has been chosen before
                mean.assign(tf.maximum(mean, tf.reduce_mean(mean)))

    def logits(self, batch: Mapping[str, Any], chance: Chance | None = None) -> Any:
        """The summed logit of every competing item, and what the outcome head needs.

        Args:
          batch: Query features; the first rows, as many as there are in `goal`, are scored,
            and `pairs` and `logits` name the crosses they touch.
          chance: Dropout; None for none.

        Returns:
          scores: [ranked, candidates], hidden: [batch, trunk], vectors: [n_items, d].
        """
        vectors = self.deep.item_vectors(chance)
        hidden = self.deep.hidden(batch, vectors, chance)
        goal = batch["goal"]
        query = self.deep.queries(hidden[: tf.shape(goal)[0]])
        if "candidates" not in batch:
            scores = tf.matmul(query, vectors, transpose_b=True) + (
                self.deep.p["item_bias"] - NO_CANDIDATE * tf.one_hot(0, tf.shape(vectors)[0])
            )
            return self.wide(scores, batch["pairs"], batch["logits"]), hidden, vectors
        items, correction = batch["candidates"], batch["correction"]
        scores = tf.matmul(query, tf.gather(vectors, items), transpose_b=True)
        scores += tf.gather(self.deep.p["item_bias"], items) - correction
        # a row's own target is there for certain
        own = tf.one_hot(goal, tf.shape(items)[0]) * correction
        scores = self.wide(scores + own, batch["pairs"], batch["logits"])
        return scores, hidden, vectors

    def compute_loss(self, inputs: Mapping[str, Any], training: bool = False) -> Any:  # noqa: FBT001, FBT002 - the library's signature
        """Retrieval loss on the successes plus the weighted outcome loss on all, in nats.

        With probes in the batch the weighted drift is added, with a teacher its soft lists,
        with weights of planning what these add to the loss of the categories.
        """
        chance = Chance(inputs["seed"]) if training else None
        scores, hidden, vectors = self.logits(inputs, chance)
        retrieval = self._retrieval(scores, inputs)
        outcome = self.outcome(
            labels=inputs["label"][:, None],
            predictions=self.deep.outcome_logits(hidden, vectors, inputs["target"])[:, None],
            compute_metrics=False,
        )
        labelled = inputs["labelled"]
        outcome = tf.reduce_sum(outcome * labelled) / tf.maximum(tf.reduce_sum(labelled), 1e-9)
        loss = retrieval + self._config.outcome_weight * outcome
        if "probe" in inputs:
            loss += self.drift_weight * self.drifted(inputs["probe"])
        if "planning" in inputs:
            loss += self.planning_weight * self.planned(scores, inputs)
        return loss

    def planned(self, scores: Any, inputs: Mapping[str, Any]) -> Any:
        """What weights other than 1 on -log P(category of the target) add to the loss, in nats."""
        categories, weight = inputs["categories"], inputs["weight"]
        own = tf.gather(categories, inputs["goal"])[:, None] == categories[None, :]
        inside = tf.reduce_logsumexp(tf.where(own, scores, -NO_CANDIDATE), axis=1)
        loss = tf.reduce_logsumexp(scores, axis=1) - inside
        hard = weight * (1.0 - inputs["softness"]) if "softness" in inputs else weight
        extra = (inputs["planning"] - 1.0) * hard
        return tf.reduce_sum(extra * loss) / tf.maximum(tf.reduce_sum(weight), 1e-9)

    def _retrieval(self, scores: Any, inputs: Mapping[str, Any]) -> Any:
        """The loss of the lists: against what was chosen, and against the teacher's."""
        goal, weight = inputs["goal"], inputs["weight"]
        if "soft" not in inputs:
            return self.retrieval(scores, goal, weight)
        softness, temperature = inputs["softness"] * weight, inputs["temperature"]
        total = tf.maximum(tf.reduce_sum(weight), 1e-9)
        hard = self.retrieval(scores, goal, weight - softness)
        soft = _divergence(
            tf.math.log(inputs["soft"] + _LEAST_CHANCE), tf.nn.log_softmax(scores / temperature)
        )
        soft = tf.reduce_sum(softness * soft) * temperature**2
        return (hard * tf.reduce_sum(weight - softness) + soft) / total

    def drifted(self, probe: Mapping[str, Any]) -> Any:
        """Mean divergence of the probes' lists from the reference's, in nats, without dropout."""
        scores, _, _ = self.logits(probe)
        own = tf.nn.log_softmax(scores + probe["mask"])
        drift = tf.reduce_mean(_divergence(own, probe["reference"]))
        self.drift.assign(drift)
        return drift

    def state(self) -> list[Any]:
        """Every variable that training moves, the optimisers' among them."""
        return [*self.variables, *self._wide_optimiser.variables(), *self._deep_optimiser.variables]

    def trained_parameters(self) -> dict[str, NDArray[np.float32]]:
        """The trained arrays under their bundle names."""
        arrays = {name: variable.numpy() for name, variable in self.deep.p.items()}
        arrays["wide_weights"] = self.wide.weights_by_pair.numpy()
        arrays["repeat_weights"] = self.wide.repeat_weights.numpy()
        return arrays


def _divergence(log_p: Any, log_q: Any) -> Any:
    """[rows] Kullback-Leibler divergence of p from q, in nats."""
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=1)
