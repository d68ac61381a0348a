"""Verdicts on the candidate itself: its numbers, its drift, its size, its will to learn."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.consolidation.config import NightConfig
from model.consolidation.drift import Drift
from model.consolidation.gates import Change, Verdict
from model.slow.bundle import Bundle
from model.slow.examples import Examples
from model.slow.scorer import SlowScorer

_MOST_REQUESTS: Final = 500
# A unit that says less than this share of what the mean unit says is dormant (Sokar et al. 2023).
_DORMANT: Final = 0.025


def finite(not_finite: tuple[str, ...]) -> Verdict:
    """Whether every number of the candidate is one, given the names of arrays where not."""
    told = ", ".join(not_finite)
    reason = f"not all numbers are finite: {told}" if told else "all numbers are finite"
    return Verdict("finite", not not_finite, reason, float(len(not_finite)), 0.0)


def parity(difference: float | None, limit: float) -> Verdict:
    """Whether serving and training arithmetic agree; None says that they do not."""
    if difference is None:
        return Verdict("parity", passed=False, reason="NumPy and TensorFlow disagree", limit=limit)
    reason = f"NumPy and TensorFlow differ by {difference:.1g} at most"
    return Verdict("parity", difference <= limit, reason, difference, limit)


def drifted(drift: Drift | None, floor: float | None, policy: NightConfig) -> Verdict:
    """Whether the candidate stayed as near to the served model as its twins let expect.

    Popularity is counted and not learned: a night of other items moves it, as it should, and
    every seed alike. So the drift that is bounded is the one that training made.

    Args:
      drift: From where training began.
      floor: The candidate's drift from its twin, the same night with another seed, in nats:
        what chance alone makes; None where no twin was made.
      policy: How many times the floor may be.
    """
    if drift is None:
        return Verdict("drift", passed=True, reason="no request to measure it on")
    told = f"{drift.nats:.4f} nats learned, {drift.churn:.0%} of the top 10 changed by it"
    if floor is None:
        return Verdict(
            "drift", passed=True, reason=f"{told}; no twin to bound it", value=drift.nats
        )
    limit = policy.max_drift * floor
    told += f" (bound {limit:.4f}: {policy.max_drift:g} × what another seed makes)"
    return Verdict("drift", drift.nats <= limit, told, drift.nats, limit)


def plastic(taught: Change | None) -> Verdict:
    """Whether the candidate learned what it was taught: its surprise at that fell."""
    if taught is None or not taught.enough:
        return Verdict("plasticity", passed=True, reason="too few successes were taught to tell")
    passed = taught.interval[0] < 0.0
    reason = taught.words("surprise at what was taught") + ("" if passed else ": it did not fall")
    return Verdict("plasticity", passed, reason, taught.relative, 0.0, taught.interval)


def awake(served: float, candidate: float, policy: NightConfig) -> Verdict:
    """Whether the candidate's hidden units still answer; a dormant one cannot learn."""
    limit = served + policy.max_dormant_rise
    reason = f"{candidate:.1%} of the hidden units are dormant, {served:.1%} in the served model"
    return Verdict("dormancy", candidate <= limit, reason, candidate, limit)


def small(ratio: float, policy: NightConfig) -> Verdict:
    """Whether the candidate's size, and with it its latency, stays in bounds."""
    reason = f"{ratio:.2f} times the arithmetic of a request to the served model"
    return Verdict("size", ratio <= policy.max_growth, reason, ratio, policy.max_growth)


def dormant_share(bundle: Bundle, examples: Examples, which: NDArray[np.intp]) -> float:
    """Share of the hidden units that hardly ever answer to these requests, in [0, 1]."""
    which = which[:: max(len(which) // _MOST_REQUESTS, 1)]
    if not len(which):
        return 0.0
    scorer = SlowScorer(bundle)
    queries = examples.queries(which)
    hidden = scorer.hidden(scorer.history_inputs(queries, scorer.vectors), queries.attributes)
    units = hidden[:, : len(bundle.parameters["hidden_bias"])]
    activity = units.mean(axis=0, dtype=np.float64)
    return float((activity <= _DORMANT * activity.mean()).mean())


def work(bundle: Bundle) -> float:
    """Multiplications behind one request: item vectors, and crosses of a row that is full.

    It stands for size and latency, both of which a busy machine would tell differently
    every night.
    """
    return float(bundle.parameters["item_vectors"].size + len(bundle.parameters["wide_items"]))
