"""What training from scratch costs, and what a night costs beside it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Final

from model.interactions import Entry
from model.storage.event_log import EventLog, event_of, event_rows, open_log
from model.workspace import Workspace
from pipelines.console import Console

_CHUNK: Final = 10_000
_EXIT_REFUSED: Final = 3
# Of the events: what has happened since the last night.
_NEW_SHARE: Final = 0.05


def bench_training(workspace: Workspace, console: Console) -> dict[str, Any]:
    """Seconds and memory of `slowwave train` on a workspace, from start to end of the process.

    Raises:
      ChildProcessError: If training fails.
    """
    console.message("Training from scratch.")
    manifest, seconds, peak_mib = _run("train", workspace)
    events = manifest["data"]["events"]
    return {
        "seconds": seconds,
        "events": events,
        "events_per_s": events / seconds,
        "peak_resident_mib": peak_mib,
        "metrics": manifest["metrics"]["validation"],
    }


def bench_night(workspace: Workspace, scratch: Path, console: Console) -> dict[str, Any]:
    """Seconds of `slowwave consolidate` after the newest events came, and from scratch on all.

    Args:
      workspace: Whose events; it is only read.
      scratch: A folder for the workspace in which the night happens.
      console: Where progress is shown.

    Raises:
      ChildProcessError: If training or the night fails.
    """
    night = Workspace(scratch / "night")
    night.home.mkdir()
    for path in (workspace.config_path, workspace.schema_path):
        if path.exists():
            (night.home / path.name).write_bytes(path.read_bytes())
    with closing(open_log(workspace.log_path)) as log, closing(open_log(night.log_path)) as copy:
        _append(copy, [*log.catalogue().items, *log.users()])
        found = map(event_of, event_rows(log, 0, log.head()))
        events = sorted(found, key=lambda event: event.timestamp_ms)
        cut = len(events) - max(int(len(events) * _NEW_SHARE), 1)
        _append(copy, events[:cut])
        console.message("Training the model that the night starts from.")
        _run("train", night)
        _append(copy, events[cut:])
    console.message("Consolidating.")
    verdict, night_s, peak_mib = _run("consolidate", night)
    scratch_run = bench_training(night, console)
    return {
        "new_events": len(events) - cut,
        "verdict": verdict["verdict"],
        "seconds": night_s,
        "from_scratch_seconds": scratch_run["seconds"],
        "ratio": night_s / scratch_run["seconds"],
        "peak_resident_mib": peak_mib,
    }


def _run(command: str, workspace: Workspace) -> tuple[dict[str, Any], float, float]:
    """The JSON result of a command, its seconds, and the most memory that it held in MiB."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = subprocess.Popen(  # noqa: S603 (no outside text)
            [sys.executable, "-m", "pipelines", command, "--home", str(workspace.home), "--json"],
            stdout=output,
            stderr=errors,
        )
        try:
            _, status, usage = os.wait4(started.pid, 0)
        except BaseException:
            started.kill()
            started.wait()
            raise
        started.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        if started.returncode not in (0, _EXIT_REFUSED):
            raise ChildProcessError(f"slowwave {command} failed: {_last_line(errors)}")
        result: dict[str, Any] = json.loads(_last_line(output))
    return result, seconds, usage.ru_maxrss / 1024


def _last_line(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip().rpartition("\n")[2]


def _append(log: EventLog, entries: Sequence[Entry]) -> None:
    for start in range(0, len(entries), _CHUNK):
        log.append(entries[start : start + _CHUNK], time.time_ns() // 1_000_000)
