"""Finds how much each part of the memory should say, from what was chosen on past days."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_STEPS: Final = 50
_SMALLEST_STEP: Final = 1e-3
_ENOUGH: Final = 1e-7
_LEAST_CHANCE: Final = 1e-6
_LIST: Final = 10


class Choices(NamedTuple):
    """Questions with their candidates, of which the first was chosen.

    Attributes:
      parts: [questions, candidates, parts] log-odds by part.
      lifts: [questions, candidates, lifts] how many times its share a candidate is chosen.
      offsets: [questions, candidates] what is added whatever the factors; -inf for none.
    """

    parts: NDArray[np.float32]
    lifts: NDArray[np.float32]
    offsets: NDArray[np.float32]


class Factors(NamedTuple):
    """What scores are mixed with: parts · `of_parts` + log(1 + lifts · `of_lifts`).

    Attributes:
      of_parts: [parts] at least 0.
      of_lifts: [lifts] at least 0.
    """

    of_parts: NDArray[np.floating]
    of_lifts: NDArray[np.floating]

    def scores(
        self, parts: NDArray[np.floating], lifts: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """[...] the mixture of [..., parts] and [..., lifts]."""
        return np.asarray(parts @ self.of_parts + np.log1p(lifts @ self.of_lifts))

    def single(self) -> "Factors":
        """The same in single precision."""
        return Factors(*(each.astype(np.float32) for each in self))


def fit_factors(choices: Choices, start: Factors, *, strength: float) -> Factors:
    """The factors under which what was chosen had the highest probability.

    Minimises the loss of a softmax over each question's candidates, with a pull to `start`
    where little is known, by the Gauss-Newton method inside the bounds. Without lifts that is
    a convex problem. Factors of lifts span decades, so it is their logarithm that moves
    and is pulled.

    Args:
      choices: What was chosen.
      start: Factors to stay near to, at least 0.
      strength: Of the pull, in questions.

    Returns:
      Factors, at least 0.
    """
    n_parts, pull = len(start.of_parts), strength / len(choices.parts)
    origin = _as_one(start)
    at = origin.copy()
    loss, chances = _loss(choices, _as_two(at, n_parts))
    for _ in range(_STEPS):
        away = at - origin
        step = _newton(choices, chances, at, away, pull)
        before, length = loss + pull * float(away @ away), 1.0
        reached = before
        while length >= _SMALLEST_STEP and reached >= before:
            tried = at - length * step
            tried[:n_parts] = np.maximum(tried[:n_parts], 0.0)
            tried_loss, tried_chances = _loss(choices, _as_two(tried, n_parts))
            tried_total = tried_loss + pull * float(np.square(tried - origin).sum())
            if tried_total < before:
                at, loss, chances, reached = tried, tried_loss, tried_chances, tried_total
            length /= 2.0
        if before - reached < _ENOUGH:
            break
    return _as_two(at, n_parts)


def mean_gain(choices: Choices, factors: Factors) -> float:
    """Mean NDCG@10 of what was chosen under these factors; ties count as lost."""
    scores = factors.single().scores(choices.parts, choices.lifts)
    counts = np.exp(choices.offsets)
    counts[:, 0] = 1.0
    rank = (counts * (scores >= scores[:, :1])).sum(axis=1)
    return float(np.where(rank < _LIST + 0.5, 1.0 / np.log2(1.0 + rank), 0.0).mean())


def choice_loss(choices: Choices, factors: Factors) -> float:
    """Mean surprise in nats of what was chosen, under these factors."""
    return _loss(choices, factors)[0]


def _as_one(factors: Factors) -> NDArray[np.float64]:
    of_lifts = np.log(np.maximum(factors.of_lifts, _LEAST_CHANCE))
    return np.concatenate([factors.of_parts, of_lifts]).astype(np.float64)


def _as_two(at: NDArray[np.float64], n_parts: int) -> Factors:
    return Factors(at[:n_parts], np.exp(at[n_parts:]))


def _loss(choices: Choices, factors: Factors) -> tuple[float, NDArray[np.float64]]:
    scores = choices.offsets + factors.scores(choices.parts, choices.lifts)
    scores -= scores.max(axis=1, keepdims=True)
    chances = np.exp(scores)
    total = chances.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(total[:, 0]) - scores[:, 0]))
    return loss, chances / total


def _newton(
    choices: Choices,
    chances: NDArray[np.float64],
    at: NDArray[np.float64],
    away: NDArray[np.float64],
    pull: float,
) -> NDArray[np.float64]:
    """The step to the minimum of the quadratic, with the factors that lie at 0 held there."""
    n_parts, n_questions = choices.parts.shape[2], len(choices.parts)
    # what a score gains by a small change of the logarithm of a lift's factor
    lifted = choices.lifts * np.exp(at[n_parts:])
    lifted = lifted / (1.0 + lifted.sum(axis=2, keepdims=True))
    slopes = np.concatenate([choices.parts, lifted], axis=2)
    expected = np.einsum("qc,qcp->qp", chances, slopes)
    gradient = (expected - slopes[:, 0]).mean(axis=0) + 2.0 * pull * away
    weighted = (slopes * np.sqrt(chances)[:, :, None]).reshape(-1, len(at))
    curvature = (weighted.T @ weighted - expected.T @ expected) / n_questions
    curvature += (2.0 * pull + 1e-9) * np.eye(len(at))
    free = ~((at <= 0.0) & (gradient > 0.0))
    free[n_parts:] = True
    step = np.zeros(len(at))
    step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
    return step
