"""How good the probabilities are: log-loss, AUC, calibration, and a diagram of it."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from model.metrics import log_losses
from pipelines.evaluation.intervals import Estimate, FloatArray, Plan, cells_of, draws, interval
from pipelines.evaluation.panel import Panel, same_questions
from pipelines.evaluation.record import Judged

N_BINS: Final = 15
COLD_EVENTS: Final = 5
"""A user with fewer events than this is cold."""

_COLUMNS: Final = 5 + N_BINS


class Outcome(NamedTuple):
    """What an arm's probabilities are worth, the mean over its seeds.

    Attributes:
      n: Questions.
      logloss: In nats.
      auc: NaN where all questions went the same way.
      ece: Expected calibration error over 15 bins of equal mass.
    """

    n: int
    logloss: Estimate
    auc: Estimate
    ece: Estimate


class Reliability(NamedTuple):
    """A diagram of calibration.

    Attributes:
      predicted: [bins] mean probability.
      observed: [bins] share of successes.
    """

    predicted: FloatArray
    observed: FloatArray


def parts_of(panel: Panel) -> dict[str, NDArray[np.bool_]]:
    """[questions] which outcome questions are all, those of cold users, those of tail items.

    A tail item is in the third of the questions whose items had the fewest successes in
    the bootstrap part.

    Raises:
      BadInputError: If the arms were not asked the same.
    """
    said = panel.judged
    if not said:
        return {}
    first_arm, (first, *_) = next(iter(said.items()))
    for arm, own in said.items():
        for judged in own:
            if column := same_questions(first, judged, ignoring=("probability",)):
                raise BadInputError(
                    f"expected the same questions of outcome, but {column} differs between "
                    f"{first_arm} and {arm}"
                )
    least = np.quantile(first.item_bootstrap, 1 / 3, method="lower")
    return {
        "all": np.ones(len(first.row), np.bool_),
        "cold users": first.actor_events < COLD_EVENTS,
        "tail items": first.item_bootstrap <= least,
    }


def outcome(own: Sequence[Judged], which: NDArray[np.bool_], plan: Plan) -> Outcome | None:
    """Log-loss, AUC and calibration of an arm on some of the questions; None without any."""
    n = int(which.sum())
    if not n:
        return None
    label = own[0].label[which].astype(np.float64)
    columns = [_columns(each.probability[which].astype(np.float64), label) for each in own]
    cells = cells_of(own[0].block[which], own[0].actor[which])
    sums = cells.sums(np.hstack(columns))
    now = _values(sums.sum(axis=0))
    drawn = draws(cells, sums, _values, plan._replace(over_blocks=False))
    low, high = interval(drawn[:, 2])
    ece = float(now[2])
    # Chance can only widen the gaps, and drawing adds more of it: so the interval is turned
    # round the value, which takes out as much as drawing has added.
    turned = Estimate(ece, max(0.0, min(ece, 2 * ece - high)), max(ece, 2 * ece - low))
    # Both halves of a drawn AUC move it in full, to the first order (DeLong et al. 1988).
    drawn[:, 1] = 2.0 * drawn[:, 1] - now[1]
    logloss, auc = (Estimate(float(now[at]), *interval(drawn[:, at])) for at in (0, 1))
    return Outcome(n, logloss, auc, turned)


def _columns(probability: FloatArray, label: FloatArray) -> FloatArray:
    """[questions, columns] of which sums are all that the three metrics need."""
    success = label > 0.5
    ordered_fail, ordered_win = np.sort(probability[~success]), np.sort(probability[success])
    # a success's share of failures below it, and a failure's share of successes above it
    beaten = np.where(success, _share_below(ordered_fail, probability), 0.0)
    lost_to = np.where(success, 0.0, 1.0 - _share_below(ordered_win, probability))
    losses = log_losses(probability, label)
    plain = np.stack([np.ones(len(label)), losses, success, beaten, lost_to], axis=1)
    gaps = np.zeros((len(label), N_BINS))
    order = np.argsort(probability, kind="stable")
    for number, members in enumerate(np.array_split(order, N_BINS)):
        gaps[members, number] = probability[members] - label[members]
    return np.hstack([plain, gaps])


def _share_below(ordered: FloatArray, values: FloatArray) -> FloatArray:
    """[values] share of `ordered` that is below each value, ties counting half."""
    left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((left + right) / (2.0 * max(len(ordered), 1)))


def _values(sums: FloatArray) -> FloatArray:
    """[..., 3] log-loss, AUC and ECE, the mean over seeds, of [..., seeds * columns].

    AUC is the mean of two shares that are equal in the questions as they are: of failures
    below a success, and of successes above a failure.
    """
    by_seed = sums.reshape(*sums.shape[:-1], -1, _COLUMNS)
    count, loss, wins, beaten, lost_to = np.moveaxis(by_seed[..., :5], -1, 0)
    ece = np.abs(by_seed[..., 5:]).sum(axis=-1) / count
    fails = count - wins
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = (beaten / wins + lost_to / fails) / 2.0
    return np.stack([(loss / count).mean(-1), auc.mean(-1), ece.mean(-1)], axis=-1)


def reliability(own: Sequence[Judged]) -> Reliability:
    """Bins of equal mass, the mean over seeds."""
    predicted, observed = [], []
    for each in own:
        order = np.argsort(each.probability, kind="stable")
        bins = [part for part in np.array_split(order, N_BINS) if part.size]
        predicted.append([float(each.probability[part].mean()) for part in bins])
        observed.append([float(each.label[part].mean()) for part in bins])
    return Reliability(np.mean(predicted, axis=0), np.mean(observed, axis=0))


def outcomes(panel: Panel) -> Mapping[str, Mapping[str, Outcome]]:
    """For every arm that says probabilities: its worth on all, on cold users, on tail items."""
    parts = parts_of(panel)
    found: dict[str, dict[str, Outcome]] = {}
    for arm, own in panel.judged.items():
        each = {part: outcome(own, which, panel.plan) for part, which in parts.items()}
        found[arm] = {part: value for part, value in each.items() if value is not None}
    return found
