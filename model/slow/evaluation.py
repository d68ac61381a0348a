"""How well a bundle ranks and how honest its probabilities are, on events it has not seen."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.metrics import auc, expected_calibration_error, log_losses, ndcg_of_ranks, target_ranks
from model.slow.bundle import Bundle, Calibration
from model.slow.examples import Examples
from model.slow.scorer import SlowScorer

_Number = TypeVar("_Number", bound=np.integer[Any])

_BATCH = 512
# Small enough that the scores of a batch stay in the processor's caches.
_CELLS = 2**20


@dataclass(frozen=True)
class Evaluation:
    """Scores per event, so that two models can be compared pair by pair.

    Attributes:
      ranks: [successes] rank of each success among all items that there were and that its
        user had not seen before.
      surprises: [known successes] negative log-probability of each success under the
        retrieval head, in nats; successes on items the model does not know are left out.
      logits: [labelled] uncalibrated outcome log-odds.
      labels: [labelled] 1 for success, else 0.
      losses: [labelled] outcome log-loss in nats; empty where there is no calibration.
    """

    ranks: NDArray[np.int64]
    surprises: NDArray[np.float64]
    logits: NDArray[np.float64]
    labels: NDArray[np.float64]
    losses: NDArray[np.float64]
    probabilities: NDArray[np.float64]

    def calibrated(self, calibration: Calibration | None) -> "Evaluation":
        """The same with the losses and probabilities that this calibration gives."""
        if calibration is None:
            return replace(self, losses=np.empty(0), probabilities=np.empty(0))
        odds = calibration.scale * self.logits + calibration.offset
        with np.errstate(over="ignore"):  # beyond all bounds is a probability of 0
            probabilities = 1.0 / (1.0 + np.exp(-odds))
        losses = log_losses(probabilities, self.labels)
        return replace(self, losses=losses, probabilities=probabilities)

    def joint_loss(self, outcome_weight: float) -> float:
        """The training objective on these events, in nats; 0 where there is nothing to judge."""
        total = float(self.surprises.mean()) if len(self.surprises) else 0.0
        if len(self.labels):
            raw = np.logaddexp(0.0, self.logits) - self.labels * self.logits
            total += outcome_weight * float(raw.mean())
        return total

    @property
    def ndcg(self) -> NDArray[np.float64]:
        """[successes] NDCG@10 of each."""
        return ndcg_of_ranks(self.ranks, 10)

    def summary(self) -> dict[str, float]:
        """Means for a manifest; a metric with nothing to measure is left out."""
        values: dict[str, float] = {"n_successes": float(len(self.ranks))}
        if len(self.ranks):
            values["ndcg@10"] = float(self.ndcg.mean())
            values["hr@10"] = float((self.ranks <= 10).mean())
        if len(self.surprises):
            values["surprise_nats"] = float(self.surprises.mean())
        values["n_labelled"] = float(len(self.labels))
        if len(self.losses):
            values["logloss"] = float(self.losses.mean())
            values["ece"] = expected_calibration_error(self.probabilities, self.labels)
            area = auc(self.probabilities, self.labels)
            if np.isfinite(area):
                values["auc"] = area
        return values


def evaluate(
    bundle: Bundle,
    examples: Examples,
    which: NDArray[np.intp],
    *,
    most_ranked: int | None = None,
) -> Evaluation:
    """Ranks and outcome losses of the events at these positions.

    Args:
      bundle: The model, whose feature space the examples must have been encoded with.
      examples: Events.
      which: [events] positions to score; their own users' history comes before each.
      most_ranked: Rank at most so many of the successes, evenly spread; None for all.
    """
    scorer = SlowScorer(bundle)
    ranked = [(np.empty(0, np.int64), np.empty(0))]
    logits: list[NDArray[np.float64]] = [np.empty(0)]
    labelled = which[examples.labelled[which]]
    successes = which[examples.success[which]]
    if most_ranked is not None:
        successes = thinned(successes, most_ranked)
    at_once = max(_CELLS // len(scorer.bias), 16)
    ranked += [_ranked(scorer, examples, b) for b in _batches(successes, at_once)]
    for batch in _batches(labelled, _BATCH):
        queries = examples.queries(batch)
        hidden = scorer.hidden(scorer.history_inputs(queries, scorer.vectors), queries.attributes)
        own = scorer.outcome_logits(hidden, scorer.vectors, examples.item[batch][:, None])
        logits.append(own[:, 0].astype(np.float64))
    labels = examples.label[labelled].astype(np.float64)
    ranks, surprises = (np.concatenate(parts) for parts in zip(*ranked, strict=True))
    empty = np.empty(0)
    found = Evaluation(ranks, surprises, np.concatenate(logits), labels, empty, empty)
    return found.calibrated(bundle.calibration)


def thinned(which: NDArray[_Number], most: int) -> NDArray[_Number]:
    """At most so many of the positions, evenly spread."""
    if len(which) <= most:
        return which
    return which[np.linspace(0, len(which) - 1, most).astype(np.intp)]


def _batches(which: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    return [which[start : start + size] for start in range(0, len(which), size)]


def shown(
    examples: Examples, batch: NDArray[np.intp], *, with_met: bool = False
) -> NDArray[np.bool_]:
    """[batch, items] what could have been shown before each event.

    What there was, and, unless `with_met`, what the user had not come across.
    """
    # what came later could not have been shown
    there = examples.appeared <= batch[:, None]
    there[:, 0] = False
    if not with_met:
        row, item = examples.seen(batch)
        there[row, item] = False
    return there


def _ranked(
    scorer: SlowScorer, examples: Examples, batch: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rank of each success among unseen items, and the surprise at those that are known."""
    scores = scorer.scores(examples.queries(batch))
    excluded = ~shown(examples, batch)
    target = examples.item[batch]
    known = target > 0
    ranks = target_ranks(scores, target, excluded)
    logits = scores[known, 1:]
    top = logits.max(axis=1, initial=-np.inf)
    total = np.log(np.exp(logits - top[:, None]).sum(axis=1, dtype=np.float64)) + top
    own = logits[np.arange(len(logits)), target[known] - 1]
    # an item that the model does not know cannot have been ranked
    return np.where(known, ranks, scores.shape[1]), total - own
