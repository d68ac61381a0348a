"""The report of a night: written for machines, told to people."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from model.files import write_atomically
from pipelines.console import Console, count
from pipelines.strongest_crosses import Titles, in_words

ALARM: Final = 2
"""So many refused nights in a row want somebody to look."""

_SHOWN: Final = 3


def plain(value: Any) -> Any:
    """The value as JSON can hold it: numbers that are not finite become null.

    A candidate that exploded has such numbers, and its report is the one that is wanted most.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def refused_in_a_row(folder: Path, verdict: str) -> int:
    """How many nights in a row were refused, the one with this verdict the last.

    Nights with nothing new and dry runs are passed over, and so are reports that cannot be
    read: they are the trouble of their own night.

    Args:
      folder: The reports of the nights before.
      verdict: The verdict of the night that has no report yet.
    """
    if verdict == "published":
        return 0
    refused = int(verdict == "refused")
    for path in sorted(folder.glob("night-*.json"), reverse=True):
        try:
            report = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if not isinstance(report, dict) or report.get("dry_run"):
            continue
        if report.get("verdict") == "published":
            break
        refused += report.get("verdict") == "refused"
    return refused


def outcome(verdict: str, version: str, reasons: Sequence[str] = ()) -> dict[str, Any]:
    """What every report says of the outcome; `version` is what serves from now on."""
    return {
        "verdict": verdict,
        "reasons": list(reasons),
        "version": version,
        "refused": None,
        "pruned": [],
        "counts": {},
        "selection": {},
        "changes": {},
        "phases": None,
        "metrics": {},
        "verdicts": [],
    }


def written(report: dict[str, Any], folder: Path, now_ms: int) -> str:
    """Writes the report and returns its path."""
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    path = folder / f"night-{at:%Y%m%dT%H%M%S}.{now_ms % 1000:03d}Z.json"
    text = json.dumps(plain(report), indent=2, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())
    return str(path)


def tell(report: dict[str, Any], console: Console, title: Titles = str) -> None:
    """What the night came to, for people.

    Args:
      report: Of the night.
      console: Where to tell it.
      title: Item ids to titles.
    """
    if report["counts"]:
        _tell_lessons(report, console)
        _tell_changes(report["changes"], console, title)
    console.table(("", "gate", "verdict"), [_line(verdict) for verdict in report["verdicts"]])
    _tell_outcome(report, console)
    if report.get("alarm"):
        console.warning(
            f"ALARM: {count(report['refused_in_a_row'], 'night')} in a row refused. The reports "
            "say why; until one passes, the served model grows old."
        )


def _tell_lessons(report: dict[str, Any], console: Console) -> None:
    counts, selection = report["counts"], report["selection"]
    console.message(
        f"Learned {count(counts['learned'], 'new event')} and {counts['replayed']:,} old "
        f"ones; new are {count(counts['new_users'], 'user')}, "
        f"{count(counts['new_items'], 'item')} and "
        f"{count(counts['new_attribute_values'], 'attribute value')}; the table holds "
        f"{counts['crosses_kept']:,} crosses."
    )
    over = selection["over_user_cap"] + selection["over_item_cap"]
    if phases := report.get("phases"):
        began = (
            "never began in" if (at := phases["switch"]) is None else f"began after step {at:,} of"
        )
        console.message(
            f"In two phases by {phases['category']}: the second {began} {phases['steps']:,}."
        )
    if left := over + selection["left_over"]:
        console.message(
            f"Left aside {count(left, 'new event')}: {over:,} beyond the caps per user and item, "
            f"{selection['left_over']:,} less surprising and less repeated than the others."
        )


def _tell_changes(changes: dict[str, Any], console: Console, title: Titles) -> None:
    if not changes:
        return
    for name, n, words in (
        ("learned", changes["n_learned"], "Learned"),
        ("let_go", changes["n_let_go"], "Let go of"),
    ):
        shown = "; ".join(in_words(cross, title) for cross in changes[name][:_SHOWN])
        console.message(f"{words} {count(n, 'combination')}" + (f": {shown}" if n else "."))
    for name, words in (("risen", "Rose most"), ("fallen", "Fell most")):
        items = changes.get(name, [])[:_SHOWN]
        if items:
            told = (f"{title(i['item_id'])} {i['change']:+.2f} ({i['because']})" for i in items)
            console.message(f"{words}: {'; '.join(told)}")
    for one in changes.get("lists", [])[:_SHOWN]:
        console.message(
            f"The list of {one['user_id'] or 'somebody unknown'} changed by "
            f"{count(len(one['entered']), 'item')} ({one['because']}): in came "
            f"{', '.join(map(title, one['entered'][:_SHOWN]))}; out went "
            f"{', '.join(map(title, one['left'][:_SHOWN]))}"
        )


def _line(verdict: dict[str, Any]) -> tuple[str, str, str]:
    return ("pass" if verdict["passed"] else "FAIL", verdict["name"], verdict["reason"])


def _tell_outcome(report: dict[str, Any], console: Console) -> None:
    verdict, version = report["verdict"], report["version"]
    if verdict == "nothing_new":
        console.message(f"Nothing new: {report['reasons'][0]}. {version} keeps serving.")
    elif report["dry_run"]:
        console.message(f"Dry run: it would have been {verdict}. {version} keeps serving.")
    elif verdict == "refused":
        console.message(f"Refused, kept as {report['refused']}. {version} keeps serving.")
    else:
        console.message(f"Published {version} in place of {report['served']}.")
    console.message(f"Report: {report['report']}")
