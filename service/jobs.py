"""Jobs that an operator starts over HTTP: each runs in a process of its own."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from model.errors import BusyError, NotFoundError
from model.files import write_atomically
from model.storage.locks import flocked
from model.storage.registry import Registry
from model.workspace import Workspace

RUNNING: Final = frozenset({"queued", "running"})
_JOB_ID: Final = re.compile(r"[0-9a-f]{16}")
_MOST_KEPT: Final = 100
# A process that was started has taken its lock after this time.
_START_MS: Final = 30_000


class Jobs:
    """The jobs of a workspace, each with a file that says what has become of it.

    A job outlives the worker that started it, and any worker can tell of it.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.jobs

    @staticmethod
    def can_train() -> bool:
        """Whether the parts that train are installed here."""
        return importlib.util.find_spec("tensorflow") is not None

    def start(self, kind: str, arguments: Sequence[str], now_ms: int) -> dict[str, Any]:
        """Starts `slowwave KIND ARGUMENTS` on the workspace.

        Raises:
          BusyError: If a job that makes versions runs already.
        """
        with Registry(self._workspace.models).lock():
            if any(self.get(job_id, now_ms)["status"] in RUNNING for job_id in self._ids()):
                raise BusyError("a job runs already; ask for it, and try again when it is done")
            job: dict[str, Any] = {
                "job_id": os.urandom(8).hex(),
                "kind": kind,
                "arguments": list(arguments),
                "status": "queued",
                "created_ms": now_ms,
                "started_ms": None,
                "finished_ms": None,
                "exit_code": None,
                "report": None,
                "message": None,
            }
            self._prune()
            write_atomically(self._path(job["job_id"]), json.dumps(job).encode())
        command = [sys.executable, "-m", "service.job_process", str(self._path(job["job_id"]))]
        # it goes on in a process that is nobody's child, and returns when that has begun
        subprocess.run(  # noqa: S603 (no outside text)
            [*command, str(self._workspace.home)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return job

    def get(self, job_id: str, now_ms: int) -> dict[str, Any]:
        """What has become of a job; `lost` when its process died without a word.

        Raises:
          NotFoundError: If there is no such job.
        """
        path = self._path(job_id)
        if not _JOB_ID.fullmatch(job_id) or not path.exists():
            raise NotFoundError(f"no job {job_id[:60]!r}")
        job: dict[str, Any] = json.loads(path.read_bytes())
        late = job["status"] == "running" or now_ms > job["created_ms"] + _START_MS
        if job["status"] in RUNNING and late and not _is_alive(path):
            # it may have ended well between the two looks
            job = json.loads(path.read_bytes())
            if job["status"] in RUNNING:
                job |= {"status": "lost", "message": "its process ended without a word"}
        return job

    def _ids(self) -> list[str]:
        """All jobs, newest first."""
        paths = [path for path in self._folder.glob("*.json") if _JOB_ID.fullmatch(path.stem)]
        paths.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return [path.stem for path in paths]

    def _prune(self) -> None:
        for job_id in self._ids()[_MOST_KEPT:]:
            self._path(job_id).unlink()
            for ending in (".lock", ".log"):
                self._path(job_id).with_suffix(ending).unlink(missing_ok=True)

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.json"


def lock_path(job: Path) -> Path:
    """The file that a job's process holds the lock of for as long as it lives."""
    return job.with_suffix(".lock")


def _is_alive(job: Path) -> bool:
    try:
        with flocked(lock_path(job), wait=False):
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
