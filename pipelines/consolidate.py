"""`slowwave consolidate`: the night. The served model learns what the log holds since."""

import time
from dataclasses import replace
from typing import Any

from model.errors import NoModelError
from model.slow.bundle import load_bundle
from model.storage.event_log import LogReader
from model.storage.registry import Registry
from model.workspace import Workspace, load_config
from pipelines.console import Console
from pipelines.learning import read_log
from pipelines.night_candidate import attempt
from pipelines.night_report import ALARM, outcome, refused_in_a_row, tell, written
from pipelines.night_run import HANDED_ON, NightRun, Served
from pipelines.opened_log import opened
from pipelines.strongest_crosses import titles


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
    run = NightRun(load_config(workspace.config_path), seed, now_ms, dry_run, console)
    return run_night(workspace, run, until_ms)


def run_night(workspace: Workspace, run: NightRun, until_ms: int | None) -> dict[str, Any]:
    """`consolidate`, once its settings are read."""
    started = time.perf_counter()
    registry = Registry(workspace.models)
    with registry.lock(), opened(workspace.log_path) as log:
        report = consolidate_log(log, registry, run, until_ms)
    report["seconds"] = round(time.perf_counter() - started, 3)
    if not run.dry_run:
        report["refused_in_a_row"] = refused_in_a_row(workspace.reports, report["verdict"])
        report["alarm"] = report["refused_in_a_row"] >= ALARM
    report["report"] = written(report, workspace.reports, run.now_ms)
    run.on_stage("reported")
    tell(report, run.console, titles(workspace))
    return report


def consolidate_log(
    log: LogReader, registry: Registry, run: NightRun, until_ms: int | None
) -> dict[str, Any]:
    """One night on an open log and a locked registry: `consolidate` without its report file."""
    served = _served(registry)
    run.on_stage("verified")
    run = replace(run, config=served.tuned(run.config))
    read = read_log(log, run.config, until_ms, newest=run.config.night.read_rows)
    fresh = int((read.columns.labelled & (read.columns.seq > served.judged_seq)).sum())
    run.on_stage("read")
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
        return report | outcome("nothing_new", served.version, reasons=[reason])
    return report | attempt(registry, served, log, read, run)


def _served(registry: Registry) -> Served:
    version = registry.current()
    if version is None:
        raise NoModelError(
            "no model is published that a night could continue; train one first (slowwave train)"
        )
    bundle, manifest = load_bundle(registry.open(version)), registry.manifest(version)
    learned_seq = int(manifest["trained_through_seq"])
    judged_seq = int(manifest.get("judged_through_seq", learned_seq))
    kept: dict[str, Any] = {key: manifest[key] for key in HANDED_ON if key in manifest}
    return Served(version, bundle, learned_seq, judged_seq, kept)
