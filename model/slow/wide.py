"""The wide half: one learned log-odds for every admitted (row, item) pair."""

from typing import Any

from model.slow.crosses import CrossTable
from model.slow.engine import tf


class WideCrosses(tf.keras.layers.Layer):
    """Adds the weights of the active rows to the items' logits.

    Attributes:
      weights_by_pair: [pairs] the weights, in the order of the cross table.
    """

    def __init__(self, table: CrossTable, n_items: int) -> None:
        super().__init__(name="wide")
        self._n_items = n_items
        self._pair_items = tf.constant(table.items, tf.int64)
        self.weights_by_pair = tf.Variable(table.weights, name="cross_weights")

    def call(self, positions: Any, example: Any, batch_size: Any) -> Any:
        """Logits of the wide half.

        Args:
          positions: [touched] entries of the cross table.
          example: [touched] row of the batch that touched each.
          batch_size: Rows of the batch.

        Returns:
          [batch, n_items] float32.
        """
        cells = example * self._n_items + tf.gather(self._pair_items, positions)
        added = tf.math.unsorted_segment_sum(
            gather_dense(self.weights_by_pair, positions), cells, batch_size * self._n_items
        )
        return tf.reshape(added, (batch_size, self._n_items))


class WarmFtrl(tf.keras.optimizers.legacy.Ftrl):
    """FTRL that can go on from weights that are not zero.

    FTRL keeps a running sum for every weight and works the weight out from it anew at
    each step (McMahan et al. 2013, algorithm 1). With a sum of zero beside a weight that
    is not, the first step would forget the weight; here the sum starts where it gives
    the weight back.
    """

    def _create_slots(self, var_list: list[Any]) -> None:
        super()._create_slots(var_list)
        l1 = self._get_hyper("l1_regularization_strength", tf.float32)
        step = self._get_hyper("learning_rate", tf.float32)
        for weights in var_list:
            strength = tf.sqrt(self.get_slot(weights, "accumulator")) / step
            self.get_slot(weights, "linear").assign(-weights * strength - tf.sign(weights) * l1)


def gather_dense(weights: Any, positions: Any) -> Any:
    """`tf.gather` whose gradient is dense.

    A batch touches most admitted pairs several times over, and the optimiser would
    sort hundreds of thousands of sparse rows to find the repeats. FTRL leaves a
    weight with zero gradient where it was, so the dense form gives the same result.
    """
    size = tf.size(weights)

    @tf.custom_gradient
    def gathered(values: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            return tf.math.unsorted_segment_sum(upstream, positions, size)

        return tf.gather(values, positions), gradient

    return gathered(weights)
