"""Measures a candidate beside the served model, on events that neither was taught tonight.

Both are models of the same feature space: the served one was grown, which moves no
score, so it ranks what is new as the service does, and both rank the same candidates.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.consolidation.gates import Change, Measured, paired_change
from model.slow.bundle import Bundle
from model.slow.evaluation import Evaluation, evaluate
from model.slow.examples import Examples
from model.slow.scorer import SlowScorer

_LISTS: Final = 512
_LIST_LENGTH: Final = 10
# Ranking a large catalogue for every held-out event would cost more than the lesson did.
_MOST_JUDGED: Final = 4_000


@dataclass(frozen=True)
class Comparison:
    """What was measured, for the gates and for people.

    Attributes:
      measured: For the gates.
      metrics: By slice (`held_out`, `old`), then model (`served`, `candidate`): means.
    """

    measured: Measured
    metrics: dict[str, dict[str, dict[str, float]]]


def compare(
    served: Bundle,
    candidate: Bundle,
    examples: Examples,
    actors: NDArray[np.intp],
    slices: tuple[NDArray[np.intp], NDArray[np.intp]],
    rng: np.random.Generator,
) -> Comparison:
    """Both models on the held-out events and on old ones.

    The old events were learned by neither model, or the served one would seem to know its
    own lesson best. Items that came later are no candidates there: that something new is
    shown in place of something old is not forgetting.

    Args:
      served: The served model, in the candidate's feature space.
      candidate: The candidate.
      examples: Events in that space.
      actors: [events] number of each event's user.
      slices: Positions of the held-out events, and of frozen old events; at most
        4,000 of each are judged, evenly spread.
      rng: Decides bootstrap samples.
    """
    judged = [_thinned(which) for which in slices]
    held_out, old = (_Pair(served, candidate, examples, which) for which in judged)
    requests = np.concatenate(judged)
    requests = rng.choice(requests, min(len(requests), _LISTS), replace=False)
    listed = [_n_listed(bundle, examples, requests) for bundle in (served, candidate)]
    measured = Measured(
        quality=held_out.quality(actors, rng),
        retained=old.quality(actors, rng),
        loss=held_out.loss(actors, rng),
        retained_loss=old.loss(actors, rng),
        coverage=listed[1] / max(listed[0], 1),
    )
    return Comparison(measured, {"held_out": held_out.metrics(), "old": old.metrics()})


def _thinned(which: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most so many of the positions, evenly spread."""
    if len(which) <= _MOST_JUDGED:
        return which
    return which[np.linspace(0, len(which) - 1, _MOST_JUDGED).astype(np.intp)]


class _Pair:
    """Two models' evaluations on the same events."""

    def __init__(
        self, served: Bundle, candidate: Bundle, examples: Examples, which: NDArray[np.intp]
    ) -> None:
        self._served: Evaluation = evaluate(served, examples, which)
        self._candidate: Evaluation = evaluate(candidate, examples, which)
        self._successes = which[examples.success[which]]
        self._labelled = which[examples.labelled[which]]

    def quality(self, actors: NDArray[np.intp], rng: np.random.Generator) -> Change | None:
        users = actors[self._successes]
        return paired_change(self._served.ndcg, self._candidate.ndcg, users, rng)

    def loss(self, actors: NDArray[np.intp], rng: np.random.Generator) -> Change | None:
        served, candidate = self._served.losses, self._candidate.losses
        if len(served) != len(candidate):  # one of them gives no probability
            return None
        return paired_change(served, candidate, actors[self._labelled][: len(served)], rng)

    def metrics(self) -> dict[str, dict[str, float]]:
        return {"served": self._served.summary(), "candidate": self._candidate.summary()}


def _n_listed(bundle: Bundle, examples: Examples, which: NDArray[np.intp]) -> int:
    """How many different items the top 10 of these requests hold."""
    scorer = SlowScorer(bundle)
    slow = scorer.score(examples.queries(which))
    scores: NDArray[Any] = slow.wide + slow.deep + scorer.bias
    row, item = examples.seen(which)
    scores[row, item] = -np.inf
    scores[:, 0] = -np.inf
    length = min(_LIST_LENGTH, scores.shape[1] - 1)
    return len(np.unique(np.argpartition(-scores, length - 1, axis=1)[:, :length]))
