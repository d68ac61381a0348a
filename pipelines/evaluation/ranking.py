"""From scores to ranks and metrics, with candidates and ties as the protocol says."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from model.metrics import auc
from pipelines.evaluation.stream import Candidates, Stream

LIST_LENGTH: Final = 10
_GROUPS: Final = 256


class Pending(NamedTuple):
    """A question that waits for its answer.

    Attributes:
      ticket: What the arm kept.
      rows: The row, or the rows of the shown list by item number.
      moment: Rows before this one had been learned.
      own: Items that the actor had met; None where that does not matter.
      asked: Whether it is a question of ranking.
      judged: Whether it is a question of outcome.
    """

    ticket: Any
    rows: NDArray[np.int64]
    moment: int
    own: NDArray[np.int64] | None
    asked: bool = True
    judged: bool = True


class Ranked(NamedTuple):
    """Where the targets stand.

    Attributes:
      rank: [questions] best is 1; a target that is no candidate stands behind all items.
      n_candidates: [questions] how many compete.
      competes: [questions, items] whether an item is a candidate.
      top: [questions, 10] the best candidates, best first, -1 padded.
    """

    rank: NDArray[np.int64]
    n_candidates: NDArray[np.int64]
    competes: NDArray[np.bool_]
    top: NDArray[np.int32]


def ranked(
    stream: Stream,
    known_from: NDArray[np.int64],
    pending: Sequence[Pending],
    scores: NDArray[np.float32],
) -> Ranked:
    """Ranks the target of each question among its candidates.

    A candidate with the target's score counts as better, so that an arm which gives
    everything the same score earns nothing; so does one whose score is not a number.

    Raises:
      BadInputError: If the scores have the wrong shape.
    """
    if scores.shape != (len(pending), len(stream.items)):
        raise BadInputError(
            f"expected scores of shape {(len(pending), len(stream.items))} "
            f"(questions, items), got {scores.shape}"
        )
    by_age = np.argsort(known_from)
    since = known_from[by_age]
    targets = stream.events.item[[int(p.rows[0]) for p in pending]].tolist()
    rank = np.full(len(pending), len(stream.items) + 1)
    competing = np.ones(scores.shape, np.bool_)
    top = np.full((len(pending), LIST_LENGTH), -1, np.int32)
    # row by row, so that the row stays where the processor has it at hand
    for place, (row, competes, p) in enumerate(zip(scores, competing, pending, strict=True)):
        _leave_out(competes, stream.candidates, by_age[np.searchsorted(since, p.moment) :], p.own)
        if competes[targets[place]]:
            rank[place] = np.count_nonzero(competes & ~(row < row[targets[place]]))
        best = _best(np.where(competes, row, np.float32(-np.inf)))
        top[place, : len(best)] = best
    return Ranked(rank, np.count_nonzero(competing, axis=1), competing, top)


def _leave_out(
    competes: NDArray[np.bool_],
    candidates: Candidates,
    unknown: NDArray[np.intp],
    own: NDArray[np.int64] | None,
) -> None:
    """Marks which of [items] compete for a question; `unknown` are those that came later."""
    competes[unknown] = False
    if candidates == "unseen":
        competes[own] = False
    elif candidates == "seen":
        met = np.zeros(len(competes), np.bool_)
        met[own] = True
        competes &= met


def _best(scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """At most 10 numbers of the best of [items] scores, best first; ties to the lower number."""
    worst = _tenth_at_most(scores)
    best = np.flatnonzero(scores >= worst if worst > -np.inf else scores > -np.inf)
    return best[np.argsort(-scores[best], kind="stable")][:LIST_LENGTH]


def _tenth_at_most(scores: NDArray[np.float32]) -> float:
    """A score that ten items reach: the tenth of the best ones of groups of items.

    It takes one look at each item where a partition takes many, and few items reach it.
    """
    size = len(scores) // _GROUPS
    if not size:
        return -np.inf
    best = scores[: size * _GROUPS].reshape(size, _GROUPS).max(axis=0)
    best[np.isnan(best)] = -np.inf
    return float(np.partition(best, -LIST_LENGTH)[-LIST_LENGTH])


def rank_metrics(
    stream: Stream, pending: Sequence[Pending], standing: Ranked
) -> dict[str, NDArray[np.float32]]:
    """[questions] value of each of the stream's metrics that a single question has."""
    values: dict[str, NDArray[Any]] = {}
    for metric in stream.metrics:
        name, _, cutoff = metric.partition("@")
        if name == "coverage":
            continue  # a property of all lists together
        k = int(cutoff)
        if name == "regret":
            values[metric] = _regret(stream, pending, standing, k)
        else:
            values[metric] = _at(name, k, standing)
    return {name: column.astype(np.float32) for name, column in values.items()}


def _at(name: str, k: int, standing: Ranked) -> NDArray[Any]:
    rank = standing.rank
    gains = {
        "ndcg": 1.0 / np.log2(1.0 + rank),
        "hr": np.ones(len(rank)),
        "recall": np.ones(len(rank)),
        "mrr": 1.0 / rank,
        # what a list drawn by lot would hit: for audits
        "chance": np.minimum(k / np.maximum(standing.n_candidates, 1), 1.0),
    }
    if name not in gains:
        raise BadInputError(f"expected a metric of {', '.join(gains)} or regret, got {name!r}")
    return gains[name] if name == "chance" else np.where(rank <= k, gains[name], 0.0)


def _regret(
    stream: Stream, pending: Sequence[Pending], standing: Ranked, k: int
) -> NDArray[np.float64]:
    """[questions] planted worth of the best k candidates less that of the arm's, in the mean.

    Where an arm names fewer than k items the rest is worth the worst candidate.
    """
    if stream.truth is None:
        raise BadInputError(f"regret needs the planted truth, which {stream.name} does not have")
    values = np.zeros(len(pending))
    for place, p in enumerate(pending):
        worth = stream.truth(int(p.rows[0]))
        competing = np.sort(worth[standing.competes[place]])[::-1]
        top = standing.top[place, :k]
        got = worth[top[top >= 0]]
        # of no candidates every list is the best
        if n := min(k, len(competing)):
            short = n - len(got)
            values[place] = competing[:n].mean() - (got.sum() + short * competing[-1]) / n
    return values


def list_metrics(
    stream: Stream, pending: Sequence[Pending], scores: NDArray[np.float32]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.int32]]:
    """[lists] value of each metric of shown lists, and no top lists.

    A list without a click, or with nothing but clicks, has no metrics: NaN.
    """
    values = np.full((len(pending), len(stream.metrics)), np.nan, np.float32)
    for place, p in enumerate(pending):
        own = scores[place, stream.events.item[p.rows]].astype(np.float64)
        clicked = stream.events.outcome[p.rows] > 0
        if clicked.any() and not clicked.all():
            own = np.where(np.isnan(own), -np.inf, own)
            values[place] = [_of_list(metric, own, clicked) for metric in stream.metrics]
    columns = {metric: values[:, place] for place, metric in enumerate(stream.metrics)}
    return columns, np.zeros((len(pending), 0), np.int32)


def _of_list(metric: str, scores: NDArray[np.float64], clicked: NDArray[np.bool_]) -> float:
    """One metric of one shown list; a click stands behind the others of its score."""
    if metric == "auc":
        return auc(scores, clicked.astype(np.float64))
    order = np.lexsort((clicked, -scores))
    hits = clicked[order]
    if metric == "mrr":
        # the mean over the clicked, as the publisher of MIND computes it
        return float((hits / np.arange(1, len(hits) + 1)).sum() / hits.sum())
    name, _, cutoff = metric.partition("@")
    if name != "ndcg":
        raise BadInputError(f"expected auc, mrr or ndcg@k of a shown list, got {metric!r}")
    k, discount = int(cutoff), 1.0 / np.log2(np.arange(2, len(hits) + 2))
    best = np.sort(hits)[::-1]
    return float((hits[:k] * discount[:k]).sum() / (best[:k] * discount[:k]).sum())
