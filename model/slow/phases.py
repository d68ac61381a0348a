"""Two phases of learning: which item of a category first, then which category.

The chance of an item is that of its category times its own within the category,

    log P(item) = log P(category) + log P(item | category),

so the loss of a list splits exactly into a planning term and an execution term. Training
begins on the plain loss. Once the execution loss and the calibration, measured on events
that are not taught, are flat, the planning term of the new successes counts more: mechanics
before strategy, as language models learn to reason (Wang et al. 2025, arXiv 2509.03646).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.metrics import expected_calibration_error
from model.slow.bundle import Bundle, Calibration
from model.slow.evaluation import evaluate, thinned
from model.slow.examples import Examples
from model.slow.reference import log_softmax
from model.slow.scorer import SlowScorer
from model.slow.vocabulary import UNKNOWN

FLAT: Final = 0.002
"""Largest relative change of the execution loss between two checks that counts as none."""
PATIENCE: Final = 3
"""So many changes in a row must be flat."""

_BINS: Final = 15
_MOST_LISTS: Final = 1_000
# Small enough that the chances of a batch stay in the processor's caches.
_CELLS: Final = 2**20
_LEAST_CHANCE: Final = 1e-300

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Planning:
    """What two-phase learning needs to know.

    Attributes:
      categories: [items] category number of each item.
      weights: [events] weight of each event's planning term in the second phase.
      watched: Positions of events that are not taught, to measure the checks on.
      calibration: Of the outcome head, for the checks; None for its raw log-odds.
      checks: How many checks a training makes.
    """

    categories: NDArray[np.int32]
    weights: NDArray[np.float32]
    watched: NDArray[np.intp]
    calibration: Calibration | None
    checks: int = 20


@dataclass(frozen=True)
class Check:
    """What was measured at one moment of training, on events that are not taught.

    Attributes:
      step: Steps that were behind.
      execution: Mean -log P(item | category) of the successes, in nats.
      planning: Mean -log P(category), in nats.
      calibration: ECE of the outcome head; where there are successes only, how far the
        items' expected shares are from those observed (`bias_error`).
      noise: Standard error of a share among so many events.
      within_entropy: Mean entropy H(q) of the choice within a category, in nats.
      category_entropy: Mean entropy H(pi) of the choice of a category, in nats.
    """

    step: int
    execution: float
    planning: float
    calibration: float
    noise: float
    within_entropy: float
    category_entropy: float


@dataclass(frozen=True)
class Course:
    """How a training in two phases went.

    Attributes:
      steps: Steps in all.
      switch: The step after which the second phase began; None where it never did.
      checks: What was measured, in order.
    """

    steps: int
    switch: int | None
    checks: tuple[Check, ...]

    def as_json(self) -> dict[str, Any]:
        """For a manifest."""
        return {
            "steps": self.steps,
            "switch": self.switch,
            "checks": [asdict(check) for check in self.checks],
        }


def settled(checks: Sequence[Check], *, flat: float = FLAT, patience: int = PATIENCE) -> bool:
    """Whether the mechanics are learned: the newest changes are all flat.

    A change is flat where the execution loss moved by less than the share `flat` of itself,
    and the calibration by no more than its noise.

    Args:
      checks: In order; at least `patience` + 1 are needed.
      flat: Largest relative change of the execution loss.
      patience: How many changes must be flat.
    """
    newest = checks[-patience - 1 :]
    return len(newest) > patience and all(
        abs(after.execution - before.execution) < flat * before.execution
        and abs(after.calibration - before.calibration) <= after.noise
        for before, after in pairwise(newest)
    )


def planning_weights(reward: Floats, expected: Floats, gain: float) -> NDArray[np.float32]:
    """[events] 1 + gain · sgn(reward - expected): the weight of each planning term.

    Args:
      reward: [events] what came of each event, 1 for a success.
      expected: [events] the chance of it that was served before it happened.
      gain: By how much a surprise counts more, and a disappointment less.
    """
    return (1.0 + gain * np.sign(reward - expected)).astype(np.float32)


def measured(
    bundle: Bundle,
    examples: Examples,
    which: NDArray[np.intp],
    categories: NDArray[np.int32],
    step: int,
) -> Check:
    """A check of a model on the events at these positions.

    Args:
      bundle: The model.
      examples: Events.
      which: Positions; at most 1,000 successes among them, evenly spread, are ranked.
      categories: [items] category numbers.
      step: Steps of training that are behind.
    """
    known = which[examples.success[which] & (examples.item[which] != UNKNOWN)]
    known = thinned(known, _MOST_LISTS)
    # a model that exploded has a check of its own: numbers that are none
    with np.errstate(over="ignore", invalid="ignore"):
        means, expected = _lists(SlowScorer(bundle), examples, known, categories)
        calibration, noise = _calibration(bundle, examples, which, known, expected)
    planning, total, category_entropy, total_entropy = means.tolist()
    return Check(
        step=step,
        execution=total - planning,
        planning=planning,
        calibration=calibration,
        noise=noise,
        within_entropy=total_entropy - category_entropy,
        category_entropy=category_entropy,
    )


def bias_error(expected: Floats, observed: Floats, bins: int = _BINS) -> float:
    """How far shares are from those expected, half the sum of the gaps over bins of equal mass.

    Args:
      expected: [items] shares that sum to 1.
      observed: [items] shares that sum to 1.
      bins: How many; items of like expectation share one.
    """
    order = np.argsort(expected, kind="stable")
    mass = np.cumsum(expected[order]) - expected[order] / 2.0
    place = np.clip((mass * bins).astype(np.intp), 0, bins - 1)
    gaps = np.bincount(place, (expected - observed)[order], minlength=bins)
    return float(np.abs(gaps).sum() / 2.0)


def _lists(
    scorer: SlowScorer,
    examples: Examples,
    which: NDArray[np.intp],
    categories: NDArray[np.int32],
) -> tuple[Floats, Floats]:
    """Mean of the planning loss, the loss, H(pi) and H; and the mean chance of each item."""
    # the unknown item, the first, is no candidate
    order = np.argsort(categories[1:], kind="stable")
    _, starts, own = np.unique(categories[1:][order], return_index=True, return_inverse=True)
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    sums, chances = np.zeros(4), np.zeros(len(order))
    at_once = max(_CELLS // len(categories), 16)
    for start in range(0, len(which), at_once):
        batch = which[start : start + at_once]
        slow = scorer.score(examples.queries(batch))
        scores = (slow.wide + slow.deep + scorer.bias)[:, 1:][:, order]
        log_p = log_softmax(scores.astype(np.float64))
        p = np.exp(log_p)
        pi = np.add.reduceat(p, starts, axis=1)
        log_pi = np.log(np.maximum(pi, _LEAST_CHANCE))
        rows, target = np.arange(len(batch)), place[examples.item[batch] - 1]
        sums -= (
            log_pi[rows, own[target]].sum(),
            log_p[rows, target].sum(),
            (pi * log_pi).sum(),
            (p * log_p).sum(),
        )
        chances[order] += p.sum(axis=0)
    return sums / max(len(which), 1), chances / max(len(which), 1)


def _calibration(
    bundle: Bundle,
    examples: Examples,
    which: NDArray[np.intp],
    known: NDArray[np.intp],
    expected: Floats,
) -> tuple[float, float]:
    """The calibration error, and the standard error of a share among so many events."""
    labels = examples.label[which[examples.labelled[which]]]
    if len(labels) and 0.0 < float(labels.mean()) < 1.0:
        seen = evaluate(bundle, examples, which, most_ranked=0)
        seen = seen.calibrated(bundle.calibration or Calibration(1.0, 0.0))
        rate = float(seen.labels.mean())
        error = expected_calibration_error(seen.probabilities, seen.labels)
        return error, float(np.sqrt(rate * (1.0 - rate) / len(seen.labels)))
    observed = np.bincount(examples.item[known] - 1, minlength=len(expected))
    n = max(len(known), 1)
    return bias_error(expected, observed / n), float(np.sqrt(0.25 / n))
