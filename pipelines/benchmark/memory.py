"""What the fast memory costs: an event to a worker that tails it, a request, and a long stream.

Processor time of this process is measured, which other processes disturb less than the clock.
"""

import dataclasses
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np

from model.fast.config import MemoryConfig
from model.interactions import Event, Kind, LogRow
from model.recommender import Recommender
from model.request import Query
from model.storage.event_log import EventLog, open_log
from model.storage.registry import Registry
from model.workspace import Workspace, load_config
from pipelines.benchmark.serving import Effort, known_users
from pipelines.console import Console

CATALOGUE: Final = 10_000
"""Items that a request is measured on."""

_BATCH: Final = 100
_BATCHES_A_ROUND: Final = 20
_REQUESTS_A_ROUND: Final = 200
_USERS: Final = 50
_SOAK_BATCH: Final = 10_000
_SOAK_MARKS: Final = 10
_MEAN_GAP_MS: Final = 300
_POPULARITY: Final = 1.2


def bench_memory(
    workspace: Workspace,
    scratch: Path,  # noqa: ARG001 (all alike)
    effort: Effort,
    console: Console,
) -> dict[str, Any]:
    """µs of an event and of a request, with the memory and without it, in alternating rounds.

    Args:
      workspace: With a model; its log is written to, and its catalogue filled up.
      scratch: Not needed.
      effort: How much to measure.
      console: Where progress is shown.
    """
    with closing(open_log(workspace.log_path)) as log:
        users = known_users(workspace.log_path)[:_USERS]
        now_ms = time.time_ns() // 1_000_000
        _fill_up(log, now_ms)
        with_memory = _recommender(workspace, log)
        without = _recommender(workspace, log, remembers=False)
        clicks = _clicks(users, with_memory.catalogue.ids[1:], now_ms)
        found: dict[str, list[float]] = {name: [] for name in ("event", *_READS)}
        with console.progress("Memory", effort.rounds) as bar:
            for _ in range(effort.rounds):
                found["event"].append(_event_us(log, with_memory, without, clicks))
                for name, (memory, busy) in _READS.items():
                    asked = with_memory if memory else without
                    events = clicks if busy else None
                    found[name].append(_request_us(asked, log, users, events, now_ms))
                bar.advance(1, f"{found['event'][-1]:.1f} µs an event")
        n_items = len(with_memory.catalogue) - 1
    middle = {name: median(values) for name, values in found.items()}
    return {
        "batch": _BATCH,
        "items": n_items,
        "users_asked": len(users),
        "rounds": effort.rounds,
        "event_us": middle["event"],
        "request_us": {name: middle[name] for name in _READS},
        "added_us": {
            "quiet": middle["quiet"] - middle["quiet_off"],
            "busy": middle["busy"] - middle["busy_off"],
        },
    }


# With the memory or not; with events of others between any two requests or not.
_READS: Final = {
    "quiet": (True, False),
    "quiet_off": (False, False),
    "busy": (True, True),
    "busy_off": (False, True),
}


def _recommender(workspace: Workspace, log: EventLog, *, remembers: bool = True) -> Recommender:
    registry, config = Registry(workspace.models), load_config(workspace.config_path)
    version = str(registry.current())
    memory = config.memory if remembers else switched_off(config.memory)
    folder, manifest = registry.open(version), registry.manifest(version)
    return Recommender.open(folder, manifest, log, config.events, memory)


def switched_off(memory: MemoryConfig) -> MemoryConfig:
    """The settings with no part that has a say."""
    return dataclasses.replace(
        memory, trending_weight=0.0, cross_weight=0.0, fast_weight=0.0, lesson_weight=0.0
    )


def _fill_up(log: EventLog, now_ms: int) -> None:
    """Copies of the items under new names, until there are enough."""
    items = log.catalogue().items
    more = itertools.islice(itertools.cycle(items), max(CATALOGUE - len(items), 0))
    copies = [dataclasses.replace(item, item_id=f"copy-{n}") for n, item in enumerate(more)]
    for start in range(0, len(copies), _SOAK_BATCH):
        log.append(copies[start : start + _SOAK_BATCH], now_ms)


def _clicks(users: Sequence[str], items: Sequence[str], now_ms: int) -> Iterator[Event]:
    """Clicks of the users on items that few or many click on, a while apart."""
    rng = np.random.default_rng(0)
    for number in itertools.count():
        item = items[int(rng.zipf(_POPULARITY)) % len(items)]
        user = users[int(rng.integers(len(users)))]
        at_ms = now_ms + number * _MEAN_GAP_MS
        yield Event(f"memory-{number}", "click", at_ms, user_id=user, item_id=item)


def _event_us(
    log: EventLog, memory: Recommender, other: Recommender, clicks: Iterator[Event]
) -> float:
    """Of an event, from the look at the log's head to a memory that reflects it."""
    spent = 0.0
    for _ in range(_BATCHES_A_ROUND):
        log.append(list(itertools.islice(clicks, _BATCH)), 0)
        begin = time.process_time()
        memory.catch_up()
        spent += time.process_time() - begin
        other.catch_up()
    return spent / (_BATCHES_A_ROUND * _BATCH) * 1e6


def _request_us(
    asked: Recommender,
    log: EventLog,
    users: Sequence[str],
    events: Iterator[Event] | None,
    now_ms: int,
) -> float:
    """Of a request for ten items; where there are events, one of them comes before each.

    What the event costs counts too.
    """
    for user in users:
        asked.recommend(Query(user_id=user, now_ms=now_ms))  # the first one reads the user
    spent = 0.0
    for user in itertools.islice(itertools.cycle(users), _REQUESTS_A_ROUND):
        query = Query(user_id=user, now_ms=now_ms)
        if events is not None:
            log.append([next(events)], 0)
        begin = time.process_time()
        asked.recommend(query)
        spent += time.process_time() - begin
    return spent / _REQUESTS_A_ROUND * 1e6


class _Mark(NamedTuple):
    """How large the memory is after so many events."""

    events: int
    resident_mib: float
    crosses: int
    actors: int


def bench_soak(
    workspace: Workspace,
    scratch: Path,  # noqa: ARG001 (all alike)
    effort: Effort,
    console: Console,
) -> dict[str, Any]:
    """Memory over a long stream of synthetic events, and what one costs.

    A million users, the popular items much more popular than others, three events a second:
    long enough for users to be forgotten again.

    Args:
      workspace: With a model; its log is only read.
      scratch: Not needed.
      effort: How much to measure.
      console: Where progress is shown.
    """
    with closing(open_log(workspace.log_path)) as log:
        recommender = _recommender(workspace, log)
        head, n_items = recommender.as_of, len(recommender.catalogue) - 1
        memory, catalogue = recommender.memory, recommender.catalogue
        ids, spent = catalogue.ids, 0.0
        marks: list[_Mark] = []
        before_mib = _resident_mib()
        with console.progress("Soak", effort.soak_events) as bar:
            chunks = _soak_rows(effort, ids, head, time.time_ns() // 1_000_000)
            for done, rows in chunks:
                begin = time.process_time()
                memory.add(rows, catalogue)
                spent += time.process_time() - begin
                bar.advance(len(rows))
                if done * _SOAK_MARKS // effort.soak_events > len(marks):
                    size = memory.size
                    marks.append(_Mark(done, _resident_mib(), size.crosses, size.actors))
    grown = marks[-1].resident_mib - before_mib
    return {
        "events": effort.soak_events,
        "users": effort.soak_users,
        "items": n_items,
        "event_us": spent / effort.soak_events * 1e6,
        "resident_mib_before": before_mib,
        "marks": [mark._asdict() for mark in marks],
        "bytes_a_user": grown * 2**20 / effort.soak_users,
    }


def _soak_rows(
    effort: Effort, ids: Sequence[str], head: int, now_ms: int
) -> Iterator[tuple[int, list[LogRow]]]:
    rng = np.random.default_rng(0)
    for done in range(0, effort.soak_events, _SOAK_BATCH):
        n = min(_SOAK_BATCH, effort.soak_events - done)
        users = rng.integers(effort.soak_users, size=n).tolist()
        items = (1 + rng.zipf(_POPULARITY, n) % (len(ids) - 1)).tolist()
        yield (
            done + n,
            [
                LogRow(
                    head + 1 + done + at,
                    Kind.EVENT,
                    f"soak-{done + at}",
                    "click",
                    f"soak-{user}",
                    ids[item],
                    None,
                    now_ms + (done + at) * _MEAN_GAP_MS,
                    0,
                    None,
                    None,
                )
                for at, (user, item) in enumerate(zip(users, items, strict=True))
            ],
        )


def _resident_mib() -> float:
    """Memory of this process that lies in RAM; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0.0
    pages = int(statm.read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
