import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model.errors import SlowwaveError
from pipelines.console import Console
from pipelines.evaluation.workers import Task, cores, run_tasks

QUIET = Console(quiet=True)


def note(folder, name, console):
    with console.progress("Working", 2) as bar:
        bar.advance(1, "half")
    order = len(list(folder.iterdir()))
    (folder / name).write_text(f"{order} {os.environ['OMP_NUM_THREADS']}")


def fail(console):
    raise ValueError("no good")


def die(console):
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_two(folder, name, console):
    """Ends only when another one runs at the same time."""
    (folder / name).touch()
    for _ in range(600):
        if len(list(folder.iterdir())) == 2:
            return
        time.sleep(0.05)
    raise TimeoutError


def test_tasks_run_after_those_they_need(tmp_path):
    tasks = {
        "c": Task(note, (tmp_path, "c"), ("b",)),
        "b": Task(note, (tmp_path, "b"), ("a",)),
        "a": Task(note, (tmp_path, "a")),
    }
    assert run_tasks(tasks, 2, QUIET) == {}
    assert [(tmp_path / name).read_text()[0] for name in "abc"] == ["0", "1", "2"]


def test_what_the_longest_chain_waits_for_runs_first(tmp_path):
    tasks = {
        "short": Task(note, (tmp_path, "short"), takes=2.0),
        "end": Task(note, (tmp_path, "end"), ("start",), takes=3.0),
        "same": Task(note, (tmp_path, "same"), takes=3.0),
        "start": Task(note, (tmp_path, "start"), takes=0.1),
    }
    assert run_tasks(tasks, 1, QUIET) == {}
    order = sorted(tasks, key=lambda name: (tmp_path / name).read_text())
    assert order == ["start", "end", "same", "short"]


def test_two_jobs_run_at_the_same_time_and_share_the_cores(tmp_path):
    tasks = {name: Task(wait_for_two, (tmp_path, name)) for name in "ab"}
    assert run_tasks(tasks, 2, QUIET) == {}
    (tmp_path / "threads").mkdir()
    run_tasks({"t": Task(note, (tmp_path / "threads", "t"))}, 2, QUIET)
    share = max(cores() // 2, 1)
    assert (tmp_path / "threads" / "t").read_text() == f"0 {share}"


def test_what_fails_takes_only_those_down_that_need_it(tmp_path):
    tasks = {
        "bad": Task(fail, ()),
        "needs bad": Task(note, (tmp_path, "x"), ("bad",)),
        "free": Task(note, (tmp_path, "free")),
    }
    failed = run_tasks(tasks, 1, QUIET)
    assert failed["bad"] == "ValueError: no good"
    assert failed["needs bad"] == "it needs bad, which failed"
    assert set(failed) == {"bad", "needs bad"}
    assert [path.name for path in tmp_path.iterdir()] == ["free"]


def test_a_killed_process_is_a_failure_and_no_end_without_a_word():
    tasks = {name: Task(die, ()) for name in ("dies", "dies too")}
    assert run_tasks(tasks, 1, QUIET) == dict.fromkeys(tasks, "its process was killed")


def test_nothing_to_do_is_done_at_once():
    assert run_tasks({}, 2, QUIET) == {}


def test_tasks_that_wait_for_each_other_are_named_and_not_waited_for(tmp_path):
    tasks = {
        "a": Task(note, (tmp_path, "a"), ("b",)),
        "b": Task(note, (tmp_path, "b"), ("a",)),
    }
    with pytest.raises(SlowwaveError, match="these wait for each other: a, b"):
        run_tasks(tasks, 2, QUIET)


def write_pid_and_sleep(path, console):
    path.with_suffix(".new").write_text(str(os.getpid()))
    path.with_suffix(".new").rename(path)
    time.sleep(600)


def test_workers_end_when_the_run_is_killed(tmp_path):
    path = tmp_path / "pid"
    code = (
        "from pathlib import Path\n"
        "from tests.pipelines.evaluation.test_workers import *\n"
        "if __name__ == '__main__':\n"
        f"    task = Task({write_pid_and_sleep.__name__}, (Path({str(path)!r}),))\n"
        "    run_tasks({'a': task}, 1, QUIET)\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    root = Path(__file__).parents[3]
    run = subprocess.Popen([sys.executable, script], env={**os.environ, "PYTHONPATH": str(root)})
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    worker = Path("/proc") / path.read_text()
    assert worker.exists()
    run.kill()
    run.wait()
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.exists()
