"""Trains the slow model: jointly, seeded, stopped by a time-split validation tail."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import ParityError
from model.slow.bundle import Bundle, make_bundle
from model.slow.config import SlowConfig
from model.slow.crosses import entries
from model.slow.engine import tf
from model.slow.evaluation import evaluate
from model.slow.examples import Examples
from model.slow.features import QueryBatch
from model.slow.parameters import Parameters
from model.slow.scorer import SlowScorer
from model.slow.wide_deep import WideDeep

PARITY_TOLERANCE = 1e-5

_SIGNATURE = {
    "user": tf.TensorSpec([None], tf.int32),
    "liked": tf.TensorSpec([None, None], tf.int32),
    "disliked": tf.TensorSpec([None, None], tf.int32),
    "last": tf.TensorSpec([None], tf.int32),
    "attributes": tf.TensorSpec([None, None], tf.int32),
    "positions": tf.TensorSpec([None], tf.int64),
    "example": tf.TensorSpec([None], tf.int64),
    "ranked": tf.TensorSpec([None], tf.int64),
    "target": tf.TensorSpec([None], tf.int32),
    "label": tf.TensorSpec([None], tf.float32),
    "labelled": tf.TensorSpec([None], tf.float32),
    "weight": tf.TensorSpec([None], tf.float32),
}


class OnProgress(Protocol):
    """Told how far training has come."""

    def __call__(self, done: int, total: int, note: str) -> None:
        """`done` of at most `total` steps are behind; `note` is a short text for people."""


@dataclass(frozen=True)
class Plan:
    """How long and how hard to train.

    Attributes:
      seed: Decides shuffles and dropout; the same seed gives the same arrays.
      epochs: Most passes.
      validation: Positions to watch; when given, training stops `patience` epochs
        after their loss was lowest, and the arrays of that moment are kept.
      learning_rate_scale: Factor on both learning rates.
      on_progress: Called after every step.
    """

    seed: int
    epochs: int
    validation: NDArray[np.intp] | None = None
    learning_rate_scale: float = 1.0
    on_progress: OnProgress | None = None


@dataclass(frozen=True)
class Fit:
    """A fitted model and how it came about.

    Attributes:
      parameters: The trained arrays.
      epochs: Passes that the kept arrays have seen.
      losses: [epochs run] mean training loss in nats.
      validation: [epochs run] loss on the validation tail in nats; empty without one.
    """

    parameters: Parameters
    epochs: int
    losses: list[float]
    validation: list[float]


def fit(
    parameters: Parameters,
    examples: Examples,
    train: NDArray[np.intp],
    config: SlowConfig,
    plan: Plan,
) -> Fit:
    """Trains both halves together from the given arrays.

    Args:
      parameters: Where to start; left unchanged.
      examples: Encoded events.
      train: Positions to learn from, shuffled anew every epoch.
      config: Hyper-parameters.
      plan: How long and how hard.
    """
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    model = WideDeep(parameters, config)
    model.optimise(plan.learning_rate_scale)
    step = _step_function(model)
    steps = -(-len(train) // config.batch_size)
    best, best_epoch = dict(parameters), 0
    losses: list[float] = []
    curve: list[float] = []
    for epoch in range(1, plan.epochs + 1):
        total = 0.0
        for done, batch in enumerate(_shuffled(examples, train, parameters, config, rng), 1):
            total += float(step(batch))
            if plan.on_progress is not None:
                note = f"epoch {epoch}, loss {total / done:.3f}"
                plan.on_progress((epoch - 1) * steps + done, plan.epochs * steps, note)
        losses.append(total / max(steps, 1))
        current = parameters | model.trained_parameters()
        if plan.validation is None:
            best, best_epoch = current, epoch
            continue
        judged = evaluate(make_bundle(examples.space, current, None), examples, plan.validation)
        curve.append(judged.joint_loss(config.outcome_weight))
        if curve[-1] < min(curve[:-1], default=np.inf):
            best, best_epoch = current, epoch
        elif epoch - best_epoch >= config.patience:
            break
    return Fit(best, best_epoch, losses, curve)


def _step_function(model: WideDeep) -> Callable[[dict[str, Any]], Any]:
    @tf.function(input_signature=[_SIGNATURE])
    def step(batch: dict[str, Any]) -> Any:
        return model.train_step(batch)["loss"]

    return step  # type: ignore[no-any-return]


def _shuffled(
    examples: Examples,
    which: NDArray[np.intp],
    parameters: Parameters,
    config: SlowConfig,
    rng: np.random.Generator,
) -> Iterator[dict[str, Any]]:
    order = rng.permutation(which)
    for start in range(0, len(order), config.batch_size):
        yield training_batch(
            examples, order[start : start + config.batch_size], parameters["wide_indptr"]
        )


def training_batch(
    examples: Examples, which: NDArray[np.intp], indptr: NDArray[np.int64]
) -> dict[str, Any]:
    """The arrays of one step, as `WideDeep.compute_loss` wants them."""
    queries = examples.queries(which)
    ranked = np.flatnonzero(examples.success[which])
    return {
        **query_arrays(examples, queries, ranked, indptr),
        "target": examples.item[which],
        "label": examples.label[which],
        "labelled": examples.labelled[which].astype(np.float32),
        "weight": examples.weight[which],
    }


def query_arrays(
    examples: Examples, queries: QueryBatch, ranked: NDArray[np.intp], indptr: NDArray[np.int64]
) -> dict[str, Any]:
    """The query side of a batch, with the crosses that the rows in `ranked` touch."""
    rows = examples.space.wide_rows(queries)[ranked]
    # in order of the rows, so that the gradient walks through the table and not across it
    order = np.argsort(rows, axis=None, kind="stable")
    positions, place = entries(indptr, rows.ravel()[order][:, None])
    return {
        **queries._asdict(),
        "ranked": ranked.astype(np.int64),
        "positions": positions,
        "example": order[place] // rows.shape[1],
    }


def check_parity(bundle: Bundle, examples: Examples, which: NDArray[np.intp]) -> float:
    """Compares the NumPy scorer with TensorFlow on real requests.

    Args:
      bundle: As it will be published, best read back from its files.
      examples: Events encoded with the bundle's space.
      which: Positions whose queries to compare.

    Returns:
      The largest difference in score or outcome log-odds.

    Raises:
      ParityError: If it exceeds 1e-5, or a score is not finite.
    """
    scorer = SlowScorer(bundle)
    queries = examples.queries(which)
    slow = scorer.score(queries)
    served = slow.wide + slow.deep + scorer.bias
    items = examples.item[which]
    odds = scorer.outcome_logits(slow.hidden, scorer.vectors, items[:, None])[:, 0]
    model = WideDeep(bundle.parameters, SlowConfig())
    arrays = query_arrays(
        examples, queries, np.arange(len(which)), np.asarray(bundle.parameters["wide_indptr"])
    )
    scores, hidden, vectors = model.logits(arrays, training=False)
    trained_odds = model.deep.outcome_logits(hidden, vectors, items)
    difference = max(
        float(np.abs(served - scores.numpy()).max(initial=0.0)),
        float(np.abs(odds - trained_odds.numpy()).max(initial=0.0)),
    )
    if not difference <= PARITY_TOLERANCE:
        raise ParityError(
            f"the NumPy scorer must equal TensorFlow within {PARITY_TOLERANCE:g} on "
            f"{len(which)} requests, got a difference of {difference:g}"
        )
    return difference
