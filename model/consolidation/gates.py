"""The verdicts on a candidate: pure functions of what was measured and of the policy.

A ranking or a loss may have moved by chance. So a change is refused when it is both
larger than the policy allows and beyond chance, by a paired bootstrap over users. A
change that is too large but within chance has not been settled by the data: it passes
where something else that was measured vouches for the candidate, and not otherwise.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.consolidation.config import NightConfig
from model.errors import BadInputError

RESAMPLES: Final = 1_000
MIN_EVENTS: Final = 20
MIN_USERS: Final = 5

_CELLS: Final = 2_000_000
_LEAST_MEAN: Final = 1e-3


@dataclass(frozen=True)
class Change:
    """How a mean changed from the served model to the candidate, event by event.

    Attributes:
      served: The served model's mean.
      candidate: The candidate's mean.
      relative: Their difference as a share of the served model's mean.
      interval: 95 % interval of `relative` by a bootstrap over users.
      events: How many events were compared.
      users: How many users they belong to.
    """

    served: float
    candidate: float
    relative: float
    interval: tuple[float, float]
    events: int
    users: int

    @property
    def enough(self) -> bool:
        """Whether there are events and users enough to speak of chance at all."""
        return self.events >= MIN_EVENTS and self.users >= MIN_USERS


@dataclass(frozen=True)
class Measured:
    """What is known of a candidate beside the served model.

    Attributes:
      not_finite: Names of arrays that hold a number that is not finite.
      parity: Largest difference between NumPy and TensorFlow; None where they disagree.
      quality: Change of NDCG@10 on the held-out events; None without a success there.
      retained: Change of NDCG@10 on old events; None without a success among them.
      loss: Change of the outcome log-loss on the held-out events; None where no
        probability can be learned.
      coverage: Different items in the top 10 of the same requests: the candidate's
        number as a share of the served model's.
    """

    not_finite: tuple[str, ...]
    parity: float | None
    quality: Change | None = None
    retained: Change | None = None
    loss: Change | None = None
    coverage: float | None = None


@dataclass(frozen=True)
class Verdict:
    """One gate's word.

    Attributes:
      name: The gate.
      passed: Whether the candidate may be published, as far as this gate sees.
      value: What was measured; None where nothing could be.
      limit: The least, or for a rise the largest, value that passes without a doubt.
      interval: 95 % interval of the value, where it is known.
      reason: The verdict in words.
    """

    name: str
    passed: bool
    value: float | None
    limit: float | None
    interval: tuple[float, float] | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "interval": self.interval and list(self.interval)}


def paired_change(
    served: NDArray[np.float64],
    candidate: NDArray[np.float64],
    users: NDArray[np.integer[Any]],
    rng: np.random.Generator,
) -> Change | None:
    """Compares two models on the same events.

    Users are drawn, not events: the events of one user are not independent.

    Args:
      served: [events] the served model's value of each event, at least 0.
      candidate: [events] the candidate's.
      users: [events] user number of each event.
      rng: Decides the resamples.

    Returns:
      The change; None without events.

    Raises:
      BadInputError: If the lengths differ.
    """
    if not len(served) == len(candidate) == len(users):
        raise BadInputError(
            f"expected values of the same events, got {len(served)} of the served model, "
            f"{len(candidate)} of the candidate and {len(users)} users"
        )
    if not len(served):
        return None
    number = np.unique(users, return_inverse=True)[1]
    counts = np.bincount(number).astype(np.float64)
    sums = np.bincount(number, candidate - served)
    # a model that ranked nothing right must not make every change infinite
    base = max(float(served.mean()), _LEAST_MEAN)
    means = _resampled_means(sums, counts, rng) / base
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return Change(
        served=float(served.mean()),
        candidate=float(candidate.mean()),
        relative=float((candidate - served).mean()) / base,
        interval=(low, high),
        events=len(served),
        users=len(counts),
    )


def _resampled_means(
    sums: NDArray[np.float64], counts: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """[RESAMPLES] means over users drawn with replacement, in pieces that fit in memory."""
    n_users = len(sums)
    rows = max(1, _CELLS // n_users)
    pieces = []
    for start in range(0, RESAMPLES, rows):
        drawn = rng.integers(n_users, size=(min(rows, RESAMPLES - start), n_users))
        pieces.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(pieces)


def judge(measured: Measured, policy: NightConfig) -> list[Verdict]:
    """Every gate's verdict; the candidate may be published when all of them passed."""
    safety = [_finite(measured.not_finite), _parity(measured.parity)]
    if measured.not_finite:
        return safety  # nothing else can be measured of such a model
    quality = _Gate("quality", "NDCG@10", -1, policy.max_quality_loss)
    forgetting = _Gate("forgetting", "NDCG@10 on old events", -1, policy.max_forgetting)
    calibration = _Gate("calibration", "the outcome log-loss", 1, policy.max_logloss_rise)
    new, old = quality.clear(measured.quality), forgetting.clear(measured.retained)
    return [
        quality.verdict(measured.quality, vouched=old),
        forgetting.verdict(measured.retained, vouched=new),
        _one_outcome()
        if measured.loss is None
        else calibration.verdict(measured.loss, vouched=new or old),
        *safety,
        _coverage(measured.coverage, policy.min_coverage),
    ]


@dataclass(frozen=True)
class _Gate:
    """A bound on how much worse a mean may get.

    Attributes:
      name: The gate.
      metric: What the mean is of, in words.
      worse: The sign of a change for the worse.
      most: Largest relative change for the worse.
    """

    name: str
    metric: str
    worse: int
    most: float

    def clear(self, change: Change | None) -> bool:
        """Whether the data say by themselves that the change is within the bound."""
        return change is not None and change.enough and not self._exceeded(change)

    def verdict(self, change: Change | None, *, vouched: bool) -> Verdict:
        """The verdict; `vouched` says whether another gate speaks for the candidate."""
        limit = self.worse * self.most
        if change is None:
            reason = f"there is nothing to measure {self.metric} on"
            return Verdict(self.name, vouched, None, limit, None, _unsettled(reason, vouched))
        low, high = change.interval
        told = (
            f"{self.metric} went from {change.served:.4f} to {change.candidate:.4f} "
            f"({change.relative:+.1%}, 95 % interval {low:+.1%} to {high:+.1%}, "
            f"{change.events:,} events of {change.users:,} users)"
        )
        passed = True
        if not change.enough:
            passed, told = vouched, _unsettled(f"{told}: too few to tell", vouched)
        elif self._exceeded(change) and self._beyond_chance(change):
            passed, told = False, f"{told}: more than {limit:+.1%}, and beyond chance"
        elif self._exceeded(change):
            passed = vouched
            told = _unsettled(f"{told}: more than {limit:+.1%}, but within chance", vouched)
        return Verdict(self.name, passed, change.relative, limit, change.interval, told)

    def _exceeded(self, change: Change) -> bool:
        return self.worse * change.relative > self.most

    def _beyond_chance(self, change: Change) -> bool:
        return min(self.worse * end for end in change.interval) > 0.0


def _unsettled(reason: str, vouched: bool) -> str:  # noqa: FBT001 - private, two callers
    other = "the other events speak for it" if vouched else "nothing else speaks for it"
    return f"{reason}; {other}"


def _one_outcome() -> Verdict:
    reason = "the events hold one outcome only, so no probability is served"
    return Verdict("calibration", passed=True, value=None, limit=None, interval=None, reason=reason)


def _finite(not_finite: tuple[str, ...]) -> Verdict:
    reason = (
        f"numbers that are not finite in {', '.join(not_finite)}"
        if not_finite
        else "all numbers are finite"
    )
    return Verdict("finite", not not_finite, float(len(not_finite)), 0.0, None, reason)


def _parity(difference: float | None) -> Verdict:
    if difference is None:
        reason = "the NumPy scorer and TensorFlow disagree on the candidate"
        return Verdict("parity", passed=False, value=None, limit=None, interval=None, reason=reason)
    reason = f"the NumPy scorer and TensorFlow differ by at most {difference:.1g}"
    return Verdict("parity", True, difference, None, None, reason)


def _coverage(share: float | None, least: float) -> Verdict:
    if share is None:
        reason = "there are no requests to fill lists for"
        return Verdict("coverage", False, None, least, None, reason)
    reason = f"the lists hold {share:.0%} as many different items as the served model's"
    return Verdict("coverage", share >= least, share, least, None, reason)
