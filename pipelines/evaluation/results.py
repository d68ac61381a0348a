"""The numbers that are kept: `docs/results.json`, and the page that is generated from it.

The file is `{table: {command, date, commit, machine, seconds, seeds, arms: {arm: {metric:
{mean, low, high}}}, against: {arm, metric, whole, last_third}, nights: {arm: counts and
seconds}, sizes: {arm: counts}, curves: {slice: [{label, n, arms: {arm: mean}}]}}}`. A table is a
protocol's own, or bears a name behind it, as `ml-100k: memory`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from model.errors import BadInputError
from model.files import write_atomically
from pipelines.evaluation.reference import ANCHORS, Anchor
from pipelines.evaluation.wording import (
    bracket,
    duration,
    estimate_of,
    metric_name,
    number,
    signed_bracket,
)

HEADING: Final = ("command", "date", "commit", "machine", "seconds", "seeds")


@dataclass(frozen=True)
class RunInfo:
    """How the records of a run were made.

    Attributes:
      protocol: As on the command line.
      command: The whole command.
      date: Day of the run, like 2026-01-31.
      commit: Of the code.
      machine: In words: processor, cores, memory.
      seconds: Of the whole run; of one that took up what an earlier one had finished, at least
        those of its longest arm.
      seeds: Of what is stochastic.
      reference: The arm that others are measured against; empty for the best of the others.
      subject: The arm that the report is about.
      trials: Settings that were tried, by arm.
      chosen: What was chosen of them, by arm.
      words: What an arm is, for those whose names do not say it.
      sizes: Counts of an arm's model at the end, by arm.
    """

    protocol: str
    command: str
    date: str
    commit: str
    machine: str
    seconds: float
    seeds: tuple[int, ...]
    reference: str = ""
    subject: str = "ours"
    trials: Mapping[str, int] = field(default_factory=dict)
    chosen: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def heading(self) -> dict[str, Any]:
        """What stands under every table."""
        told = {name: getattr(self, name) for name in HEADING}
        return told | {"seconds": round(self.seconds, 1), "seeds": list(self.seeds)}


def read_results(path: Path) -> dict[str, Any]:
    """What has been recorded by table; empty where there is no file.

    Raises:
      BadInputError: If the file is not JSON of that shape.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BadInputError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict) or not all(
        isinstance(entry, dict) and "arms" in entry for entry in found.values()
    ):
        raise BadInputError(f"expected {path} to hold an object of protocols with their arms")
    return found


def merge_json(path: Path, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Puts an entry into a file and leaves the others as they are; atomic.

    Raises:
      BadInputError: If the file that is there is not of the shape.
    """
    merged = {**read_results(path), name: dict(entry)}
    ordered = dict(sorted(merged.items()))
    write_atomically(path, (json.dumps(ordered, indent=1, ensure_ascii=False) + "\n").encode())
    return ordered


def record_results(summary: Mapping[str, Any], path: Path, table: str = "") -> None:
    """Records a run's numbers, and generates the page beside the file: same name, `.md`.

    Args:
      summary: As `write_report` returns it.
      path: The JSON file; the other tables stay.
      table: Name of a table beside the protocol's own; empty for its own.

    Raises:
      BadInputError: If the file that is there is not of the shape.
    """
    protocol, details = summary["protocol"], summary["details"]
    entry = {name: summary[name] for name in (*HEADING, "arms")}
    entry["against"] = _against(summary)
    entry["nights"] = {arm: d["nights"] for arm, d in details.items() if d["nights"]["count"]}
    entry["sizes"] = {arm: d["sizes"] for arm, d in details.items() if d["sizes"]}
    entry["curves"] = {
        name: [_point(bucket) for bucket in summary["slices"][name]]
        for name in _CURVES
        if name in summary["slices"]
    }
    merge_json(path, f"{protocol}: {table}" if table else protocol, entry)
    write_page(path)


def _point(bucket: Mapping[str, Any]) -> dict[str, Any]:
    means = {arm: estimate["mean"] for arm, estimate in bucket["arms"].items()}
    return {"label": bucket["label"], "n": bucket["n"], "arms": means}


def _against(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The primary metric's paired difference to one arm, by arm."""
    arm, metric, details = summary["against"], summary["primary"], summary["details"]
    to = "to_reference" if arm == summary["reference"] else "to_subject"
    parts = {"whole": to, "last_third": f"last_third_{to}"}
    return {"arm": arm, "metric": metric} | {
        part: {name: own[key][metric] for name, own in details.items() if name != arm}
        for part, key in parts.items()
    }


def write_page(path: Path) -> None:
    """Generates the page of a results file beside it.

    Raises:
      BadInputError: If the file is not of the shape.
    """
    page = results_markdown(read_results(path))
    write_atomically(path.with_suffix(".md"), page.encode())


_INTRODUCTION: Final = """\
# Results

Generated from `results.json` by `slowwave evaluate --record`; do not edit.

Every number comes from a replay: events are scored one by one before anything is learned of
them, with nights in between. A replay can show that one method predicts better than another,
not that it earns more. Brackets are 95 % intervals of a bootstrap over users with the days or
periods as outer level; arms are compared on the same draws, so two arms can differ clearly
though their intervals overlap. Coverage is the share of all items that stand in any list.
"""


def results_markdown(results: Mapping[str, Any]) -> str:
    """The page of recorded results; the same text for the same results."""
    if not results:
        return f"{_INTRODUCTION}\nNothing has been recorded yet.\n"
    parts = [_INTRODUCTION, *(_protocol(name, results[name]) for name in sorted(results))]
    return "\n".join(parts)


def _protocol(name: str, entry: Mapping[str, Any]) -> str:
    arms: Mapping[str, Mapping[str, Any]] = entry["arms"]
    metrics = list(dict.fromkeys(metric for own in arms.values() for metric in own))
    against = entry.get("against", {})
    rows = [
        [
            f"`{arm}`",
            *(_cell(own.get(metric)) for metric in metrics),
            *(_apart(against[part].get(arm)) for part in _PARTS if against),
        ]
        for arm, own in arms.items()
    ]
    columns = ["arm", *map(metric_name, metrics)]
    if against:
        apart = f"{metric_name(against['metric'])} − `{against['arm']}`"
        columns += [apart, f"{apart}, last third"]
    parts = [f"## {name}\n", _table(columns, rows)]
    if nights := _nights(entry):
        parts.append(nights)
    curves = entry.get("curves", {})
    parts += [
        _curve(words, curves[key], list(arms)) for key, words in _CURVES.items() if key in curves
    ]
    if anchors := ANCHORS.get(name):
        parts.append(_beside(anchors, arms))
    seeds = ", ".join(map(str, entry["seeds"]))
    parts.append(
        f"`{entry['command']}`, {entry['date']}, commit `{entry['commit']}`, {entry['machine']}, "
        f"{duration(entry['seconds'])}; seeds {seeds}.\n"
    )
    return "\n".join(parts)


def _beside(anchors: Sequence[Anchor], arms: Mapping[str, Mapping[str, Any]]) -> str:
    metrics = list(anchors[0].values)
    rows = []
    for anchor in anchors:
        own = arms.get(anchor.arm or "", {})
        measured = [number(own[metric]["mean"]) if metric in own else "" for metric in metrics]
        pairs = zip(anchor.values.values(), measured, strict=True)
        cells = [cell for theirs, ours in pairs for cell in (number(theirs), ours)]
        rows.append([anchor.name, anchor.source, f"`{anchor.arm}`" if own else "", *cells])
    columns = [column for metric in metrics for column in (metric_name(metric), "ours")]
    return "Numbers of others and ours side by side:\n\n" + _table(
        ["measured by others", "source", "our arm", *columns], rows
    )


def _cell(stored: Mapping[str, float | None] | None) -> str:
    if stored is None:
        return ""
    estimate = estimate_of(stored)
    return f"{number(estimate.mean)} {bracket(estimate)}"


_PARTS: Final = ("whole", "last_third")
_CURVES: Final = {
    "actor_events": "By how many events the user had before",
    "new_item_events": "By how many events the item had before, of items newer than the history",
}


def _apart(stored: Mapping[str, float | None] | None) -> str:
    return "" if stored is None else signed_bracket(estimate_of(stored))


def _nights(entry: Mapping[str, Any]) -> str:
    """How the nights ended and what they cost, and what the model came to."""
    rows = []
    for arm in entry["arms"]:
        nights, sizes = (entry.get(name, {}).get(arm, {}) for name in ("nights", "sizes"))
        judged = nights.get("published", 0) + nights.get("refused", 0)
        if not judged and not sizes:
            continue
        failed = ", ".join(f"{name} {n}" for name, n in nights.get("failed", {}).items())
        spent = [nights.get(what) for what in ("seconds", "cpu_seconds")]
        weights = sizes.get("wide_weights")
        rows.append(
            [
                f"`{arm}`",
                str(nights.get("count", "")),
                f"{nights['refused']} of {judged}" if judged else "",
                failed,
                *("" if seconds is None else duration(seconds) for seconds in spent),
                "" if weights is None else f"{weights:,}",
            ]
        )
    if not rows:
        return ""
    columns = ["arm", "nights", "refused", "by", "time", "processor time", "wide weights"]
    told = "Nights of all seeds; what those of one seed took; wide weights that are not zero:"
    return f"{told}\n\n" + _table(columns, rows)


def _curve(words: str, points: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> str:
    """How the primary metric grows with what is known: a column for each bucket of questions."""
    columns = ["arm", *(f"{point['label']} ({point['n']:,})" for point in points)]
    rows = [[f"`{arm}`", *(number(point["arms"][arm]) for point in points)] for arm in arms]
    return f"{words} (questions in brackets):\n\n" + _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
