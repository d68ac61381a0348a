"""Finds how much each part of the memory should say, from what was chosen on past days."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_STEPS: Final = 50
_SMALLEST_STEP: Final = 1e-3
_ENOUGH: Final = 1e-7


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
