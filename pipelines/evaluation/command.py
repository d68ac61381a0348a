"""The command `slowwave evaluate`."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from model.errors import BadInputError, SlowwaveError
from model.workspace import Workspace
from pipelines.console import Console
from pipelines.evaluation.protocols.registry import DEFAULT_DATA, PROTOCOLS, find_data
from pipelines.options import Folder, with_home

_RESULTS: Final = Path("docs/results.json")
_FOLDERS: Final = ("--data", "--home", "--out")
_WIDTH: Final = max(map(len, PROTOCOLS))
_LIST: Final = "\n".join(f"  {name:<{_WIDTH}}  {words}" for name, words in PROTOCOLS.items())

_HELP: Final = f"""Replay PROTOCOL event by event and compare arms.

Every event is scored before it is learned, and nights fall between the days. Writes a
report of one HTML file, a table and JSON to the run's folder. A run that is cut short
goes on where it stopped when the same command is given again.

\b
Protocols:
{_LIST}

\b
Examples:
  slowwave evaluate ml-100k
  slowwave evaluate globo --data ~/datasets --arms popularity-decayed,slow+fast,ours
  slowwave evaluate world --quick
  slowwave evaluate --compare first-run second-run
"""


@click.command(help=_HELP)
@click.argument("protocol", type=click.Choice(list(PROTOCOLS)), required=False)
@click.option(
    "--data",
    type=Folder(exists=True),
    help=f"Folder of the data set, or the one around it.  [default: {DEFAULT_DATA}, if there]",
)
@click.option(
    "--arms",
    default="minimum",
    show_default=True,
    help="Names with commas between them; `minimum`, `all`, or `list` to see them.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Replays of each arm that depends on chance.",
)
@click.option("--out", type=Folder(), help="The run's folder.  [default: in the workspace]")
@click.option("--quick", is_flag=True, help="A small slice under the same rules.")
@click.option(
    "--tuning", is_flag=True, help="Replay the end of the history: the place to try settings on."
)
@click.option("--audit", is_flag=True, help="Make the future random and see that no arm knows it.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Processes at a time; they share the cores.",
)
@click.option(
    "--anchor",
    is_flag=True,
    help="Check against river's published error of rating prediction, on ml-100k.",
)
@click.option("--record", is_flag=True, help=f"Write the results to {_RESULTS} too.")
@click.option(
    "--table",
    default="",
    help="Name of a table to record beside the protocol's own, with --record.",
)
@click.option(
    "--against",
    default="",
    metavar="ARM",
    help="Arm that differences are taken to.  [default: the best besides ours]",
)
@click.option(
    "--compare",
    type=Folder(exists=True),
    nargs=2,
    metavar="RUN RUN",
    help="Compare two runs by their folders.",
)
@with_home
def evaluate(  # noqa: PLR0913 - options of the command line
    workspace: Workspace,
    console: Console,
    protocol: str | None,
    data: Path | None,
    arms: str,
    seeds: int,
    out: Path | None,
    quick: bool,  # noqa: FBT001 - a flag
    tuning: bool,  # noqa: FBT001 - a flag
    audit: bool,  # noqa: FBT001 - a flag
    jobs: int,
    anchor: bool,  # noqa: FBT001 - a flag
    record: bool,  # noqa: FBT001 - a flag
    table: str,
    against: str,
    compare: tuple[Path, Path] | None,
) -> None:
    """Runs what was asked for."""
    if compare:
        from pipelines.evaluation.compare import compare_runs

        console.result(compare_runs(*compare, out, console))
        return
    if arms == "list":
        _list_arms(console)
        return
    if protocol is None:
        raise BadInputError(f"a protocol must be one of {', '.join(PROTOCOLS)}; got none")
    if anchor:
        _check_anchor(find_data("ml-100k", data, lambda: _fetch(workspace, console)), console)
        return
    if record and (quick or tuning or audit):
        raise BadInputError("--record is for whole replays; got --quick, --tuning or --audit")
    if tuning and audit:
        raise BadInputError("expected --tuning or --audit, got both")
    chosen = _chosen(arms)
    _check_table(chosen, against, table if not record else "")
    from pipelines.evaluate import Asked
    from pipelines.evaluate import evaluate as run
    from pipelines.evaluation.tasks import Part, Source
    from pipelines.evaluation.workers import cores

    part: Part = "tuning" if tuning else "audit" if audit else "replay"

    folder = find_data(protocol, data, lambda: _fetch(workspace, console))
    name = protocol + ("-quick" if quick else "") + ("" if part == "replay" else f"-{part}")
    asked = Asked(
        source=Source(protocol, folder, quick, part),
        arms=chosen,
        seeds=seeds,
        out=out or workspace.home / "evaluations" / name,
        jobs=min(jobs, cores()),
        record=_RESULTS if record else None,
        command=_repeatable(sys.argv[1:]),
        table=table,
        against=against,
    )
    console.result(run(asked, console))


def _check_table(arms: Sequence[str], against: str, unrecorded: str) -> None:
    if unrecorded:
        raise BadInputError(f"--table names what --record records; got {unrecorded!r} alone")
    if against and against not in arms:
        raise BadInputError(f"expected --against one of {', '.join(arms)}; got {against!r}")


def _check_anchor(folder: Path | None, console: Console) -> None:
    """Holds rating prediction in the replay's order against what river's authors publish."""
    from pipelines.baselines.rating_anchor import PUBLISHED, TOLERANCE, rating_anchor
    from pipelines.evaluation.protocols.registry import open_streams

    [stream] = open_streams("ml-100k", folder, quick=False, seed=0)
    events = stream.events
    found = rating_anchor(events.actor, events.item, events.value)
    console.table(
        ("error", "here", "published"), [(name, found[name], PUBLISHED[name]) for name in PUBLISHED]
    )
    if any(abs(found[name] - PUBLISHED[name]) > TOLERANCE for name in PUBLISHED):
        raise SlowwaveError(
            f"expected river's published errors within {TOLERANCE:g}, got {found}: the order of "
            "the events, or river, is not what it was"
        )
    console.result({"found": found, "published": PUBLISHED, "tolerance": TOLERANCE})


def _fetch(workspace: Workspace, console: Console) -> Path:
    from pipelines.datasets import fetch_movielens_100k

    return fetch_movielens_100k(None, workspace.home / "downloads", console)


def _repeatable(words: Sequence[str]) -> str:
    """The command as it was typed, without the folders, which are this machine's own."""
    rest = iter(words)
    kept = []
    for word in rest:
        name, given, _ = word.partition("=")
        if name in _FOLDERS:
            if not given:
                next(rest, None)
        else:
            kept.append(word)
    return shlex.join(["slowwave", *kept])


def _chosen(arms: str) -> list[str]:
    from pipelines.evaluation.arms import MINIMUM, arm_names, check_arms

    if arms in ("minimum", "all"):
        return list(MINIMUM) if arms == "minimum" else arm_names()
    names = list(dict.fromkeys(name for name in arms.split(",") if name))
    check_arms(names)
    return names


def _list_arms(console: Console) -> None:
    from pipelines.evaluation.arms import MINIMUM, arm_names, arm_words

    words = arm_words()
    console.table(
        ("arm", "minimum", "what it is"),
        [(n, "yes" if n in MINIMUM else "", words.get(n, "")) for n in arm_names()],
    )
    console.result({"arms": arm_names()})
