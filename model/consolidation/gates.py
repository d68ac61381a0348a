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

RESAMPLES: Final = 2_000
# Six gates look at one night: at 99 % each, chance alone refuses three in a hundred at most.
INTERVAL: Final = (0.005, 0.995)
MIN_EVENTS: Final = 20
MIN_USERS: Final = 5
# A bootstrap over fewer users takes what a handful did for what all would do.
CHANCE_USERS: Final = 20

_CELLS: Final = 2_000_000
_LEAST_MEAN: Final = 1e-3


@dataclass(frozen=True)
class Change:
    """How a mean changed from the served model to the candidate, event by event.

    Attributes:
      served: The served model's mean.
      candidate: The candidate's mean.
      relative: Their difference as a share of the served model's mean.
      interval: 99 % interval of `relative` by a bootstrap over users.
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

    def words(self, metric: str) -> str:
        """The change as text."""
        low, high = self.interval
        return (
            f"{metric} {self.served:.4f} → {self.candidate:.4f}, {self.relative:+.1%} "
            f"({low:+.1%} to {high:+.1%}; {self.events:,} events, {self.users:,} users)"
        )


@dataclass(frozen=True)
class Measured:
    """What is known of a candidate beside the served model.

    Attributes:
      quality: Change of NDCG@10 on the held-out events; None without a success there.
      retained: Change of NDCG@10 on old events; None without a success among them.
      loss: Change of the outcome log-loss on the held-out events; None where one of the
        models gives no probability.
      retained_loss: Change of the outcome log-loss on old events, as `loss`.
      cold_loss: Change of the log-loss on held-out events of users with little history.
      tail_loss: Change of the log-loss on held-out events with rare items.
      coverage: Different items in the top 10 of the same requests: the candidate's
        number as a share of the served model's.
    """

    quality: Change | None
    retained: Change | None
    loss: Change | None
    retained_loss: Change | None
    cold_loss: Change | None
    tail_loss: Change | None
    coverage: float


@dataclass(frozen=True)
class Verdict:
    """One gate's word.

    Attributes:
      name: The gate.
      passed: Whether the candidate may be published, as far as this gate sees.
      reason: The verdict in words.
      value: What was measured; None where nothing could be.
      limit: The worst value that passes without a doubt; None where there is none.
      interval: 99 % interval of the value, where it is known.
    """

    name: str
    passed: bool
    reason: str
    value: float | None = None
    limit: float | None = None
    interval: tuple[float, float] | None = None

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
    counts = np.asarray(np.bincount(number), np.float64)
    sums = np.asarray(np.bincount(number, candidate - served), np.float64)
    # a model that ranked nothing right must not make every change infinite
    base = max(float(served.mean()), _LEAST_MEAN)
    means = _resampled_means(sums, counts, rng) / base
    low, high = np.quantile(means, INTERVAL).tolist()
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
    """What the comparison with the served model says."""
    quality = _Gate("quality", "NDCG@10", -1, policy.max_quality_loss)
    forgetting = _Gate("forgetting", "NDCG@10 of old events", -1, policy.max_forgetting)
    calibration = _Gate("calibration", "log-loss", 1, policy.max_logloss_rise)
    old_calibration = _Gate("old_calibration", "log-loss of old events", 1, policy.max_logloss_rise)
    new, old = quality.clear(measured.quality), forgetting.clear(measured.retained)
    # a ranking can get better while the probabilities get worse, so it vouches for them
    # only where no other probabilities can
    loss, old_loss = measured.loss, measured.retained_loss
    honest = calibration.clear(loss) if loss and loss.enough else new or old
    old_honest = old_calibration.clear(old_loss) if old_loss and old_loss.enough else new or old
    doubt = max(policy.max_logloss_rise, policy.max_slice_rise)
    cold = _Gate("calibration_cold", "log-loss of users with little history", 1, doubt)
    tail = _Gate("calibration_tail", "log-loss of rare items", 1, doubt)
    return [
        quality.verdict(measured.quality, vouched=old),
        forgetting.verdict(measured.retained, vouched=new),
        calibration.verdict(loss, vouched=old_honest),
        old_calibration.verdict(old_loss, vouched=honest),
        # a few dozen events settle little, and the whole has its own gate
        cold.verdict(measured.cold_loss, vouched=True),
        tail.verdict(measured.tail_loss, vouched=True),
        _coverage(measured.coverage, policy.min_coverage),
    ]


def _coverage(share: float, least: float) -> Verdict:
    reason = f"lists hold {share:.0%} as many different items as the served model's"
    return Verdict("coverage", share >= least, reason, share, least)


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
        """The verdict; `vouched` says whether other events speak for the candidate."""
        limit = self.worse * self.most
        if change is None:
            return Verdict(self.name, vouched, f"nothing to compare; {_voucher(vouched)}")
        passed, reason = True, change.words(self.metric)
        if change.enough and self._exceeded(change) and self._beyond_chance(change):
            passed, reason = False, f"{reason}: worse than {limit:+.1%} allows, beyond chance"
        elif not self.clear(change):
            why = "not beyond chance" if change.enough else "too few events to tell"
            passed, reason = vouched, f"{reason}: {why}; {_voucher(vouched)}"
        return Verdict(self.name, passed, reason, change.relative, limit, change.interval)

    def _exceeded(self, change: Change) -> bool:
        # what is not a number is no better than what is too much
        return not self.worse * change.relative <= self.most

    def _beyond_chance(self, change: Change) -> bool:
        worst_for_certain = min(self.worse * end for end in change.interval)
        return change.users >= CHANCE_USERS and not worst_for_certain <= 0.0


def _voucher(vouched: bool) -> str:  # noqa: FBT001 - a word for a truth value
    return "other events speak for it" if vouched else "nothing else speaks for it"
