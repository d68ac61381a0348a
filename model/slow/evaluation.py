"""How well a bundle ranks and how honest its probabilities are, on events it has not seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.metrics import auc, expected_calibration_error, log_losses, ndcg_of_ranks, target_ranks
from model.slow.bundle import Bundle
from model.slow.examples import Examples
from model.slow.scorer import SlowScorer

_BATCH = 512


@dataclass(frozen=True)
class Evaluation:
    """Scores per event, so that two models can be compared pair by pair.

    Attributes:
      ranks: [successes] rank of each success among all items not seen before.
      logits: [labelled] uncalibrated outcome log-odds.
      labels: [labelled] 1 for success, else 0.
      losses: [labelled] outcome log-loss in nats; empty where there is no calibration.
    """

    ranks: NDArray[np.int64]
    logits: NDArray[np.float64]
    labels: NDArray[np.float64]
    losses: NDArray[np.float64]
    probabilities: NDArray[np.float64]

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
        values["n_labelled"] = float(len(self.labels))
        if len(self.losses):
            values["logloss"] = float(self.losses.mean())
            values["ece"] = expected_calibration_error(self.probabilities, self.labels)
            area = auc(self.probabilities, self.labels)
            if np.isfinite(area):
                values["auc"] = area
        return values


def evaluate(bundle: Bundle, examples: Examples, which: NDArray[np.intp]) -> Evaluation:
    """Ranks and outcome losses of the events at these positions.

    Args:
      bundle: The model, whose feature space the examples must have been encoded with.
      examples: Events.
      which: [events] positions to score; their own users' history comes before each.
    """
    scorer = SlowScorer(bundle)
    ranks: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    logits: list[NDArray[np.float64]] = [np.empty(0)]
    labelled = which[examples.labelled[which]]
    ranks.extend(_ranks(scorer, examples, b) for b in _batches(which[examples.success[which]]))
    for batch in _batches(labelled):
        queries = examples.queries(batch)
        hidden = scorer.hidden(scorer.history_inputs(queries, scorer.vectors), queries.attributes)
        own = scorer.outcome_logits(hidden, scorer.vectors, examples.item[batch][:, None])
        logits.append(own[:, 0].astype(np.float64))
    labels = examples.label[labelled].astype(np.float64)
    z = np.concatenate(logits)
    probabilities = losses = np.empty(0)
    if bundle.calibration is not None:
        calibrated = bundle.calibration.scale * z + bundle.calibration.offset
        probabilities = 1.0 / (1.0 + np.exp(-calibrated))
        losses = log_losses(probabilities, labels)
    return Evaluation(np.concatenate(ranks), z, labels, losses, probabilities)


def _batches(which: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [which[start : start + _BATCH] for start in range(0, len(which), _BATCH)]


def _ranks(scorer: SlowScorer, examples: Examples, batch: NDArray[np.intp]) -> NDArray[np.int64]:
    slow = scorer.score(examples.queries(batch))
    scores = slow.wide + slow.deep + scorer.bias
    excluded = np.zeros(scores.shape, bool)
    excluded[:, 0] = True
    row, item = examples.seen(batch)
    excluded[row, item] = True
    target = examples.item[batch]
    ranks = target_ranks(scores, target, excluded)
    # an item that the model does not know cannot have been ranked
    return np.where(target > 0, ranks, scores.shape[1])
