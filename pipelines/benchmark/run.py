"""`slowwave bench`: speed and size, measured on a copy of the workspace and written down."""

import json
import os
import platform
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any, Final

from model.files import write_atomically
from model.storage.event_log import open_log
from model.storage.registry import Registry
from model.workspace import Workspace
from pipelines.benchmark.ingestion import bench_events
from pipelines.benchmark.memory import bench_memory, bench_soak
from pipelines.benchmark.overload import bench_overload
from pipelines.benchmark.serving import Effort, bench_serving
from pipelines.benchmark.swap import bench_swap
from pipelines.benchmark.training import bench_night, bench_training
from pipelines.console import Console
from pipelines.demo_workspace import prepare
from pipelines.running_service import ended_by_signals

FORMAT: Final = "slowwave-bench/1"
DEFAULT: Final = ("serve", "events")

_Row = tuple[str, str, str, str]


def bench(
    workspace: Workspace, *, what: Sequence[str], console: Console, effort: Effort | None = None
) -> dict[str, Any]:
    """Measures, shows a table, and writes a report into the workspace.

    Everything happens on a copy beside the workspace's files, thus on the same disk. A
    workspace without anything gets the demo's data and model first.

    Args:
      workspace: What to measure on.
      what: Any of `serve`, `events`, `overload`, `swap`, `memory`, `soak`, `train` and
        `consolidate`; the first two when empty.
      console: Where to report.
      effort: How much to measure.

    Returns:
      The report, with the path under which it was written.

    Raises:
      BadInputError: If the workspace has data and no model.
      ChildProcessError: If a process that is measured fails.
      ConnectionError: If a request fails.
    """
    chosen = [name for name in _BENCHES if name in (what or DEFAULT)]
    with ended_by_signals():
        if Registry(workspace.models).current() is None:
            console.message("There is no model here yet: first come the demo's data and model.")
            prepare(workspace, None, console)
        report = _circumstances(workspace)
        for name in chosen:
            with _copy(workspace) as (copy, scratch):
                report[name] = _BENCHES[name](copy, scratch, effort or Effort(), console)
    path = workspace.reports / f"bench-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    write_atomically(path, json.dumps(report, indent=2).encode())
    _show(report, chosen, path, console)
    return {**report, "path": str(path)}


def _train(copy: Workspace, scratch: Path, effort: Effort, console: Console) -> dict[str, Any]:  # noqa: ARG001 (all alike)
    return bench_training(copy, console)


def _night(copy: Workspace, scratch: Path, effort: Effort, console: Console) -> dict[str, Any]:  # noqa: ARG001 (all alike)
    return bench_night(copy, scratch, console)


_BENCHES: Final[Mapping[str, Callable[[Workspace, Path, Effort, Console], dict[str, Any]]]] = {
    "serve": bench_serving,
    "events": bench_events,
    "overload": bench_overload,
    "swap": bench_swap,
    "memory": bench_memory,
    "soak": bench_soak,
    "train": _train,
    "consolidate": _night,
}


def _circumstances(workspace: Workspace) -> dict[str, Any]:
    registry = Registry(workspace.models)
    version = registry.current()
    with closing(open_log(workspace.log_path)) as log:
        head, n_items = log.head(), len(log.catalogue().items)
    return {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_version": distribution_version("slowwave"),
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            # Others at work make every absolute number worse; ratios bear it better.
            "load_average": round(os.getloadavg()[0], 2),
        },
        "data": {"log_position": head, "items": n_items, "model_version": version},
    }


@contextmanager
def _copy(workspace: Workspace) -> Iterator[tuple[Workspace, Path]]:
    """A copy of the workspace that is thrown away, and a scratch folder beside it."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=workspace.home) as folder:
        copy, scratch = Workspace(Path(folder, "home")), Path(folder, "scratch")
        copy.home.mkdir()
        scratch.mkdir()
        # By the database's own means: a service may be writing to it
        with (
            closing(sqlite3.connect(workspace.log_path)) as log,
            closing(sqlite3.connect(copy.log_path)) as copied,
        ):
            log.backup(copied)
        for path in (workspace.config_path, workspace.schema_path):
            if path.exists():
                shutil.copy(path, copy.home)
        _copy_current_model(workspace, copy)
        yield copy, scratch


def _copy_current_model(workspace: Workspace, copy: Workspace) -> None:
    registry = Registry(workspace.models)
    if (version := registry.current()) is not None:
        shutil.copytree(registry.open(version), copy.models / version)
        shutil.copy(workspace.models / "CURRENT", copy.models)


def _show(report: Mapping[str, Any], chosen: Sequence[str], path: Path, console: Console) -> None:
    machine, data = report["machine"], report["data"]
    console.message(
        f"\n{report['created']}: {machine['cpus']} CPUs (load {machine['load_average']}), "
        f"Python {machine['python']}, {machine['system']}; model {data['model_version']}, "
        f"{data['items']:,} items, log position {data['log_position']:,}\n"
    )
    rows = [row for name in chosen for row in _ROWS[name](report[name])]
    console.table(("what", "measured", "against", "ratio"), rows)
    console.message(f"\nWritten to {path}")


def _serve_rows(found: Mapping[str, Any]) -> list[_Row]:
    per_s, ratio, memory = found["per_s"], found["ratio"], found["resident_mib"]
    peak, half = found["latency_ms"]["at_peak"], found["latency_ms"]["at_half_of_peak"]
    rows = [
        ("service: start to ready", f"{found['ready_s']:.2f} s", "", ""),
        ("service: memory when ready", _mib(memory["ready"]), "", ""),
        ("service: memory after load", _mib(memory["after_load"]), "", ""),
    ]
    against = {
        "constant": "a constant from FastAPI",
        "constant_declared": "the same, return type declared",
        "tensorflow": "the same model in a tf.function",
    }
    rows += [
        (
            "POST /recommend, 10 items",
            f"{per_s['service']:,.0f}/s{_cpu(found, 'service')}",
            f"{per_s[name]:,.0f}/s{_cpu(found, name)}, {words}",
            f"{ratio[name]:.2f}",
        )
        for name, words in against.items()
        if name in ratio
    ]
    rows += [
        (
            f"  latency at {words}, p50 p95 p99",
            " ".join(f"{v:.1f}" for v in ms.values()) + " ms",
            "",
            "",
        )
        for words, ms in (("peak", peak), ("half of peak", half))
    ]
    if (two := found["two_workers"]) is not None:
        rows.append(
            (
                "POST /recommend, two workers",
                f"{two['per_s']['two']:,.0f}/s",
                f"{two['per_s']['one']:,.0f}/s, one worker",
                f"{two['ratio']:.2f}",
            )
        )
    ceiling = f"{per_s['load_generator']:,.0f}/s"
    return [*rows, ("what the load generator could send", ceiling, "", "")]


def _event_rows(found: Mapping[str, Any]) -> list[_Row]:
    return [
        (
            f"POST /events, {found['batch']} a call, durable",
            f"{found['per_s']['service']:,.0f} events/s",
            f"{found['per_s']['log_alone']:,.0f} events/s, the log alone",
            f"{found['ratio']:.2f}",
        ),
        ("  memory current after", f"{found['current_after_ms']:.1f} ms", "", ""),
    ]


def _overload_rows(found: Mapping[str, Any]) -> list[_Row]:
    during = found["during"]
    share = during["shed"] / max(during["shed"] + during["requests"], 1)
    rows = [
        (
            f"{found['times']} times the peak: answered",
            f"{during['per_s']:,.0f}/s",
            f"{found['peak_per_s']:,.0f}/s, the peak",
            f"{during['per_s'] / found['peak_per_s']:.2f}",
        ),
        ("  turned away with 429 or 503", f"{share:.0%}", "", ""),
    ]
    for name in ("before", "during", "after"):
        latencies = " ".join(f"{v:.1f}" for v in found[name]["latencies_ms"].values())
        words = "of what was answered" if name == "during" else "at half of the peak"
        rows.append((f"  {name}, {words}, p50 p95 p99", f"{latencies} ms", "", ""))
    return rows


def _swap_rows(found: Mapping[str, Any]) -> list[_Row]:
    p99, memory, ratio = found["p99_ms"], found["resident_mib"], found["memory_ratio"]
    steady = f"{p99['steady']:.1f} ms, nothing new"
    rows = [
        (f"{name} under full load: p99", f"{p99[name]:.1f} ms", steady, f"{ms / p99['steady']:.2f}")
        for name, ms in p99.items()
        if name != "steady"
    ]
    return [
        *rows,
        ("  failed requests", f"{found['failed']:,} of {found['requests']:,}", "", ""),
        (
            "  memory at most",
            _mib(memory["peak"]),
            f"{_mib(memory['before'])} before",
            "" if ratio is None else f"{ratio:.2f}",
        ),
        ("  memory after", _mib(memory["after"]), "", ""),
    ]


def _memory_rows(found: Mapping[str, Any]) -> list[_Row]:
    us, added = found["request_us"], found["added_us"]
    rows = [(f"an event to a worker, {found['batch']} at a time", _us(found["event_us"]), "", "")]
    words = {"quiet": "nothing new", "busy": "after an event of another user, its cost included"}
    return rows + [
        (
            f"a request at {found['items']:,} items, {text}",
            _us(us[name]),
            f"{_us(us[name + '_off'])} without the memory: {added[name]:+.0f} µs",
            f"{us[name] / us[name + '_off']:.2f}",
        )
        for name, text in words.items()
    ]


def _soak_table(found: Mapping[str, Any]) -> list[_Row]:
    head = f"after {found['events']:,} events of {found['users']:,} users"
    half, end = found["marks"][len(found["marks"]) // 2 - 1], found["marks"][-1]
    return [
        (
            f"{head}: memory",
            _mib(end["resident_mib"]),
            f"{_mib(half['resident_mib'])} after {half['events']:,}",
            f"{end['resident_mib'] / max(half['resident_mib'], 1):.2f}",
        ),
        ("  a user", f"{found['bytes_a_user']:,.0f} bytes", "", ""),
        ("  an event, 10,000 at a time", _us(found["event_us"]), "", ""),
    ]


def _train_rows(found: Mapping[str, Any]) -> list[_Row]:
    return [
        ("training from scratch", f"{found['seconds']:.0f} s", "", ""),
        ("  events of the log", f"{found['events_per_s']:,.0f}/s", "", ""),
        ("  memory at most", _mib(found["peak_resident_mib"]), "", ""),
    ]


def _night_rows(found: Mapping[str, Any]) -> list[_Row]:
    scratch = f"{found['from_scratch_seconds']:.0f} s, training from scratch"
    return [
        (
            f"a night with {found['new_events']:,} new events ({found['verdict']})",
            f"{found['seconds']:.0f} s",
            scratch,
            f"{found['ratio']:.2f}",
        ),
        ("  memory at most", _mib(found["peak_resident_mib"]), "", ""),
    ]


_ROWS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[_Row]]]] = {
    "serve": _serve_rows,
    "events": _event_rows,
    "overload": _overload_rows,
    "swap": _swap_rows,
    "memory": _memory_rows,
    "soak": _soak_table,
    "train": _train_rows,
    "consolidate": _night_rows,
}


def _cpu(found: Mapping[str, Any], name: str) -> str:
    spent = found["cpu_us"][name]
    return "" if spent is None else f" ({spent:.0f} µs CPU)"


def _us(amount: float) -> str:
    return f"{amount:.0f} µs CPU"


def _mib(amount: float | None) -> str:
    return "not known here" if amount is None else f"{amount:.0f} MiB"
