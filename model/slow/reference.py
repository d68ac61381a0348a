"""A frozen model beside the one that trains: to stay near to, and to learn doubt from.

The probes are requests that nothing is taught of. On them the drift is the Kullback-Leibler
divergence of the trained model's list from the reference's, over the items that the
reference knew: what is new may rise without being held back.

The teacher says what it thought of an event before it happened (a teacher that has seen the
answer teaches false confidence, Hinton et al. 2015 for the temperature).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.slow.examples import Examples
from model.slow.scorer import SlowScorer

# Steps whose mean drift decides whether the weight changes.
_STEPS_A_LOOK: Final = 4
_TOLERANCE: Final = 1.5
_FARTHEST: Final = 64.0
# Logit of what may not compete; finite, so that nothing times it is not a number.
_NO: Final = np.float32(-1e9)


@dataclass(frozen=True)
class Probes:
    """Where the trained model is held near the reference.

    Attributes:
      scorer: The reference, in the feature space of the examples.
      which: Positions of the requests.
      n_known: Items below this number were known to the reference.
      target: Drift in nats that the weight aims at.
      weight: The weight to begin with.
      size: Requests a step.
    """

    scorer: SlowScorer
    which: NDArray[np.intp]
    n_known: int
    target: float
    weight: float
    size: int = 32


@dataclass(frozen=True)
class Teacher:
    """Soft targets from the reference.

    Attributes:
      scorer: The reference, in the feature space of the examples.
      softness: [events] the soft target's share of each event's target; 0 where the
        reference has seen the outcome.
      temperature: Divides the reference's log-odds.
      smoothing: Share of the base rates in the soft targets.
      success_rate: Base rate of success among outcomes.
    """

    scorer: SlowScorer
    softness: NDArray[np.float32]
    temperature: float
    smoothing: float
    success_rate: float

    def outcome(self, examples: Examples, which: NDArray[np.intp]) -> NDArray[np.float32]:
        """[batch] labels mixed with what the reference expected."""
        scorer, mixed = self.scorer, self.softness[which]
        label: NDArray[np.float32] = examples.label[which]
        soft = np.flatnonzero(mixed > 0)
        if not len(soft):
            return label
        queries = examples.queries(which[soft])
        hidden = scorer.hidden(scorer.history_inputs(queries, scorer.vectors), queries.attributes)
        items = examples.item[which[soft]][:, None]
        odds = scorer.outcome_logits(hidden, scorer.vectors, items)[:, 0].astype(np.float64)
        if (calibration := scorer.calibration) is not None:
            odds = calibration.scale * odds + calibration.offset
        expected = 1.0 / (1.0 + np.exp(-odds / self.temperature))
        expected += self.smoothing * (self.success_rate - expected)
        label = label.copy()
        label[soft] += mixed[soft] * (expected - label[soft]).astype(np.float32)
        return label

    def lists(
        self,
        examples: Examples,
        which: NDArray[np.intp],
        competing: "Competing",
        goals: NDArray[np.integer[Any]],
    ) -> NDArray[np.float32]:
        """[batch, candidates] what the reference would have chosen; zeros where it is not asked."""
        found: NDArray[np.float32] = np.zeros((len(which), len(competing.mask)), np.float32)
        soft = np.flatnonzero(self.softness[which] > 0)
        if len(soft):
            scores = competing.scores(self.scorer, examples, which[soft], goals[soft])
            chances = np.exp(log_softmax(scores / np.float32(self.temperature)))
            share = self.scorer.share[competing.items] * (competing.mask == 0)
            share = share / share.sum()
            found[soft] = chances + np.float32(self.smoothing) * (share - chances)
        return found


@dataclass(frozen=True)
class Guidance:
    """What a fit takes from a reference.

    Attributes:
      probes: Where to stay near to it; None for nowhere.
      teacher: What to learn from it; None for nothing.
    """

    probes: Probes | None = None
    teacher: Teacher | None = None


@dataclass(frozen=True)
class Competing:
    """The columns of a batch's logits.

    Attributes:
      items: [candidates] item numbers.
      mask: [candidates] 0, or a large negative number for what is no candidate.
      correction: [candidates] subtracted from the logits: the sampling correction.
    """

    items: NDArray[np.integer[Any]]
    mask: NDArray[np.float32]
    correction: NDArray[np.float32]

    def scores(
        self,
        scorer: SlowScorer,
        examples: Examples,
        which: NDArray[np.intp],
        goals: NDArray[np.integer[Any]],
    ) -> NDArray[np.float32]:
        """[batch, candidates] the reference's logits, as `WideDeep.logits` makes them."""
        slow = scorer.score(examples.queries(which))
        scores = (slow.wide + slow.deep + scorer.bias)[:, self.items] - self.correction
        scores[np.arange(len(which)), goals] += self.correction[goals]
        return np.asarray(scores + self.mask, np.float32)


def log_softmax(scores: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """[rows, candidates] log-probabilities, row by row."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def as_probe(
    arrays: Mapping[str, Any], probes: Probes, competing: Competing, scores: NDArray[np.float32]
) -> dict[str, Any]:
    """A batch of probes: its features, what may compete, and the reference's log-chances."""
    mask = np.where(competing.items < probes.n_known, np.float32(0.0), _NO)
    return {**arrays, "mask": mask, "reference": log_softmax(scores + mask).astype(np.float32)}


class AdaptiveWeight:
    """The weight of the drift: doubled while it is too large, halved while it is too small.

    Attributes:
      value: The weight now.
    """

    def __init__(self, target: float, value: float) -> None:
        self._target, self._bounds = target, (value / _FARTHEST, value * _FARTHEST)
        self._recent: list[float] = []
        self.value = value

    def after(self, drift: float) -> float:
        """The weight after a step with this drift in nats."""
        self._recent.append(drift)
        if len(self._recent) < _STEPS_A_LOOK:
            return self.value
        mean = sum(self._recent) / len(self._recent)
        self._recent.clear()
        factor = 1.0
        if mean > self._target * _TOLERANCE:
            factor = 2.0
        elif mean < self._target / _TOLERANCE:
            factor = 0.5
        low, high = self._bounds
        self.value = min(max(self.value * factor, low), high)
        return self.value
