"""Trains the slow model: jointly, seeded, stopped by a time-split validation tail."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from model.errors import ParityError
from model.slow.batches import Batches, rows_of
from model.slow.bundle import Bundle, make_bundle
from model.slow.config import SlowConfig
from model.slow.engine import tf
from model.slow.evaluation import evaluate
from model.slow.examples import Examples
from model.slow.parameters import Parameters
from model.slow.phases import Check, Course, Planning, measured, settled
from model.slow.reference import AdaptiveWeight, Guidance
from model.slow.scorer import SlowScorer
from model.slow.wide_deep import WideDeep

PARITY_TOLERANCE: Final = 1e-5

_BATCHES_AHEAD: Final = 3
# Successes that are ranked after every epoch to see whether the next one is worth it.
_MOST_WATCHED: Final = 4_000


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
      guidance: A reference to stay near to or to learn from; None for none.
      planning: How to learn in two phases; None to learn in one.
      paced_by: Positions of events that the starting arrays have learned, to measure the
        usual size of gradients on; None where nothing has been learned yet.
      on_progress: Called after every step.
    """

    seed: int
    epochs: int
    validation: NDArray[np.intp] | None = None
    learning_rate_scale: float = 1.0
    guidance: Guidance | None = None
    planning: Planning | None = None
    paced_by: NDArray[np.intp] | None = None
    on_progress: OnProgress | None = None


@dataclass(frozen=True)
class Fit:
    """A fitted model and how it came about.

    Attributes:
      parameters: The trained arrays.
      epochs: Passes that the kept arrays have seen.
      losses: [epochs run] mean training loss in nats.
      validation: [epochs run] loss on the validation tail in nats; empty without one.
      drifts: [steps] drift from the reference on the step's probes in nats, and the weight
        that it had in the loss; empty without probes.
      course: How the two phases went; None where there was one.
    """

    parameters: Parameters
    epochs: int
    losses: list[float]
    validation: list[float]
    drifts: list[tuple[float, float]] = field(default_factory=list)
    course: Course | None = None


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
    return Trainer(parameters, examples, config, plan).fit(train, plan)


class Trainer:
    """Trains from the same arrays as often as it is asked to, and compiles the step once."""

    def __init__(
        self, parameters: Parameters, examples: Examples, config: SlowConfig, plan: Plan
    ) -> None:
        """Makes the model and its optimisers, paced as the plan says.

        Args:
          parameters: Where every fit starts; left unchanged.
          examples: Encoded events.
          config: Hyper-parameters.
          plan: Of the first fit.
        """
        tf.config.experimental.enable_op_determinism()
        tf.random.set_seed(plan.seed)
        self._parameters, self._examples, self._config = parameters, examples, config
        self._model = WideDeep(parameters, config)
        self._model.optimise(plan.learning_rate_scale)
        if plan.paced_by is not None and len(plan.paced_by):
            learned = Batches(examples, plan.paced_by, parameters, config)
            self._model.pace(_ahead(learned.epoch(np.random.default_rng(plan.seed))))
        self._step = _step_function(self._model)
        self._start = [variable.numpy().copy() for variable in self._model.state()]

    def fit(self, train: NDArray[np.intp], plan: Plan) -> Fit:
        """Trains both halves together, from the start.

        Args:
          train: Positions to learn from, shuffled anew every epoch.
          plan: The first fit's, or one with the same guidance, learning rates and pace.
        """
        tf.random.set_seed(plan.seed)
        for variable, value in zip(self._model.state(), self._start, strict=True):
            variable.assign(value)
        rng = np.random.default_rng(plan.seed)
        parameters, examples = self._parameters, self._examples
        batches = Batches(examples, train, parameters, self._config, plan.guidance, plan.planning)
        leash = _Leash(self._model, plan.guidance)
        n_steps = batches.n_steps * plan.epochs
        phases = _Phases(self._model, plan.planning, examples, parameters, n_steps)
        best, best_epoch = dict(parameters), 0
        losses: list[float] = []
        curve: list[float] = []
        for epoch in range(1, plan.epochs + 1):
            total = 0.0
            for done, batch in enumerate(_ahead(batches.epoch(rng)), start=1):
                total += float(self._step(batch))
                leash.felt()
                phases.felt((epoch - 1) * batches.n_steps + done)
                if plan.on_progress is not None:
                    note = f"epoch {epoch}, loss {total / done:.3f}"
                    plan.on_progress((epoch - 1) * batches.n_steps + done, n_steps, note)
            losses.append(total / max(batches.n_steps, 1))
            current = parameters | self._model.trained_parameters()
            if plan.validation is None:
                best, best_epoch = current, epoch
                continue
            curve.append(self._watched(current, plan.validation))
            if curve[-1] < min(curve[:-1], default=np.inf):
                best, best_epoch = current, epoch
            elif epoch - best_epoch >= self._config.patience:
                break
        return Fit(best, best_epoch, losses, curve, leash.drifts, phases.course())

    def _watched(self, parameters: Parameters, validation: NDArray[np.intp]) -> float:
        """The loss on the validation tail in nats."""
        bundle = make_bundle(self._examples.space, parameters, None)
        judged = evaluate(bundle, self._examples, validation, most_ranked=_MOST_WATCHED)
        return judged.joint_loss(self._config.outcome_weight)


class _Leash:
    """Keeps the drift from the reference near its target, step by step.

    Attributes:
      drifts: [steps] the drift in nats, and its weight in that step's loss.
    """

    def __init__(self, model: WideDeep, guidance: Guidance | None) -> None:
        self._model = model
        probes = guidance.probes if guidance else None
        self._weight = AdaptiveWeight(probes.target, probes.weight) if probes else None
        self.drifts: list[tuple[float, float]] = []
        if self._weight is not None:
            model.drift_weight.assign(self._weight.value)

    def felt(self) -> None:
        """Takes note of the step that was made."""
        if self._weight is None:
            return
        drift = float(self._model.drift)
        self.drifts.append((drift, self._weight.value))
        self._model.drift_weight.assign(self._weight.after(drift))


class _Phases:
    """Looks from time to time whether the second phase may begin, and begins it."""

    def __init__(
        self,
        model: WideDeep,
        planning: Planning | None,
        examples: Examples,
        parameters: Parameters,
        n_steps: int,
    ) -> None:
        self._model, self._planning = model, planning
        self._examples, self._parameters = examples, parameters
        self._n_steps = n_steps
        self._switch: int | None = None
        self._checks: list[Check] = []
        self.felt(0)

    def felt(self, step: int) -> None:
        """Takes note that so many steps are behind."""
        planning = self._planning
        if planning is None or not len(planning.watched):
            return
        if step % max(self._n_steps // planning.checks, 1):
            return
        current = self._parameters | self._model.trained_parameters()
        bundle = make_bundle(self._examples.space, current, planning.calibration)
        self._checks.append(
            measured(bundle, self._examples, planning.watched, planning.categories, step)
        )
        if self._switch is None and settled(self._checks):
            self._switch = step
            self._model.planning_weight.assign(1.0)

    def course(self) -> Course | None:
        """How it went."""
        if self._planning is None:
            return None
        return Course(self._n_steps, self._switch, tuple(self._checks))


def _step_function(model: WideDeep) -> Callable[[dict[str, Any]], Any]:
    @tf.function(reduce_retracing=True, autograph=False)
    def step(batch: dict[str, Any]) -> Any:
        return model.train_step(batch)["loss"]

    return step  # type: ignore[no-any-return]


def _ahead(batches: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The batches, each built while the step before it computes."""
    first = next(batches, None)
    if first is None:
        return
    spec = tf.nest.map_structure(lambda a: tf.TensorSpec([None] * a.ndim, a.dtype), first)
    data = tf.data.Dataset.from_generator(
        lambda: itertools.chain([first], batches), output_signature=spec
    )
    yield from data.prefetch(_BATCHES_AHEAD)


def check_parity(bundle: Bundle, examples: Examples, which: NDArray[np.intp]) -> float:
    """Compares the NumPy scorer with TensorFlow on real requests.

    Args:
      bundle: As it will be published, best read back from its files.
      examples: Events encoded with the bundle's space.
      which: Positions whose queries to compare.

    Returns:
      The largest difference in score or outcome log-odds, as a share of those beyond 1: single
      precision has no more than seven digits, however large a score.

    Raises:
      ParityError: If it exceeds 1e-5, or a score is not finite.
    """
    scorer = SlowScorer(bundle)
    queries = examples.queries(which)
    slow = scorer.score(queries)
    served = slow.wide + slow.deep + scorer.bias
    items = examples.item[which]
    odds = scorer.outcome_logits(slow.hidden, scorer.vectors, items[:, None])[:, 0]
    config = SlowConfig(full_softmax_items=len(scorer.bias))
    model = WideDeep(bundle.parameters, config)
    batches = Batches(examples, which, bundle.parameters, config)
    batch = batches.batch(rows_of(which), rows_of(which[:0]), np.random.default_rng(0))
    scores, hidden, vectors = model.logits(batch)
    trained_odds = model.deep.outcome_logits(hidden, vectors, items)
    difference = max(
        _apart(served[:, 1:], scores.numpy()[:, 1:]), _apart(odds, trained_odds.numpy())
    )
    if not difference <= PARITY_TOLERANCE:
        raise ParityError(
            f"the NumPy scorer must equal TensorFlow within {PARITY_TOLERANCE:g} on "
            f"{len(which)} requests, got a difference of {difference:g}"
        )
    return difference


def _apart(served: NDArray[np.floating[Any]], trained: NDArray[np.floating[Any]]) -> float:
    size = np.maximum(np.abs(trained), 1.0)
    return float((np.abs(served - trained) / size).max(initial=0.0))
