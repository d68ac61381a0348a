"""Finds how far what a user and others like the user did should move a chance of success."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_STEPS: Final = 50
_ENOUGH: Final = 1e-9


class Outcomes(NamedTuple):
    """What was said of events, and what became of them.

    Attributes:
      odds: [events] the slow model's log-odds of success.
      shifts: [events, shifts] what would move them, in log-odds.
      labels: [events] 1 for a success, 0 for none.
    """

    odds: NDArray[np.float64]
    shifts: NDArray[np.float64]
    labels: NDArray[np.float64]


def outcome_loss(outcomes: Outcomes, factors: NDArray[np.floating]) -> float:
    """Mean log-loss in nats of the chances moved by `shifts` times `factors`."""
    odds = outcomes.odds + outcomes.shifts @ factors
    return float(np.mean(np.logaddexp(0.0, odds) - outcomes.labels * odds))


def fit_shifts(
    outcomes: Outcomes, start: NDArray[np.floating], *, strength: float
) -> NDArray[np.float64]:
    """[shifts] the factors under which the outcomes had the highest probability.

    Minimises the log-loss plus strength · |factors - start|² / events by projected Newton
    steps: a convex problem.

    Args:
      outcomes: What was said and what happened; one event at least.
      start: [shifts] factors to stay near to, at least 0.
      strength: Of the pull, in events.

    Returns:
      Factors, at least 0.
    """
    n_events, pull = len(outcomes.labels), strength / len(outcomes.labels)

    def total(at: NDArray[np.floating]) -> float:
        return outcome_loss(outcomes, at) + pull * float(np.square(at - start).sum())

    at = np.array(start, np.float64)
    for _ in range(_STEPS):
        chances = 1.0 / (1.0 + np.exp(-(outcomes.odds + outcomes.shifts @ at)))
        gradient = outcomes.shifts.T @ (chances - outcomes.labels) / n_events
        gradient += 2.0 * pull * (at - start)
        weighted = outcomes.shifts * (chances * (1.0 - chances))[:, None]
        curvature = weighted.T @ outcomes.shifts / n_events + 2.0 * pull * np.eye(len(at))
        free = ~((at <= 0.0) & (gradient > 0.0))
        step = np.zeros(len(at))
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        length, before = 1.0, total(at)
        while length > _ENOUGH and total(np.maximum(at - length * step, 0.0)) > before:
            length /= 2.0
        at = np.asarray(np.maximum(at - length * step, 0.0))
        if before - total(at) < _ENOUGH:
            break
    return at
