"""A run's numbers on the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.console import Console
from pipelines.evaluation.intervals import Estimate
from pipelines.evaluation.wording import (
    duration,
    estimate_of,
    half_width,
    metric_name,
    number,
    signed_bracket,
)

# Shown without its own interval: it stands beside ranking metrics to put them in their place.
_PLAIN: Final = ("coverage",)
_SHOWN: Final = 6


def terminal_table(summary: Mapping[str, Any], console: Console) -> None:
    """Prints the arms, best first, with their difference to the reference.

    Args:
      summary: As `write_report` returns it.
      console: Where to.
    """
    arms: Mapping[str, Any] = summary["arms"]
    metrics = list(dict.fromkeys(metric for own in arms.values() for metric in own))[:_SHOWN]
    primary, reference = summary["primary"], summary["reference"]
    columns = ["arm", *map(metric_name, metrics), f"{metric_name(primary)} − {reference}", "time"]
    rows = [_row(summary, arm, metrics) for arm in arms]
    console.message(
        f"{summary['protocol']}: {summary['questions']:,} questions of {summary['actors']:,} "
        f"users, {summary['blocks']} blocks, seeds {', '.join(map(str, summary['seeds']))}"
    )
    console.table(columns, rows)
    console.message(
        f"95 % intervals over {summary['resamples']:,} paired draws of blocks and users."
    )


def _row(summary: Mapping[str, Any], arm: str, metrics: Sequence[str]) -> list[str]:
    own, details = summary["arms"][arm], summary["details"][arm]
    apart = estimate_of(details["to_reference"][summary["primary"]])
    return [
        arm,
        *(_cell(metric, own.get(metric)) for metric in metrics),
        "" if arm == summary["reference"] else signed_bracket(apart),
        duration(sum(details["seconds"].values())),
    ]


def _cell(metric: str, stored: Mapping[str, float | None] | None) -> str:
    if stored is None:
        return ""
    estimate: Estimate = estimate_of(stored)
    if metric.startswith(_PLAIN):
        return number(estimate.mean)
    return f"{number(estimate.mean)} {half_width(estimate)}"
