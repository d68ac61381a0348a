"""What the tables of a report say."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.evaluation.intervals import Estimate
from pipelines.evaluation.panel import lower_is_better
from pipelines.evaluation.reference import ANCHORS
from pipelines.evaluation.report.findings import Finding
from pipelines.evaluation.slices import Slice
from pipelines.evaluation.summary import COVERAGE, Evaluation, parent_of
from pipelines.evaluation.wording import bracket, duration, metric_name, number, signed

_WORDS: Final[Mapping[str, str]] = {
    "coverage@10": "share of all items that stand in any list of ten",
    "ece": "expected calibration error",
    "ece-cold": "of users with fewer than five events",
    "ece-tail": "of the third of questions on the least known items",
}


def facts(evaluation: Evaluation, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Sizes of the run, for its head."""
    nights = max(len(own[0].nights) for own in evaluation.panel.records.values())
    return [
        ("questions", f"{summary['questions']:,}"),
        ("users", f"{summary['actors']:,}"),
        ("blocks of time", f"{summary['blocks']:,}"),
        ("nights", f"{nights:,}"),
        ("arms", f"{len(evaluation.order)}"),
        ("seeds", f"{len(summary['seeds'])}"),
        ("took", duration(summary["seconds"])),
    ]


def sentence(finding: Finding, arms: Sequence[str]) -> dict[str, Any]:
    """A finding, with its text cut into names of arms and what stands between them."""
    # the longest name first: slow+fast is not slow
    names = "|".join(re.escape(arm) for arm in sorted(arms, key=len, reverse=True))
    parts = re.split(rf"(?<![\w+-])({names})(?![\w+-])", finding.text)
    return {"tone": finding.tone, "topic": finding.topic, "parts": parts}


def main_table(evaluation: Evaluation, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Every arm: ranking metrics with coverage beside them, difference, spread, time."""
    metrics = [*evaluation.panel.metrics, *([COVERAGE] if evaluation.coverage else [])]
    best = [_best(evaluation, metric) for metric in metrics]
    primary = evaluation.whole[evaluation.panel.primary]
    rows = []
    for arm in evaluation.order:
        own, details = evaluation.metrics[arm], summary["details"][arm]
        apart = primary.difference(arm, evaluation.reference)
        difference = difference_cell(apart, evaluation.panel.primary)
        rows.append(
            {
                "arm": arm,
                "words": details["words"],
                "cells": [cell(own.get(metric)) for metric in metrics],
                "best": [arm == winner for winner in best],
                "difference": None if arm == evaluation.reference else difference,
                "deviation": _deviation(details, evaluation.panel.primary),
                "seconds": duration(sum(details["seconds"].values())),
            }
        )
    columns = [(metric_name(metric), _WORDS.get(metric, "")) for metric in metrics]
    return {"columns": columns, "rows": rows}


def outcome_table(evaluation: Evaluation) -> dict[str, Any] | None:
    """The arms that say probabilities; None where there are none."""
    metrics = [
        metric
        for metric in dict.fromkeys(m for own in evaluation.metrics.values() for m in own)
        if metric not in evaluation.panel.metrics and metric != COVERAGE
    ]
    best = [_best(evaluation, metric) for metric in metrics]
    rows = []
    for arm in evaluation.order:
        cells = [cell(evaluation.metrics[arm].get(metric)) for metric in metrics]
        if any(cells):
            rows.append({"arm": arm, "cells": cells, "best": [arm == winner for winner in best]})
    columns = [(metric_name(metric), _WORDS.get(metric, "")) for metric in metrics]
    return {"columns": columns, "rows": rows} if rows else None


def cell(estimate: Estimate | None) -> dict[str, str] | None:
    """A number and its interval."""
    if estimate is None:
        return None
    return {"value": number(estimate.mean), "interval": bracket(estimate)}


def difference_cell(estimate: Estimate, metric: str) -> dict[str, str]:
    """A difference and its interval; `tone` says whether it is for the better."""
    better = (estimate.mean > 0) != lower_is_better(metric)
    tone = "open" if not estimate.clear else "better" if better else "worse"
    return {"value": signed(estimate.mean), "interval": bracket(estimate), "tone": tone}


def _best(evaluation: Evaluation, metric: str) -> str | None:
    """The arm with the best value; None where more is not better in itself."""
    if metric == COVERAGE or metric.startswith("chance"):
        return None
    held = {arm: own[metric].mean for arm, own in evaluation.metrics.items() if metric in own}
    choose = min if lower_is_better(metric) else max
    return choose(held, key=held.__getitem__)


def _deviation(details: Mapping[str, Any], metric: str) -> str:
    if len(details["seeds"]) < 2:
        return ""
    return number(details["by_seed"][metric]["deviation"])


def slice_table(cut: Slice, order: Sequence[str]) -> dict[str, Any]:
    """The primary metric of every arm in each part."""
    rows = [
        {"arm": arm, "cells": [cell(bucket.means.of(arm)) for bucket in cut.buckets]}
        for arm in order
    ]
    columns = [{"label": bucket.label, "n": f"{bucket.n:,}"} for bucket in cut.buckets]
    return {"title": cut.title, "columns": columns, "rows": rows}


def ablations(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The arms from which a part was taken or replaced, less the arm that has it."""
    rows = []
    for arm in evaluation.order:
        parent = parent_of(arm)
        if parent not in evaluation.panel.arms:
            continue
        cells = [
            difference_cell(means.difference(arm, parent), metric)
            for metric, means in evaluation.whole.items()
        ]
        last = evaluation.last_third[evaluation.panel.primary].difference(arm, parent)
        words = evaluation.run.words.get(arm, "")
        cells.append(difference_cell(last, evaluation.panel.primary))
        rows.append({"arm": arm, "parent": parent, "words": words, "cells": cells})
    return rows


def settings(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was tried and chosen for each arm."""
    rows = []
    for arm, details in summary["details"].items():
        chosen = [f"{name} = {value}" for name, value in sorted(details["chosen"].items())]
        trials = "" if details["trials"] is None else f"{details['trials']:,}"
        seeds = ", ".join(map(str, details["seeds"]))
        rows.append({"arm": arm, "trials": trials, "chosen": chosen, "seeds": seeds})
    return rows


def beside(evaluation: Evaluation) -> dict[str, Any] | None:
    """Numbers of others and ours side by side; None where there are none."""
    anchors = ANCHORS.get(evaluation.panel.stream)
    if anchors is None:
        return None
    metrics = list(anchors[0].values)
    rows = []
    for anchor in anchors:
        own = evaluation.metrics.get(anchor.arm or "", {})
        pairs = [(number(anchor.values[metric]), cell(own.get(metric))) for metric in metrics]
        arm = anchor.arm if own else None
        rows.append({"name": anchor.name, "source": anchor.source, "arm": arm, "pairs": pairs})
    return {"metrics": [metric_name(metric) for metric in metrics], "rows": rows}
