"""Ranking and probability metrics; ties count against the model."""

import numpy as np
from numpy.typing import NDArray


def target_ranks(
    scores: NDArray[np.floating], targets: NDArray[np.integer], excluded: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Rank of each row's target among its candidates, best is 1.

    A candidate with the target's score counts as better, so that a model which
    gives everything the same score earns nothing.

    Args:
      scores: [rows, items] scores.
      targets: [rows] the item that was chosen.
      excluded: [rows, items] true where an item is no candidate; the target always is one.

    Returns:
      [rows] ranks; a target whose score is not a number comes last.
    """
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    better = ~(scores < own) & ~excluded
    np.put_along_axis(better, targets[:, None], values=False, axis=1)
    return np.asarray(1 + better.sum(axis=1), np.int64)


def ndcg_of_ranks(ranks: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """[rows] normalised discounted gain of one relevant item: 1/log2(1 + rank) up to rank k."""
    return np.where(ranks <= k, 1.0 / np.log2(1.0 + ranks), 0.0)


def log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.floating]) -> float:
    """Mean negative log-likelihood, in nats, with probabilities kept off 0 and 1 by 1e-7."""
    return float(log_losses(probabilities, labels).mean())


def log_losses(
    probabilities: NDArray[np.floating], labels: NDArray[np.floating]
) -> NDArray[np.float64]:
    """[rows] negative log-likelihood of each label, in nats."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-7, 1.0 - 1e-7)
    return np.asarray(-(labels * np.log(p) + (1.0 - labels) * np.log1p(-p)))


def auc(probabilities: NDArray[np.floating], labels: NDArray[np.floating]) -> float:
    """Chance that a random success is scored above a random failure, ties counting half.

    Returns:
      The area under the ROC curve; NaN when one class is missing.
    """
    positive = labels > 0.5
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    _, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mid_rank = last - (counts - 1) / 2.0
    total = float(mid_rank[place][positive].sum())
    return (total - n_positive * (n_positive + 1) / 2.0) / (n_positive * n_negative)


def expected_calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.floating], n_bins: int = 15
) -> float:
    """Mean gap between predicted and observed rate over bins of equal mass."""
    order = np.argsort(probabilities, kind="stable")
    bins = [part for part in np.array_split(order, n_bins) if part.size]
    gaps = [abs(float(probabilities[b].mean()) - float(labels[b].mean())) * b.size for b in bins]
    return sum(gaps) / len(order)
