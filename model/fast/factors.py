"""Finds how much each part of the memory should say, from what was chosen on past days."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_STEPS: Final = 50
_ORDER_STEPS: Final = 150
_ORDER_RATE: Final = 0.03
_SCALES: Final = np.geomspace(0.1, 4.0, 60)
_SMALLEST_STEP: Final = 1e-3
_ENOUGH: Final = 1e-7
_LIST: Final = 10


def fit_factors(
    parts: NDArray[np.float32],
    offsets: NDArray[np.float32],
    start: NDArray[np.float64],
    *,
    strength: float,
) -> NDArray[np.float64]:
    """The factors under which what was chosen had the highest probability.

    A convex problem: the loss of a softmax over each question's candidates, with a pull
    to `start` where little is known, solved by Newton's method inside the bounds.

    Args:
      parts: [questions, candidates, parts] log-odds by part; candidate 0 was chosen.
      offsets: [questions, candidates] what is added whatever the factors.
      start: [parts] factors to stay near to, at least 0.
      strength: Of the pull, in questions.

    Returns:
      [parts] factors, at least 0.
    """
    pull = strength / len(parts)
    factors = np.array(start, np.float64)
    loss, chances = _loss(parts, offsets, factors)
    loss += _pull(factors, start, pull)
    for _ in range(_STEPS):
        step = _newton(parts, chances, factors, factors - start, pull)
        before, length = loss, 1.0
        while length >= _SMALLEST_STEP and loss >= before:
            tried = np.maximum(factors - length * step, 0.0)
            tried_loss, tried_chances = _loss(parts, offsets, tried)
            tried_loss += _pull(tried, start, pull)
            if tried_loss < before:
                factors, loss, chances = tried, tried_loss, tried_chances
            length /= 2.0
        if before - loss < _ENOUGH:
            break
    return factors


def order_factors(
    parts: NDArray[np.float32], offsets: NDArray[np.float32], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The factors under which what was chosen stands first, of a scale that fits chances.

    A likelihood is spent on all items alike; a list shows the first few. So from where the
    likelihood has led, the smooth mean of 1 / log2(1 + rank) is climbed, with ranks of
    sigmoids in place of steps (Qin, Liu and Li 2010), by Adam's rule on standardised parts.

    Args:
      parts: [questions, candidates, parts] log-odds by part; candidate 0 was chosen.
      offsets: [questions, candidates] log of how many items a candidate stands for.
      start: [parts] factors of `fit_factors`.

    Returns:
      [parts] factors, at least 0.
    """
    ahead = (parts - parts[:, :1]).astype(np.float32)
    counts = np.exp(offsets)
    counts[:, 0] = 0.0
    spread = np.maximum(ahead.std(axis=(0, 1), dtype=np.float64), 1e-6)
    factors = np.array(start, np.float64)
    moved, squared = np.zeros_like(factors), np.zeros_like(factors)
    best, best_gain = factors, -np.inf
    for step in range(1, _ORDER_STEPS + 1):
        gain, gradient = _smooth_gain(ahead, counts, factors)
        if gain > best_gain:
            best, best_gain = factors, gain
        moved = 0.9 * moved + 0.1 * gradient / spread
        squared = 0.99 * squared + 0.01 * np.square(gradient / spread)
        rate = _ORDER_RATE / (1.0 - 0.9**step) * np.sqrt(1.0 - 0.99**step)
        factors = np.maximum(factors + rate * moved / (np.sqrt(squared) + 1e-12) / spread, 0.0)
    losses = [choice_loss(parts, offsets, scale * best) for scale in _SCALES]
    return np.asarray(_SCALES[int(np.argmin(losses))] * best)


def mean_gain(
    parts: NDArray[np.float32], offsets: NDArray[np.float32], factors: NDArray[np.float64]
) -> float:
    """Mean NDCG@10 of what was chosen under these factors; ties count as lost."""
    scores = parts @ factors.astype(np.float32)
    counts = np.exp(offsets)
    counts[:, 0] = 1.0
    rank = (counts * (scores >= scores[:, :1])).sum(axis=1)
    return float(np.where(rank < _LIST + 0.5, 1.0 / np.log2(1.0 + rank), 0.0).mean())


def _smooth_gain(
    ahead: NDArray[np.float32], counts: NDArray[np.float32], factors: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """The smooth gain and its gradient."""
    with np.errstate(over="ignore"):
        before = 1.0 / (1.0 + np.exp(-(ahead @ factors.astype(np.float32))))
    rank = 1.0 + (counts * before).sum(axis=1, dtype=np.float64)
    gain = 1.0 / np.log2(1.0 + rank)
    slope = -np.square(gain) / ((1.0 + rank) * np.log(2.0))
    pull = (slope[:, None] * counts * before * (1.0 - before)).astype(np.float32)
    gradient = np.einsum("qc,qcp->p", pull, ahead, optimize=True) / len(ahead)
    return float(gain.mean()), gradient.astype(np.float64)


def choice_loss(
    parts: NDArray[np.float32], offsets: NDArray[np.float32], factors: NDArray[np.float64]
) -> float:
    """Mean surprise in nats of what was chosen, under these factors."""
    return _loss(parts, offsets, factors)[0]


def _loss(
    parts: NDArray[np.float32], offsets: NDArray[np.float32], factors: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    scores = offsets.astype(np.float64) + parts @ factors
    scores -= scores.max(axis=1, keepdims=True)
    chances = np.exp(scores)
    total = chances.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(total[:, 0]) - scores[:, 0]))
    return loss, chances / total


def _pull(factors: NDArray[np.float64], start: NDArray[np.float64], pull: float) -> float:
    return pull * float(np.square(factors - start).sum())


def _newton(
    parts: NDArray[np.float32],
    chances: NDArray[np.float64],
    factors: NDArray[np.float64],
    away: NDArray[np.float64],
    pull: float,
) -> NDArray[np.float64]:
    """The step to the minimum of the quadratic, with the factors that lie at 0 held there."""
    n_parts = parts.shape[2]
    expected = np.einsum("qc,qcp->qp", chances, parts)
    gradient = (expected - parts[:, 0]).mean(axis=0) + 2.0 * pull * away
    weighted = (parts * np.sqrt(chances)[:, :, None]).reshape(-1, n_parts)
    curvature = (weighted.T @ weighted - expected.T @ expected) / len(parts)
    curvature += (2.0 * pull + 1e-9) * np.eye(n_parts)
    free = ~((factors <= 0.0) & (gradient > 0.0))
    step = np.zeros(n_parts)
    step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
    return step
