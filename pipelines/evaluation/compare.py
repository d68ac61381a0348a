"""Two runs side by side: what changed for the same arms on the same streams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.errors import BadInputError
from model.files import write_atomically
from pipelines.console import Console
from pipelines.evaluation.intervals import Estimate, Means, interval, means
from pipelines.evaluation.panel import Panel, panel_of, same_questions
from pipelines.evaluation.record import read_record
from pipelines.evaluation.report.contents import cell, difference_cell
from pipelines.evaluation.report.page import SUMMARY_NAME, render
from pipelines.evaluation.report.palette import stand_in
from pipelines.evaluation.results import read_results
from pipelines.evaluation.wording import metric_name, number, signed_bracket

PAGE_NAME: Final = "compare.html"

_RECORDS: Final = "records"


@dataclass(frozen=True)
class Change:
    """One metric of one arm in both runs.

    Attributes:
      a: In the first run.
      b: In the second.
      difference: The second less the first.
    """

    a: Estimate
    b: Estimate
    difference: Estimate

    def as_json(self) -> dict[str, Any]:
        """All three."""
        return {name: getattr(self, name).as_json() for name in ("a", "b", "difference")}


@dataclass(frozen=True)
class StreamChange:
    """What changed on one stream.

    Attributes:
      stream: Its name.
      paired: Whether both runs were asked the same questions.
      note: What the reader must know of that.
      changes: By arm and metric, the arms in the order of the second run's records.
      only_a: Arms that only the first run has.
      only_b: Arms that only the second run has.
    """

    stream: str
    paired: bool
    note: str
    changes: Mapping[str, Mapping[str, Change]]
    only_a: Sequence[str]
    only_b: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Everything but the stream's name."""
        arms = {
            arm: {metric: change.as_json() for metric, change in own.items()}
            for arm, own in self.changes.items()
        }
        only = {"only_a": list(self.only_a), "only_b": list(self.only_b)}
        return {"paired": self.paired, "note": self.note, "arms": arms, **only}


def compare_runs(a: Path, b: Path, out: Path | None, console: Console) -> dict[str, Any]:
    """Compares two runs on the terminal and on a page.

    Where both runs were asked the same questions the differences are paired.

    Args:
      a: Folder of the first run, with `run.json` and `records/<stream>/<arm>-<seed>.npz`.
      b: Folder of the second.
      out: Folder of the page, `compare.html`; None for the second run's.
      console: Where the table goes.

    Returns:
      Everything as JSON.

    Raises:
      BadInputError: If a folder holds no run, or if the runs share no stream with an arm.
    """
    panels_a, panels_b = _panels(a), _panels(b)
    shared = [stream for stream in panels_a if stream in panels_b]
    found = [changes(panels_a[stream], panels_b[stream]) for stream in shared]
    found = [each for each in found if each.changes]
    if not found:
        raise BadInputError(
            f"expected runs that share an arm on a stream, got {_held(panels_a)} in {a} "
            f"and {_held(panels_b)} in {b}"
        )
    runs = [_heading(a, found), _heading(b, found)]
    for each in found:
        _print(each, console)
    page = (out or b) / PAGE_NAME
    write_atomically(page, _html(runs, found).encode())
    console.message(f"Page: {page}")
    return {"a": runs[0], "b": runs[1], "streams": {each.stream: each.as_json() for each in found}}


def changes(a: Panel, b: Panel) -> StreamChange:
    """What changed from one run of a stream to another."""
    differs = same_questions(a.asked, b.asked)
    arms = [arm for arm in b.arms if arm in a.arms]
    metrics = [metric for metric in b.metrics if metric in a.metrics]
    compared = _paired if differs is None else _unpaired
    by_metric = {metric: compared(a, b, arms, metric) for metric in metrics} if arms else {}
    note = "" if differs is None else (
        f"The runs were not asked the same questions ({differs} differs), so the differences "
        "are not paired and their intervals are wider."
    )  # fmt: skip
    return StreamChange(
        stream=b.stream,
        paired=differs is None,
        note=note,
        changes={arm: {metric: by_metric[metric][arm] for metric in metrics} for arm in arms},
        only_a=[arm for arm in a.arms if arm not in b.arms],
        only_b=[arm for arm in b.arms if arm not in a.arms],
    )


def _paired(a: Panel, b: Panel, arms: Sequence[str], metric: str) -> dict[str, Change]:
    values = np.vstack([_rows(a, arms, metric), _rows(b, arms, metric)])
    names = [f"{run} {arm}" for run in "ab" for arm in arms]
    both = means(names, values, (b.asked.block, b.asked.actor), b.plan)
    return {
        arm: Change(
            both.of(f"a {arm}"), both.of(f"b {arm}"), both.difference(f"b {arm}", f"a {arm}")
        )
        for arm in arms
    }


def _unpaired(a: Panel, b: Panel, arms: Sequence[str], metric: str) -> dict[str, Change]:
    # another seed: equal draws would pair what does not belong together
    of_a = a.means(metric, plan=a.plan._replace(seed=a.plan.seed + 1))
    of_b = b.means(metric)
    return {arm: Change(of_a.of(arm), of_b.of(arm), _difference(of_a, of_b, arm)) for arm in arms}


def _difference(a: Means, b: Means, arm: str) -> Estimate:
    at_a, at_b = a.arms.index(arm), b.arms.index(arm)
    apart = b.drawn[:, at_b] - a.drawn[:, at_a]
    return Estimate(float(b.mean[at_b] - a.mean[at_a]), *interval(apart))


def _rows(panel: Panel, arms: Sequence[str], metric: str) -> Any:
    return panel.values[metric][[panel.arms.index(arm) for arm in arms]]


def _panels(folder: Path) -> dict[str, Panel]:
    """The streams of a run."""
    paths = sorted((folder / _RECORDS).glob("*/*.npz"))
    if not paths:
        raise BadInputError(f"expected records in {folder / _RECORDS}, got none")
    by_stream: dict[str, list[Path]] = {}
    for path in paths:
        by_stream.setdefault(path.parent.name, []).append(path)
    return {
        stream: panel_of([read_record(path) for path in own]) for stream, own in by_stream.items()
    }


def _held(panels: Mapping[str, Panel]) -> str:
    return "; ".join(f"{stream}: {', '.join(panel.arms)}" for stream, panel in panels.items())


def _heading(folder: Path, found: Sequence[StreamChange]) -> dict[str, Any]:
    """The folder's name and what its `run.json` says of how it was made."""
    told = read_results(folder / SUMMARY_NAME)
    entry: Mapping[str, Any] = next(
        (told[each.stream] for each in found if each.stream in told), {}
    )
    names = ("command", "date", "commit", "machine")
    return {"name": folder.name, **{name: str(entry.get(name, "")) for name in names}}


def _print(change: StreamChange, console: Console) -> None:
    console.message(f"{change.stream}: A, B and B − A")
    if change.note:
        console.warning(change.note)
    metrics = list(next(iter(change.changes.values())))
    columns = ["arm"]
    for metric in metrics:
        name = metric_name(metric)
        columns += [f"{name} A", "B", "B − A"]
    rows = []
    for arm, own in change.changes.items():
        row = [arm]
        for each in own.values():
            row += [number(each.a.mean), number(each.b.mean), signed_bracket(each.difference)]
        rows.append(row)
    console.table(columns, rows)
    for arms, run in ((change.only_a, "A"), (change.only_b, "B")):
        if arms:
            console.message(f"Only in {run}: {', '.join(arms)}")


def _html(runs: Sequence[Mapping[str, Any]], found: Sequence[StreamChange]) -> str:
    arms = list(dict.fromkeys(arm for each in found for arm in each.changes))
    streams = [
        {
            "name": each.stream,
            "note": each.note,
            "only": (("A", each.only_a), ("B", each.only_b)),
            "metrics": [metric_name(metric) for metric in _metrics(each)],
            "plates": _plates(each, arms),
            "rows": [_row(arm, own) for arm, own in each.changes.items()],
        }
        for each in found
    ]
    return render("compare.html.j2", arms, runs=runs, streams=streams)


def _metrics(change: StreamChange) -> list[str]:
    return list(next(iter(change.changes.values())))


def _plates(change: StreamChange, arms: Sequence[str]) -> list[dict[str, str]]:
    # Matplotlib costs half a second, which only a page pays
    from pipelines.evaluation.report.figures import forest_figure

    plates = []
    for metric in _metrics(change)[:2]:
        rows = [
            (arm, stand_in(arms.index(arm)), own[metric].difference)
            for arm, own in change.changes.items()
        ]
        name = f"{change.stream}: {metric_name(metric)} of B less A"
        svg = forest_figure(rows, name)
        plates.append({"title": f"{metric_name(metric)}, B − A", "svg": svg, "note": ""})
    return plates


def _row(arm: str, own: Mapping[str, Change]) -> dict[str, Any]:
    cells = [
        part
        for metric, each in own.items()
        for part in (cell(each.a), cell(each.b), difference_cell(each.difference, metric))
    ]
    return {"arm": arm, "cells": cells}
