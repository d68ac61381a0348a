"""`slowwave consolidate`: the night. The served model learns what the log holds since."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.consolidation.comparison import compare
from model.consolidation.continuation import Candidate, Night, cut, open_night, teach
from model.consolidation.gates import Verdict, finite, judge, parity
from model.errors import NoModelError, ParityError
from model.factor_learning import Lesson
from model.fast.mixing import Mixing
from model.files import write_atomically
from model.slow.bundle import Bundle, load_bundle, write_bundle
from model.slow.training import PARITY_TOLERANCE
from model.storage.event_log import EventLog
from model.storage.registry import Registry
from model.workspace import Config, Workspace, config_as_json, load_config
from pipelines.console import Console, count
from pipelines.learning import (
    LogRead,
    describe,
    memory_factors,
    on_bar,
    opened,
    provenance,
    read_log,
    verify,
)


def consolidate(
    workspace: Workspace,
    *,
    until_ms: int | None,
    dry_run: bool,
    seed: int,
    now_ms: int,
    console: Console,
) -> dict[str, Any]:
    """Trains the served model further, judges the result, and publishes or refuses it.

    The report is returned, and written to the workspace's `reports` as `night-<UTC>.json`.

    Args:
      workspace: Where the log and the models are.
      until_ms: Only events before this moment count; None for all.
      dry_run: Whether the candidate is dropped once it is judged.
      seed: Decides everything random.
      now_ms: The time to write into the manifest and the report.
      console: Where to report.

    Returns:
      The report; its `verdict` is `published`, `refused` or `nothing_new`. In a dry run
      it says what would have been.

    Raises:
      BadInputError: If there is no log.
      NoModelError: If no model is published that could be continued.
      BusyError: If another job trains in this workspace.
      CorruptBundleError: If the served model is damaged.
    """
    started = time.perf_counter()
    run = NightRun(load_config(workspace.config_path), seed, now_ms, dry_run, console)
    registry = Registry(workspace.models)
    with registry.lock(), opened(workspace.log_path) as log:
        report = consolidate_log(log, registry, run, until_ms)
    report["seconds"] = round(time.perf_counter() - started, 3)
    report["report"] = _written(report, workspace.reports, now_ms)
    _tell(report, console)
    return report


@dataclass(frozen=True)
class NightRun:
    """How a night was asked for.

    Attributes:
      config: All settings.
      seed: Decides everything random.
      now_ms: The time to write into the manifest.
      dry_run: Whether the candidate is dropped once it is judged.
      console: Where to report.
    """

    config: Config
    seed: int
    now_ms: int
    dry_run: bool
    console: Console


def consolidate_log(
    log: EventLog, registry: Registry, run: NightRun, until_ms: int | None
) -> dict[str, Any]:
    """One night on an open log and a locked registry: `consolidate` without its report file."""
    served = _served(registry)
    read = read_log(log, run.config, until_ms, newest=run.config.night.read_rows)
    fresh = int((read.columns.labelled & (read.columns.seq > served.judged_seq)).sum())
    least = max(run.config.night.min_events, 2)
    report: dict[str, Any] = {
        "created_ms": run.now_ms,
        "until_ms": until_ms,
        "dry_run": run.dry_run,
        "seed": run.seed,
        "served": served.version,
        "served_through_seq": served.learned_seq,
        "log_through_seq": read.through_seq,
        "fresh_events": fresh,
    }
    if fresh < least:
        reason = f"{fresh:,} events with an outcome since the last night; {least:,} make one"
        return report | _outcome("nothing_new", served.version, reasons=[reason])
    return report | _attempt(registry, served, log, read, run)


class _Served(NamedTuple):
    """The model that serves.

    Attributes:
      learned_seq: It has learned the log up to here.
      judged_seq: It was judged on the log up to here; what comes later is fresh.
      memory: What its manifest says of the fast memory.
    """

    version: str
    bundle: Bundle
    learned_seq: int
    judged_seq: int
    memory: dict[str, Any]

    def mixing(self) -> Mixing:
        """How much each part of the fast memory says beside it."""
        stored = self.memory.get("memory")
        return Mixing() if stored is None else Mixing.from_json(stored)


def _served(registry: Registry) -> _Served:
    version = registry.current()
    if version is None:
        raise NoModelError(
            "no model is published that a night could continue; train one first (slowwave train)"
        )
    bundle, manifest = load_bundle(registry.open(version)), registry.manifest(version)
    learned_seq = int(manifest["trained_through_seq"])
    judged_seq = int(manifest.get("judged_through_seq", learned_seq))
    memory: dict[str, Any] = {
        key: manifest[key] for key in ("memory", "memory_learning") if key in manifest
    }
    return _Served(version, bundle, learned_seq, judged_seq, memory)


def _attempt(
    registry: Registry, served: _Served, log: EventLog, read: LogRead, run: NightRun
) -> dict[str, Any]:
    """Makes a candidate, judges it and does what the verdicts say."""
    columns, config = read.columns, run.config
    new_seq = columns.seq[columns.labelled & (columns.seq > served.learned_seq)]
    at = cut(new_seq, served.learned_seq, config.night.held_out_share)
    night = open_night(served.bundle, columns, read.metadata, at)
    run.console.message(
        f"Teaching {served.version} {count(len(night.head), 'new event')}; "
        f"{count(len(night.held_out), 'event')} held out"
    )
    with run.console.progress("Learning", 1.0) as bar:
        candidate = teach(night, config.slow, config.night, seed=run.seed, on_progress=on_bar(bar))
    with registry.stage() as staged:
        write_bundle(candidate.bundle, staged)
        verdicts, metrics = _judged(staged, night, candidate, run)
        known = columns.take(np.flatnonzero(columns.seq < at.held_out_seq))
        through_seq = min(at.held_out_seq - 1, read.through_seq)
        manifest = {
            **provenance(config, seed=run.seed, trained_through_seq=through_seq),
            "kind": "consolidate",
            "parent": served.version,
            "judged_through_seq": read.through_seq,
            "data": describe(known),
            "night": {**config_as_json(config.night), **candidate.counts},
            "selection": dict(candidate.selection.counts),
            "training": {"epochs": config.night.epochs, "losses": candidate.losses},
            "metrics": metrics,
            "verdicts": [verdict.as_json() for verdict in verdicts],
            **served.memory,
        }
        if not candidate.not_finite:
            held_out = Lesson(at.held_out_seq - 1, read.through_seq, served.mixing())
            manifest |= memory_factors(candidate.bundle, log, config, held_out, seed=run.seed)
        outcome = _settled(registry, staged, manifest, verdicts, run)
    if outcome["verdict"] == "published" and not run.dry_run:
        outcome["pruned"] = registry.prune(config.night.keep_versions)
    return {
        **_outcome("", served.version),
        **{key: manifest[key] for key in ("metrics", "verdicts", "selection")},
        "counts": candidate.counts,
        **outcome,
    }


def _judged(
    staged: Path, night: Night, candidate: Candidate, run: NightRun
) -> tuple[list[Verdict], dict[str, Any]]:
    """Every gate's verdict on the candidate as it lies on the disk, and the metrics behind."""
    whole = finite(candidate.not_finite)
    if not whole.passed:
        return [whole], {}  # nothing else can be measured of such a model
    try:
        difference = verify(staged, night.examples)["difference"]
    except ParityError:
        difference = None
    run.console.message("Judging it beside the served model")
    compared = compare(
        night.served,
        load_bundle(staged),
        night.examples,
        night.actors,
        (night.held_out, night.frozen),
        np.random.default_rng(run.seed),
    )
    safety = [whole, parity(difference, PARITY_TOLERANCE)]
    return [*judge(compared.measured, run.config.night), *safety], compared.metrics


def _settled(
    registry: Registry,
    staged: Path,
    manifest: dict[str, Any],
    verdicts: list[Verdict],
    run: NightRun,
) -> dict[str, Any]:
    """Publishes the candidate or keeps it among the refused; a dry run does neither."""
    reasons = [f"{v.name}: {v.reason}" for v in verdicts if not v.passed]
    verdict = "refused" if reasons else "published"
    if run.dry_run:
        return {"verdict": verdict, "reasons": reasons}
    if reasons:
        name = registry.keep_refused(staged, manifest, created_ms=run.now_ms)
        return {"verdict": verdict, "reasons": reasons, "refused": name}
    version = registry.publish(staged, manifest, created_ms=run.now_ms)
    return {"verdict": verdict, "reasons": reasons, "version": version}


def _outcome(verdict: str, version: str, reasons: Sequence[str] = ()) -> dict[str, Any]:
    """What every report says of the outcome; `version` is what serves from now on."""
    return {
        "verdict": verdict,
        "reasons": list(reasons),
        "version": version,
        "refused": None,
        "pruned": [],
        "counts": {},
        "selection": {},
        "metrics": {},
        "verdicts": [],
    }


def _written(report: dict[str, Any], folder: Path, now_ms: int) -> str:
    """Writes the report and returns its path."""
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    path = folder / f"night-{at:%Y%m%dT%H%M%S}.{now_ms % 1000:03d}Z.json"
    text = json.dumps(report, indent=2, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())
    return str(path)


def _tell(report: dict[str, Any], console: Console) -> None:
    counts = report["counts"]
    if counts:
        console.message(
            f"Learned {count(counts['learned'], 'new event')} and {counts['replayed']:,} old "
            f"ones; new are {count(counts['new_users'], 'user')}, "
            f"{count(counts['new_items'], 'item')} and "
            f"{count(counts['new_attribute_values'], 'attribute value')}; the table holds "
            f"{counts['crosses_kept']:,} crosses."
        )
    console.table(("", "gate", "verdict"), [_line(verdict) for verdict in report["verdicts"]])
    _tell_outcome(report, console)


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
