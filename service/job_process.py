"""`python -m service.job_process JOB HOME`: runs one job and writes down what became of it.

The job goes on in a process of its own session: it outlives the worker that asked for it.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from model.files import write_atomically
from model.storage.locks import flocked
from service.jobs import lock_path

_NICENESS: Final = 10
_STATUS: Final = {0: "done", 3: "refused"}


def main() -> None:
    """Returns when the job has begun."""
    if os.fork():
        os._exit(0)
    os.setsid()
    _run(Path(sys.argv[1]), sys.argv[2])


def _run(path: Path, home: str) -> None:
    """Runs the job that the file describes, below the service in the system's favour."""
    lock_path(path).write_text(f"{os.getpid()}\n")
    with flocked(lock_path(path), wait=True):
        job: dict[str, Any] = json.loads(path.read_bytes())
        _write(path, job | {"status": "running", "started_ms": _now_ms()})
        os.nice(_NICENESS)
        command = [sys.executable, "-m", "pipelines", job["kind"], "--home", home, "--json"]
        done = subprocess.run(  # noqa: S603 (the service chose it)
            [*command, *job["arguments"]], capture_output=True, text=True, check=False
        )
        write_atomically(path.with_suffix(".log"), f"{done.stdout}\n{done.stderr}".encode())
        _write(path, json.loads(path.read_bytes()) | _outcome(done, path))


def _outcome(done: subprocess.CompletedProcess[str], path: Path) -> dict[str, Any]:
    """What came of the process: a report, or the one line that it says to people.

    All else that it said stays in a file: it may hold what no reply should.
    """
    report = None
    if done.returncode in _STATUS:
        report = json.loads(done.stdout.strip().rpartition("\n")[2])
    plain = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    message = plain[-1] if plain else f"it failed; jobs/{path.stem}.log says more"
    return {
        "status": _STATUS.get(done.returncode, "failed"),
        "finished_ms": _now_ms(),
        "exit_code": done.returncode,
        "report": report,
        "message": None if report is not None else message,
    }


def _write(path: Path, job: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(job).encode())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
