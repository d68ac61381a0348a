"""Events per second into the service, beside the log alone on the same disk."""

import itertools
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from model.interactions import Event
from model.storage.event_log import EventLog, open_log
from model.workspace import Workspace
from pipelines.benchmark.load import MARKER, Load, Sent
from pipelines.benchmark.serving import Effort, guarded_service, known_users, run_load, write_bodies
from pipelines.console import Console
from pipelines.running_service import RunningService

_BATCH: Final = 100
_BODIES: Final = 50
_CONNECTIONS: Final = 4


def bench_events(
    workspace: Workspace, scratch: Path, effort: Effort, console: Console
) -> dict[str, Any]:
    """Durable events per second, `_BATCH` to a call, in rounds that alternate with the log's own.

    Args:
      workspace: With a model; its log is written to.
      scratch: A folder on the same disk for what only the measurement needs.
      effort: How much to measure.
      console: Where progress is shown.

    Raises:
      ChildProcessError: If the service does not start.
      ConnectionError: If a request fails.
    """
    batches = _batches(workspace.log_path)
    bodies = scratch / "events.jsonl"
    write_bodies(bodies, [{"events": batch} for batch in batches])
    service_rounds: list[Sent] = []
    log_rounds: list[float] = []
    with (
        closing(open_log(scratch / "events-alone.db")) as alone,
        guarded_service(workspace, scratch) as service,
        console.progress("Events", effort.rounds) as bar,
    ):
        load = Load(
            service.port, "/events", str(bodies), _CONNECTIONS, effort.round_s, key=service.key
        )
        numbers = itertools.count()
        sent = 0
        for _ in range(effort.rounds):
            service_rounds.append(run_load(replace(load, first=sent)))
            sent += service_rounds[-1].requests
            log_rounds.append(_append_for(effort.round_s, alone, batches, numbers))
            bar.advance(1, f"{service_rounds[-1].per_s * _BATCH:,.0f}/s")
        behind_ms = _behind_ms(service, workspace.log_path)
    own = [each.per_s * _BATCH for each in service_rounds]
    return {
        "batch": _BATCH,
        "connections": _CONNECTIONS,
        "events_sent": sent * _BATCH,
        "per_s": {"service": median(own), "log_alone": median(log_rounds)},
        "ratio": median(mine / its for mine, its in zip(own, log_rounds, strict=True)),
        "latency_ms": service_rounds[-1].latencies_ms,
        "current_after_ms": behind_ms,
        "rounds": effort.rounds,
        "round_s": effort.round_s,
    }


def _batches(log_path: Path) -> list[list[dict[str, Any]]]:
    """Clicks of the known users on the known items, with ids that the marker makes unique."""
    with closing(open_log(log_path)) as log:
        items = [item.item_id for item in log.catalogue().items]
    pairs = zip(itertools.cycle(known_users(log_path)), itertools.cycle(items), strict=False)
    events: Iterator[dict[str, Any]] = (
        {
            "event_id": f"bench-{MARKER.decode()}-{place % _BATCH}",
            "event_type": "click",
            "user_id": user,
            "item_id": item,
        }
        for place, (user, item) in enumerate(pairs)
    )
    return [list(itertools.islice(events, _BATCH)) for _ in range(_BODIES)]


def _append_for(
    seconds: float, log: EventLog, batches: list[list[dict[str, Any]]], numbers: Iterator[int]
) -> float:
    """Events per second that the log takes from one caller, a durable append to a batch."""
    n_events = 0
    begin = time.perf_counter()
    while (spent := time.perf_counter() - begin) < seconds:
        number = next(numbers)
        now_ms = time.time_ns() // 1_000_000
        batch = batches[number % len(batches)]
        marker = f"{number:08x}"
        events = [
            Event(
                each["event_id"].replace(MARKER.decode(), marker),
                each["event_type"],
                now_ms,
                user_id=each["user_id"],
                item_id=each["item_id"],
            )
            for each in batch
        ]
        n_events += log.append(events, now_ms).accepted
    return n_events / spent


def _behind_ms(service: RunningService, log_path: Path) -> float:
    """How long the service needs, after the last event, until its memory reflects all of them."""
    with closing(open_log(log_path)) as log:
        head = log.head()
    begin = time.perf_counter()
    while service.get("/health/ready")["memory_as_of"] < head:
        pass
    return (time.perf_counter() - begin) * 1_000
