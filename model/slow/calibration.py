"""Platt scaling: makes the outcome head's log-odds mean what they say (Platt 1999)."""

import numpy as np
from numpy.typing import NDArray

from model.slow.bundle import Calibration

_STEPS = 50


def fit_calibration(
    logits: NDArray[np.floating], labels: NDArray[np.floating]
) -> Calibration | None:
    """The scale and offset under which `labels` are likeliest, by Newton's method.

    Each label counts as slightly unsure, as in Platt's paper, so that the fit stays
    finite when the logits separate the classes.

    Args:
      logits: [rows] uncalibrated log-odds.
      labels: [rows] 1 for success, 0 otherwise.

    Returns:
      The map; None when one of the two classes is missing.
    """
    n_success = float(labels.sum())
    n_failure = len(labels) - n_success
    if n_success == 0 or n_failure == 0:
        return None
    goal = np.where(labels > 0.5, (n_success + 1.0) / (n_success + 2.0), 1.0 / (n_failure + 2.0))
    z = np.asarray(logits, np.float64)
    inputs = np.stack([z, np.ones_like(z)])
    # the ridge keeps the step defined when all logits are equal
    ridge = 1e-6 * np.eye(2)
    coefficients = np.array([1.0, 0.0])
    loss = _loss(coefficients, inputs, goal)
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-(coefficients @ inputs)))
        gradient = inputs @ (p - goal)
        curvature = (inputs * (p * (1.0 - p))) @ inputs.T + ridge
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-8 and _loss(coefficients - size * step, inputs, goal) > loss:
            size /= 2.0
        coefficients = coefficients - size * step
        previous, loss = loss, _loss(coefficients, inputs, goal)
        if previous - loss < 1e-12 * max(abs(previous), 1.0):
            break
    return Calibration(scale=float(coefficients[0]), offset=float(coefficients[1]))


def _loss(
    coefficients: NDArray[np.float64], inputs: NDArray[np.float64], goal: NDArray[np.float64]
) -> float:
    z = coefficients @ inputs
    return float((np.logaddexp(0.0, z) - goal * z).sum())
