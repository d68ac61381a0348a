"""Runs tasks with their order of dependence in processes, a few at a time."""

import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    """

    call: Callable[..., None]
    arguments: tuple[Any, ...]
    after: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class _Told:
    """What a worker says of a task: that its bar moved, or a line for people."""

    task: str
    label: str = ""
    total: float = 0.0
    amount: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class _WorkerConsole(Console):
    """Sends bars to the process that shows them; messages are kept back."""

    task: str = ""
    told: Any = None

    @contextmanager
    def progress(self, label: str, total: float) -> Iterator[Bar]:
        self.told.put(_Told(self.task, label, total))
        yield _SentBar(self.task, self.told)


class _SentBar(Bar):
    def __init__(self, task: str, told: Any) -> None:
        self._task = task
        self._told = told

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self._told.put(_Told(self._task, amount=amount, note=note))


def run_tasks(tasks: Mapping[str, Task], jobs: int, console: Console) -> dict[str, BaseException]:
    """Runs all tasks; where one fails, those that need it are left out and the others go on.

    Args:
      tasks: By name, in the order of preference.
      jobs: How many run at a time; the machine's cores are shared out among them.
      console: Where to report.

    Returns:
      What went wrong, by the name of the task.
    """
    failed: dict[str, BaseException] = {}
    if not tasks:
        return failed
    spawn = multiprocessing.get_context("spawn")
    left, running, done = dict(tasks), dict[Future[None], str](), set[str]()
    with (
        _threads_of_each(jobs),
        spawn.Manager() as manager,
        ProcessPoolExecutor(jobs, mp_context=spawn, max_tasks_per_child=1) as pool,
        console.progress("Evaluating", len(tasks)) as bar,
    ):
        told = manager.Queue()
        shares = _Shares(bar)
        while left or running:
            for name in _ready(left, done, failed, jobs - len(running)):
                task = left.pop(name)
                future = pool.submit(_run, task, _WorkerConsole(quiet=True, task=name, told=told))
                running[future] = name
            finished, _ = wait(running, _LISTEN_S, FIRST_COMPLETED)
            _listen(told, shares)
            for future in finished:
                name = running.pop(future)
                if (error := future.exception()) is not None:
                    failed[name] = error
                    console.warning(f"{name} failed: {error}")
                else:
                    done.add(name)
                    console.message(f"{len(done)}/{len(tasks)} {name}")
                shares.finish(name)
    return failed


def _run(task: Task, console: Console) -> None:
    task.call(*task.arguments, console)


def _ready(
    left: dict[str, Task], done: set[str], failed: dict[str, BaseException], room: int
) -> list[str]:
    """Names of tasks that can run now, after those that cannot run any more are marked."""
    for name, task in list(left.items()):
        if broken := [before for before in task.after if before in failed]:
            failed[name] = SlowwaveError(f"it needs {broken[0]}, which failed")
            del left[name]
    return [name for name, task in left.items() if set(task.after) <= done][: max(room, 0)]


class _Shares:
    """One bar of as many steps as there are tasks, moved by parts of them."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._total: dict[str, float] = {}
        self._moved: dict[str, float] = {}

    def hear(self, told: _Told) -> None:
        """Moves the bar by a task's share; a task with several bars starts again at each."""
        if told.total:
            self._total[told.task] = told.total
            return
        share = told.amount / max(self._total.get(told.task, 1.0), 1e-9)
        before = self._moved.get(told.task, 0.0)
        after = min(max(before + share, before), 0.99)
        self._moved[told.task] = after
        self._bar.advance(after - before, f"{told.task} {after:.0%} {told.note}")

    def finish(self, name: str) -> None:
        """A task has ended."""
        self._bar.advance(1.0 - self._moved.get(name, 0.0), name)
        self._moved[name] = 1.0


def _listen(told: Any, shares: _Shares) -> None:
    while True:
        try:
            shares.hear(told.get_nowait())
        except queue.Empty:
            return


@contextmanager
def _threads_of_each(jobs: int) -> Iterator[None]:
    """Shares the cores out among the processes that are started within the block."""
    before = {name: os.environ.get(name) for name in _THREADS}
    threads = max((os.cpu_count() or 1) // jobs, 1)
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
