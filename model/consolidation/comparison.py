"""Measures a candidate beside the served model, on events that neither was taught tonight.

Both are models of the same feature space: the served one was grown, which moves no
score, so it ranks what is new as the service does, and both rank the same candidates.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.consolidation.continuation import Night
from model.consolidation.gates import Change, Measured, paired_change
from model.slow.bundle import Bundle
from model.slow.evaluation import Evaluation, evaluate, thinned
from model.slow.examples import Examples
from model.slow.scorer import SlowScorer
from model.slow.vocabulary import UNKNOWN

_LISTS: Final = 512
_LIST_LENGTH: Final = 10
# Ranking a large catalogue for every held-out event would cost more than the lesson did.
_MOST_JUDGED: Final = 4_000
_MOST_RELEARNED: Final = 1_000
# Events before which a user counts as one with little history.
_COLD: Final = 5
_TAIL: Final = 0.2


@dataclass(frozen=True)
class Comparison:
    """What was measured, for the gates and for people.

    Attributes:
      measured: For the gates.
      taught: Change of the surprise at successes that were taught tonight, in nats; None
        without one.
      metrics: By slice (`held_out`, `old`), then model (`served`, `candidate`): means.
    """

    measured: Measured
    taught: Change | None
    metrics: dict[str, dict[str, dict[str, float]]]


def compare(
    night: Night, candidate: Bundle, taught: NDArray[np.intp], rng: np.random.Generator
) -> Comparison:
    """Both models on the held-out events, on old ones and on what was taught.

    The old events were learned by neither model, or the served one would seem to know its
    own lesson best. Items that came later are no candidates there: that something new is
    shown in place of something old is not forgetting.

    Args:
      night: The served model and the events; at most 4,000 of each slice are judged,
        evenly spread.
      candidate: The candidate.
      taught: Positions of the new events that it learned.
      rng: Decides bootstrap samples.
    """
    judged = [thinned(which, _MOST_JUDGED) for which in (night.held_out, night.frozen)]
    held_out, old = (_Pair(night, candidate, which) for which in judged)
    requests = np.concatenate(judged)
    requests = rng.choice(requests, min(len(requests), _LISTS), replace=False)
    listed = [_n_listed(bundle, night.examples, requests) for bundle in (night.served, candidate)]
    measured = Measured(
        quality=held_out.quality(rng),
        retained=old.quality(rng),
        loss=held_out.loss(rng),
        retained_loss=old.loss(rng),
        cold_loss=held_out.loss(rng, night.examples.n_before(judged[0]) < _COLD),
        tail_loss=held_out.loss(rng, _tail(night)[night.examples.item[judged[0]]]),
        coverage=listed[1] / max(listed[0], 1),
    )
    lesson = thinned(taught[night.examples.success[taught]], _MOST_RELEARNED)
    return Comparison(
        measured,
        taught=_Pair(night, candidate, lesson).surprise(rng),
        metrics={"held_out": held_out.metrics(), "old": old.metrics()},
    )


def _tail(night: Night) -> NDArray[np.bool_]:
    """[items] whether an item is one of the rare ones: together a fifth of all successes."""
    share = night.served.parameters["item_share"]
    order = np.argsort(share, kind="stable")
    rare = np.zeros(len(share), bool)
    rare[order[np.cumsum(share[order]) <= _TAIL]] = True
    return rare


class _Pair:
    """Two models' evaluations on the same events."""

    def __init__(self, night: Night, candidate: Bundle, which: NDArray[np.intp]) -> None:
        examples = night.examples
        self._served: Evaluation = evaluate(night.served, examples, which)
        self._candidate: Evaluation = evaluate(candidate, examples, which)
        successes = which[examples.success[which]]
        self._labelled = examples.labelled[which]
        self._users = night.actors[which]
        self._successful = night.actors[successes]
        self._known = examples.item[successes] != UNKNOWN

    def quality(self, rng: np.random.Generator) -> Change | None:
        return paired_change(self._served.ndcg, self._candidate.ndcg, self._successful, rng)

    def surprise(self, rng: np.random.Generator) -> Change | None:
        before, after = self._served.surprises, self._candidate.surprises
        return paired_change(before, after, self._successful[self._known], rng)

    def loss(
        self, rng: np.random.Generator, chosen: NDArray[np.bool_] | None = None
    ) -> Change | None:
        """On the labelled events of the slice, or those of them that are chosen."""
        served, candidate = self._served.losses, self._candidate.losses
        users = self._users[self._labelled]
        if not len(served) == len(candidate) == len(users):  # one gives no probability
            return None
        kept = slice(None) if chosen is None else chosen[self._labelled]
        return paired_change(served[kept], candidate[kept], users[kept], rng)

    def metrics(self) -> dict[str, dict[str, float]]:
        return {"served": self._served.summary(), "candidate": self._candidate.summary()}


def _n_listed(bundle: Bundle, examples: Examples, which: NDArray[np.intp]) -> int:
    """How many different items the top 10 of these requests hold."""
    scores: NDArray[Any] = SlowScorer(bundle).scores(examples.queries(which))
    row, item = examples.seen(which)
    scores[row, item] = -np.inf
    scores[:, 0] = -np.inf
    length = min(_LIST_LENGTH, scores.shape[1] - 1)
    return len(np.unique(np.argpartition(-scores, length - 1, axis=1)[:, :length]))
