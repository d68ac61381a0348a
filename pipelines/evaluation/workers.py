"""Runs tasks with their order of dependence in processes, a few at a time."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any, Final

from model.errors import SlowwaveError
from pipelines.console import Bar, Console

_LISTEN_S: Final = 0.2
_THREADS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


@dataclass(frozen=True)
class Task:
    """One step.

    Attributes:
      call: A function of a module; its last argument is the console it reports to.
      arguments: The others.
      after: Names of the tasks that must be done before.
      takes: How long it takes, roughly, beside the others.
    """

    call: Callable[..., None]
    arguments: tuple[Any, ...]
    after: Sequence[str] = field(default_factory=tuple)
    takes: float = 1.0


@dataclass(frozen=True)
class _Told:
    """What a worker says: that its bar moved, or at last what went wrong, empty for nothing."""

    total: float = 0.0
    amount: float = 0.0
    note: str = ""
    error: str | None = None


@dataclass(frozen=True)
class _WorkerConsole(Console):
    """Sends bars to the process that shows them; messages are kept back."""

    told: Any = None

    @contextmanager
    def progress(self, label: str, total: float) -> Iterator[Bar]:
        self.told.send(_Told(total=total, note=label))
        yield _SentBar(self.told)


class _SentBar(Bar):
    """Tells of its steps a few times a second."""

    def __init__(self, told: Any) -> None:
        self._told = told
        self._amount = 0.0
        self._next_s = 0.0

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self._amount += amount
        if (now_s := time.monotonic()) >= self._next_s:
            self._told.send(_Told(amount=self._amount, note=note))
            self._amount, self._next_s = 0.0, now_s + _LISTEN_S


@dataclass(frozen=True)
class _Running:
    """A process at work and where it tells of it."""

    process: Any
    told: Any


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_tasks(tasks: Mapping[str, Task], jobs: int, console: Console) -> dict[str, str]:
    """Runs all tasks; where one fails, those that need it are left out and the others go on.

    What the most is waiting for goes first, so that no long chain of tasks is left for the end.

    Args:
      tasks: By name; of equals the first goes first.
      jobs: How many run at a time; the machine's cores are shared out among them.
      console: Where to report.

    Returns:
      What went wrong, by the name of the task.

    Raises:
      SlowwaveError: If tasks wait for each other.
    """
    failed: dict[str, str] = {}
    left, done = _longest_first(tasks), set[str]()
    running: dict[str, _Running] = {}
    with _threads_of_each(jobs), console.progress("Evaluating", len(tasks)) as bar:
        shares = _Shares(bar)
        try:
            while left or running:
                for name in _ready(left, done, failed, jobs - len(running)):
                    running[name] = _started(left.pop(name))
                if left and not running:
                    raise SlowwaveError(f"these wait for each other: {', '.join(left)}")
                for name in _listen(running, shares):
                    error = _ended(running.pop(name), name, shares)
                    if error:
                        failed[name] = error
                        console.warning(f"{name} failed: {error}")
                    else:
                        done.add(name)
                        console.message(f"{len(done)}/{len(tasks)} {name}")
                    shares.finish(name)
        finally:
            for each in running.values():
                each.process.terminate()
    return failed


def _longest_first(tasks: Mapping[str, Task]) -> dict[str, Task]:
    """Tasks by how long they and the longest chain of what needs them take."""
    left, longest = dict(tasks), dict.fromkeys(tasks, 0.0)
    # from the ends of the chains to their beginnings
    while last := [n for n in left if not any(n in other.after for other in left.values())]:
        for name in last:
            task = left.pop(name)
            longest[name] += task.takes
            for before in set(task.after) & longest.keys():
                longest[before] = max(longest[before], longest[name])
    return dict(sorted(tasks.items(), key=lambda each: -longest[each[0]]))


def _started(task: Task) -> _Running:
    # each task in a process of its own, so that all its memory is given back at the end
    spawn = multiprocessing.get_context("spawn")
    heard, told = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_run, args=(task, told), daemon=True)
    process.start()
    told.close()  # so that the pipe ends when the process does
    return _Running(process, heard)


def _run(task: Task, told: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        task.call(*task.arguments, _WorkerConsole(quiet=True, told=told))
    except SlowwaveError as error:
        told.send(_Told(error=str(error)))
    except Exception as error:
        told.send(_Told(error=f"{type(error).__name__}: {error}"))
        raise
    else:
        told.send(_Told(error=""))


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _listen(running: Mapping[str, _Running], shares: "_Shares") -> list[str]:
    """Hears what the workers say for a moment; returns the names of those that have ended."""
    ready = wait([each.told for each in running.values()], _LISTEN_S)
    ended = []
    for name, each in running.items():
        if each.told not in ready:
            continue
        try:
            said: _Told = each.told.recv()
        except EOFError:
            ended.append(name)
            shares.errors.setdefault(name, "its process was killed")
            continue
        if said.error is None:
            shares.hear(name, said)
        else:
            shares.errors[name] = said.error
    return ended


def _ended(task: _Running, name: str, shares: "_Shares") -> str:
    """What went wrong with a task whose process has ended; empty for nothing."""
    task.process.join()
    task.told.close()
    return shares.errors.pop(name)


def _ready(left: dict[str, Task], done: set[str], failed: dict[str, str], room: int) -> list[str]:
    """Names of tasks that can run now, after those that cannot run any more are marked."""
    for name, task in list(left.items()):
        if broken := [before for before in task.after if before in failed]:
            failed[name] = f"it needs {broken[0]}, which failed"
            del left[name]
    return [name for name, task in left.items() if set(task.after) <= done][: max(room, 0)]


class _Shares:
    """One bar of as many steps as there are tasks, moved by parts of them.

    Attributes:
      errors: What each ended task told last, empty where it went well.
    """

    def __init__(self, bar: Bar) -> None:
        self.errors: dict[str, str] = {}
        self._bar = bar
        self._total: dict[str, float] = {}
        self._moved: dict[str, float] = {}

    def hear(self, name: str, said: _Told) -> None:
        """Moves the bar by a task's share."""
        if said.total:
            self._total[name] = said.total
            return
        before = self._moved.get(name, 0.0)
        after = min(before + said.amount / max(self._total.get(name, 1.0), 1e-9), 0.99)
        self._moved[name] = after
        self._bar.advance(after - before, f"{name} {after:.0%} {said.note}")

    def finish(self, name: str) -> None:
        """A task has ended."""
        self._bar.advance(1.0 - self._moved.get(name, 0.0), name)
        self._moved[name] = 1.0


@contextmanager
def _threads_of_each(jobs: int) -> Iterator[None]:
    """Shares the cores out among the processes that are started within the block."""
    before = {name: os.environ.get(name) for name in _THREADS}
    threads = max(cores() // jobs, 1)
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
