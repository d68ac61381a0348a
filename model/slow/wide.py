"""The wide half: one learned log-odds for every admitted (row, item) pair."""

from typing import Any

from numpy.typing import NDArray

from model.slow.engine import tf


class WideCrosses(tf.keras.layers.Layer):
    """Adds the weights of the active rows to the items' logits.

    Attributes:
      weights_by_pair: [pairs] the weights, in the order of the cross table.
      repeat_weights: [places] what an item gains by its place in the request's own history.
    """

    def __init__(self, weights: NDArray[Any], repeats: NDArray[Any], *, trained: bool) -> None:
        super().__init__(name="wide")
        self.weights_by_pair = tf.Variable(weights, name="cross_weights", trainable=trained)
        self.repeat_weights = tf.Variable(repeats, name="repeat_bias", trainable=trained)

    def call(self, scores: Any, pairs: Any, logits: Any) -> Any:
        """The scores with the wide half's part added.

        Args:
          scores: [batch, items] what the other parts say.
          pairs: [touched] entries of the cross table, then of the repeat weights, -1 padded.
          logits: [touched] the cell of `scores`, counted row by row, each adds to.

        Returns:
          [batch, items].
        """
        size = self.weights_by_pair.shape[0] + self.repeat_weights.shape[0]

        @tf.custom_gradient
        def added(before: Any, weights: Any) -> Any:
            def gradient(upstream: Any) -> Any:
                return upstream, _felt(upstream, pairs, logits, size)

            return _added(before, weights, pairs, logits), gradient

        return added(scores, tf.concat([self.weights_by_pair, self.repeat_weights], axis=0))


# Compiled, for the library's own scatter operations take ten times as long.
@tf.function(jit_compile=True)
def _added(scores: Any, weights: Any, pairs: Any, logits: Any) -> Any:
    """[batch, items] the scores with each touched pair's weight added to its cell."""
    moved = tf.where(pairs >= 0, tf.gather(weights, tf.maximum(pairs, 0)), 0.0)
    flat = tf.tensor_scatter_nd_add(tf.reshape(scores, [-1]), logits[:, None], moved)
    return tf.reshape(flat, tf.shape(scores))


@tf.function(jit_compile=True)
def _felt(upstream: Any, pairs: Any, logits: Any, size: int) -> Any:
    """[size] the gradient of every pair's weight.

    Dense: a batch touches most pairs several times over, and FTRL leaves a weight with
    zero gradient where it was.
    """
    felt = tf.gather(tf.reshape(upstream, [-1]), logits)
    return tf.math.unsorted_segment_sum(felt, pairs, size)


class WarmFtrl(tf.keras.optimizers.legacy.Ftrl):
    """FTRL that can go on from weights that are not zero.

    FTRL keeps a running sum for every weight and works the weight out from it anew at
    each step (McMahan et al. 2013, algorithm 1). With a sum of zero beside a weight that
    is not, the first step would forget the weight; here the sum starts where it gives
    the weight back.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._warm: set[Any] = set()

    def _create_slots(self, var_list: list[Any]) -> None:
        # asked for again whenever a step is compiled for batches of another shape
        var_list = [weights for weights in var_list if weights.ref() not in self._warm]
        self._warm.update(weights.ref() for weights in var_list)
        super()._create_slots(var_list)
        l1 = self._get_hyper("l1_regularization_strength", tf.float32)
        step = self._get_hyper("learning_rate", tf.float32)
        for weights in var_list:
            strength = tf.sqrt(self.get_slot(weights, "accumulator")) / step
            self.get_slot(weights, "linear").assign(-weights * strength - tf.sign(weights) * l1)
