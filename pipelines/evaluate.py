"""`slowwave evaluate`: replays a protocol against its arms, and says what came out."""

import dataclasses
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from model.errors import SlowwaveError
from pipelines.console import Console, count
from pipelines.evaluation import tasks
from pipelines.evaluation.arms import ENSEMBLES, PRODUCT, arm_words, check_arms
from pipelines.evaluation.audit import audit
from pipelines.evaluation.chain import Nights
from pipelines.evaluation.results import RunInfo, record_results
from pipelines.evaluation.stream import Stream
from pipelines.evaluation.summary import seconds_of
from pipelines.evaluation.table import terminal_table
from pipelines.evaluation.tasks import Place, Source
from pipelines.evaluation.workers import Task, cores, run_tasks

_STOCHASTIC: Final = ("ials", "incremental-mf")

# Minutes on MovieLens-100K, roughly: what takes longest is begun first.
_NIGHTS_TAKE: Final[Mapping[Nights, float]] = {
    "none": 1.0,
    "finetune": 3.0,
    "consolidate": 10.0,
    "retrain": 30.0,
}
_REPLAY_TAKES: Final = {"product": 2.0, "another user": 2.0, "error memory": 3.0}
_BASELINE_TAKES: Final = 0.5


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Attributes:
      source: The protocol, where its data lie, and which part of it is replayed.
      arms: Names; those that are compared.
      seeds: How many seeds for arms that depend on chance.
      out: Folder of the run.
      jobs: Processes at a time.
      record: Where to record the results; None for not at all.
      table: Name of the table that is recorded beside the protocol's own; empty for its own.
      against: The arm that others are measured against; empty for the best of the others.
      command: As it was typed.
    """

    source: Source
    arms: Sequence[str]
    seeds: int
    out: Path
    jobs: int
    record: Path | None
    command: str
    table: str = ""
    against: str = ""


def evaluate(asked: Asked, console: Console) -> dict[str, Any]:
    """Replays every arm that is not replayed yet, and writes the report.

    Returns:
      The summary of every stream, by its name, and where the reports lie.

    Raises:
      BadInputError: If there is no such arm, or the data are missing or damaged.
      SlowwaveError: If an arm failed; what was finished is kept, and the same command
        goes on from there.
    """
    check_arms(list(asked.arms))
    started = time.perf_counter()
    streams = asked.source.open_all()
    places = {s.name: Place.of(asked.out, s) for s in streams}
    todo: dict[str, Task] = {}
    for stream in streams:
        todo |= _plan(asked, stream, places[stream.name], console)
    failed = run_tasks(todo, asked.jobs, console)
    seconds = time.perf_counter() - started
    results = {
        stream.name: _report(asked, stream, places[stream.name], seconds, console)
        for stream in streams
    }
    if failed:
        names = "; ".join(f"{name}: {error}" for name, error in failed.items())
        raise SlowwaveError(
            f"{count(len(failed), 'step')} failed ({names}); what was finished is kept in "
            f"{asked.out}, and the same command goes on from there"
        )
    return results


def _plan(asked: Asked, stream: Stream, place: Place, console: Console) -> dict[str, Task]:
    """The tasks that a stream still needs, by name."""
    source = dataclasses.replace(asked.source, stream=stream.name)
    wanted = [
        (arm, seed)
        for arm in asked.arms
        for seed in _seeds(arm, asked.seeds)
        if not tasks.finished(place, arm, seed, stream.config)
    ]
    done = sum(len(_seeds(arm, asked.seeds)) for arm in asked.arms) - len(wanted)
    if done:
        console.message(f"{stream.name}: {count(done, 'replay')} finished before")
    todo: dict[str, Task] = {}
    for arm, seed in wanted:
        chains = _chains(source, stream, place, arm, seed)
        if chains and not place.log.exists():
            todo[f"{stream.name} log"] = Task(tasks.make_log, (source, place))
        todo |= chains
        name = f"{stream.name} {arm}" + (f" {seed}" if seed else "")
        takes = _REPLAY_TAKES[PRODUCT[arm].kind] if arm in PRODUCT else _BASELINE_TAKES
        todo[name] = Task(tasks.answer, (source, place, arm, seed), tuple(chains), takes)
    return {
        name: dataclasses.replace(task, after=tuple(a for a in task.after if a in todo))
        for name, task in todo.items()
    }


def _seeds(arm: str, seeds: int) -> range:
    """The seeds that make a difference to an arm."""
    by_chance = arm in PRODUCT or arm in ENSEMBLES or arm in _STOCHASTIC
    return range(seeds if by_chance else 1)


def _chains(source: Source, stream: Stream, place: Place, arm: str, seed: int) -> dict[str, Task]:
    """The chains that an arm needs, each after what it starts from."""
    needed: dict[str, Task] = {}
    parts = ENSEMBLES.get(arm, (arm,) if arm in PRODUCT else ())
    for part in parts:
        plan = tasks.chain_plan(part, stream.config, seed)
        before = f"{stream.name} log"
        steps = (plan,) if plan.nights == "none" else (plan.first(), plan)
        for step in steps:
            folder = place.chain(step)
            arguments = (source, place, part, seed, step.nights)
            takes = _NIGHTS_TAKE[step.nights]
            needed[folder.name] = Task(tasks.make_versions, arguments, (before,), takes)
            before = folder.name
    return needed


def _report(
    asked: Asked, stream: Stream, place: Place, seconds: float, console: Console
) -> dict[str, Any]:
    """Tables and report of what is finished of one stream."""
    finished = [
        (arm, seed)
        for arm in asked.arms
        for seed in _seeds(arm, asked.seeds)
        if tasks.finished(place, arm, seed, stream.config)
    ]
    if not finished:
        return {}
    records = [tasks.load_record(place, arm, seed) for arm, seed in finished]
    if asked.source.part == "audit":
        return _audited(records, console)
    notes = {arm: tasks.read_note(place, arm, seed) for arm, seed in finished}
    # what an earlier run had finished is not made again: no run takes less than its longest arm
    arms = [[record for record in records if record.arm == arm] for arm in notes]
    longest = max(sum(seconds_of(own).values()) for own in arms)
    info = _run_info(asked, stream, max(seconds, longest), notes)
    from pipelines.evaluation.report.page import write_report

    path = asked.out / f"{stream.name}.html"
    summary = write_report(records, info, path)
    terminal_table(summary, console)
    console.message(f"Report: {path}")
    if asked.record is not None:
        record_results(summary, asked.record, asked.table)
        console.message(f"Recorded in {asked.record}")
    return summary


def _audited(records: Sequence[Any], console: Console) -> dict[str, Any]:
    findings = audit(records)
    console.table(
        ("arm", "what", "value", "chance", "standard errors", "verdict"),
        [
            (f.arm, f.what, f.value, f.chance, round(f.z, 2), "PEEKS" if f.peeks else "at chance")
            for f in findings
        ],
    )
    peeking = sorted({f.arm for f in findings if f.peeks})
    if peeking:
        raise SlowwaveError(
            f"expected every arm at chance where the future is random; {', '.join(peeking)} "
            "did better and must have seen what it was asked about"
        )
    return {"findings": [dataclasses.asdict(f) for f in findings]}


def _run_info(
    asked: Asked, stream: Stream, seconds: float, notes: Mapping[str, Mapping[str, Any]]
) -> RunInfo:
    return RunInfo(
        protocol=stream.name,
        command=asked.command,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=_commit(),
        machine=_machine(),
        seconds=round(seconds, 1),
        seeds=tuple(range(asked.seeds)),
        reference=asked.against,
        trials={arm: int(note.get("trials", 1)) for arm, note in notes.items()},
        chosen={arm: note.get("chosen", {}) for arm, note in notes.items()},
        words=arm_words(),
        sizes={arm: note.get("sizes", {}) for arm, note in notes.items()},
    )


def _commit() -> str:
    """The commit that the code is of, marked where files differ from it; empty without git."""
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        said = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(root), *words],  # noqa: S607 - git is found as people have it
            capture_output=True,
            text=True,
            check=False,
        )
        return said.stdout.strip() if said.returncode == 0 else ""

    commit = git("rev-parse", "--short=10", "HEAD")
    return (
        f"{commit}+"
        if commit and git("status", "--porcelain", "-uno", "--", "model", "pipelines")
        else commit
    )


def _machine() -> str:
    return f"{cores()} cores, {platform.machine()}, {_processor()}"


def _processor() -> str:
    names = Path("/proc/cpuinfo")
    lines = names.read_text(encoding="utf-8").splitlines() if names.exists() else []
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.processor() or "unknown processor")
