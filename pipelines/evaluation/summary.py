"""One run of one protocol in numbers: what tables and reports are made of."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from model.errors import BadInputError
from pipelines.evaluation.intervals import Estimate, Means, set_share
from pipelines.evaluation.outcomes import Outcome, outcomes
from pipelines.evaluation.panel import Panel, lower_is_better, panel_of
from pipelines.evaluation.record import Record
from pipelines.evaluation.results import RunInfo
from pipelines.evaluation.slices import Slice, slices_of

FORMAT: Final = "slowwave-evaluation/1"
COVERAGE: Final = "coverage@10"

_PARENTS: Final = ("ours", "slow+fast")
_OUTCOME: Final = ("logloss", "auc", "ece")
_VERDICTS: Final = ("published", "refused", "nothing_new", "skipped")


@dataclass(frozen=True)
class Evaluation:
    """The arms of one stream and everything that was computed of them.

    Attributes:
      panel: The records.
      run: How they were made.
    """

    panel: Panel
    run: RunInfo

    @cached_property
    def whole(self) -> dict[str, Means]:
        """Each metric over the whole stream."""
        return {metric: self.panel.means(metric) for metric in self.panel.metrics}

    @cached_property
    def last_third(self) -> dict[str, Means]:
        """Each metric over the last third of the stream."""
        which = self.panel.last_third
        return {metric: self.panel.means(metric, which) for metric in self.panel.metrics}

    @cached_property
    def outcomes(self) -> Mapping[str, Mapping[str, Outcome]]:
        """Probabilities, by arm and by part of the questions."""
        return outcomes(self.panel)

    @cached_property
    def slices(self) -> list[Slice]:
        """The primary metric, cut in several ways."""
        return slices_of(self.panel)

    @cached_property
    def coverage(self) -> dict[str, Estimate]:
        """Distinct items in the lists of ten by the stream's items, the mean over seeds."""
        found = {arm: self._coverage(own) for arm, own in self.panel.records.items()}
        return {arm: share for arm, share in found.items() if share is not None}

    def _coverage(self, own: Sequence[Record]) -> Estimate | None:
        if not own[0].top.size:
            return None
        block = self.panel.asked.block
        shares = [set_share(record.top, block, record.n_items) for record in own]
        return Estimate(*(float(part) for part in np.mean(shares, axis=0)))

    @cached_property
    def order(self) -> list[str]:
        """Arms, the best by the primary metric first."""
        means = self.whole[self.panel.primary]
        sign = 1.0 if lower_is_better(self.panel.primary) else -1.0
        keys = np.nan_to_num(sign * means.mean, nan=np.inf)
        return [self.panel.arms[at] for at in np.argsort(keys, kind="stable")]

    @cached_property
    def subject(self) -> str:
        """The arm that the report is about: the one asked for, or the best."""
        return self.run.subject if self.run.subject in self.panel.arms else self.order[0]

    @cached_property
    def reference(self) -> str:
        """The arm that the others are measured against: the one asked for, or the next best."""
        if self.run.reference:
            return self.run.reference
        others = [arm for arm in self.order if arm != self.subject]
        ablations = [arm for arm in others if parent_of(arm) is None]
        return next(iter(ablations or others), self.subject)

    @cached_property
    def metrics(self) -> dict[str, dict[str, Estimate]]:
        """By arm, every metric of the results file, the primary one first."""
        return {arm: self._metrics(arm) for arm in self.order}

    def _metrics(self, arm: str) -> dict[str, Estimate]:
        found = {metric: means.of(arm) for metric, means in self.whole.items()}
        if arm in self.coverage:
            found[COVERAGE] = self.coverage[arm]
        if said := self.outcomes.get(arm, {}).get("all"):
            # on shown lists AUC is a metric of the lists, and the outcome's has another name
            auc = "auc-outcome" if "auc" in found else "auc"
            found |= {"logloss": said.logloss, auc: said.auc, "ece": said.ece}
            for part, metric in (("cold users", "ece-cold"), ("tail items", "ece-tail")):
                if part in self.outcomes[arm]:
                    found[metric] = self.outcomes[arm][part].ece
        return found


def parent_of(arm: str) -> str | None:
    """The arm of which this one is an ablation or a placebo, by its name."""
    return next((parent for parent in _PARENTS if arm.startswith(f"{parent}-")), None)


def evaluation_of(records: Sequence[Record], run: RunInfo) -> Evaluation:
    """Puts the records of one stream together.

    Raises:
      BadInputError: If they are not of one stream or were asked different questions, or
        if the arm to measure against is not among them.
    """
    panel = panel_of(records)
    if run.reference and run.reference not in panel.arms:
        raise BadInputError(
            f"expected a reference among {', '.join(panel.arms)}, got {run.reference!r}"
        )
    return Evaluation(panel, run)


def night_seconds(night: Mapping[str, Any], what: str = "seconds") -> float:
    """What a night cost; one that was made ahead says so itself.

    Args:
      night: As it stands in a record.
      what: `seconds` or `cpu_seconds`; not a number where nobody has counted.
    """
    ahead = f"job_{what}" if "job_seconds" in night else what
    return float(night.get(ahead, np.nan))


def seconds_of(own: Sequence[Record]) -> dict[str, float]:
    """Seconds by step, the mean over seeds."""
    each = [
        dict(record.seconds) | {"nights": sum(map(night_seconds, record.nights))} for record in own
    ]
    steps = dict.fromkeys(step for one in each for step in one)
    mean = {step: float(np.mean([one.get(step, 0.0) for one in each])) for step in steps}
    return {step: round(seconds, 3) for step, seconds in mean.items()}


def nights_of(own: Sequence[Record]) -> dict[str, Any]:
    """How many nights there were in all seeds, how they ended, and what one seed's cost.

    Refused ones are counted by the verdict that failed too; some fail several.
    """
    nights = [night for record in own for night in record.nights]
    ended = [night.get("verdict") for night in nights]
    counts = {verdict: ended.count(verdict) for verdict in _VERDICTS}
    failed = Counter(name for night in nights for name in night.get("failed", ()))
    spent = {
        what: _rounded(sum(night_seconds(night, what) for night in nights) / len(own), 3)
        for what in ("seconds", "cpu_seconds")
    }
    return {"count": len(nights), **counts, "failed": dict(failed.most_common()), **spent}


def summary_of(evaluation: Evaluation) -> dict[str, Any]:
    """Everything as JSON; the part that is recorded is described in `results.py`."""
    panel, run = evaluation.panel, evaluation.run
    return {
        "format": FORMAT,
        "protocol": panel.stream,
        **run.heading(),
        "primary": panel.primary,
        "subject": evaluation.subject,
        "against": run.reference or evaluation.subject,
        "reference": evaluation.reference,
        "questions": len(panel.asked.row),
        "actors": len(np.unique(panel.asked.actor)),
        "blocks": len(np.unique(panel.asked.block)),
        "resamples": panel.plan.resamples,
        "mean_over_blocks": panel.plan.over_blocks,
        "arms": {arm: _as_json(own) for arm, own in evaluation.metrics.items()},
        "details": {arm: _details(evaluation, arm) for arm in evaluation.order},
        "slices": {each.name: _slice_json(each, evaluation.order) for each in evaluation.slices},
    }


def _as_json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.as_json() for name, estimate in estimates.items()}


def _details(evaluation: Evaluation, arm: str) -> dict[str, Any]:
    run, own = evaluation.run, evaluation.panel.records[arm]

    def against(other: str, means: Mapping[str, Means]) -> dict[str, Any]:
        return _as_json({metric: m.difference(arm, other) for metric, m in means.items()})

    return {
        "words": run.words.get(arm, ""),
        "trials": run.trials.get(arm),
        "chosen": dict(run.chosen.get(arm, {})),
        "seeds": [record.seed for record in own],
        "by_seed": _by_seed(own),
        "seconds": seconds_of(own),
        "nights": nights_of(own),
        "sizes": dict(run.sizes.get(arm, {})),
        "to_reference": against(evaluation.reference, evaluation.whole),
        "to_subject": against(evaluation.subject, evaluation.whole),
        "last_third": _as_json({m: means.of(arm) for m, means in evaluation.last_third.items()}),
        "last_third_to_reference": against(evaluation.reference, evaluation.last_third),
        "last_third_to_subject": against(evaluation.subject, evaluation.last_third),
        "outcomes": {
            part: {
                "n": said.n,
                **_as_json({m: getattr(said, m) for m in ("logloss", "auc", "ece")}),
            }
            for part, said in evaluation.outcomes.get(arm, {}).items()
        },
    }


def _by_seed(own: Sequence[Record]) -> dict[str, Any]:
    """For every metric the value of each seed and their standard deviation."""
    found = {}
    for metric in own[0].metrics:
        values = [float(_mean(record.metrics[metric])) for record in own]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        found[metric] = {
            "values": [_rounded(value) for value in values],
            "deviation": _rounded(spread),
        }
    return found


_mean: Callable[[Any], Any] = np.nanmean


def _rounded(value: float, places: int = 6) -> float | None:
    return round(value, places) if np.isfinite(value) else None


def _slice_json(cut: Slice, order: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "label": bucket.label,
            "n": bucket.n,
            "arms": {arm: bucket.means.of(arm).as_json() for arm in order},
        }
        for bucket in cut.buckets
    ]
