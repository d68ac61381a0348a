"""Requests per second of the service, in rounds that alternate with constant endpoints."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from model.storage.event_log import open_log
from model.workspace import Workspace
from pipelines.benchmark.load import Load, Sent
from pipelines.console import Console
from pipelines.keys import create
from pipelines.running_service import (
    RunningService,
    free_port,
    process,
    running_service,
    wait_until_ready,
)

_MOST_USERS: Final = 1_000
_CHUNK: Final = 10_000
_ASKED: Final = 10
_MAX_WAIT_MS: Final = 30_000
_CONSTANTS: Final = {
    "constant": "plain", "constant_declared": "declared", "load_generator": "socket",
}  # fmt: skip
_TENSORFLOW: Final = ("tensorflow", "tensorflow")
# Two for the workers, one for the load
_CPUS_FOR_TWO: Final = 3
_NO_BASELINES: Final = frozenset({"service", "load_generator"})


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
      starts: How often the service is started.
      rounds: How often each server is measured.
      round_s: How long a round is.
      connections: Requests under way at a time.
      tensorflow: Whether the same model behind plain TensorFlow is measured too.
      soak_events: Length of the long stream that memory is watched over.
      soak_users: Users in it.
    """

    starts: int = 3
    rounds: int = 5
    round_s: float = 3.0
    connections: int = 8
    tensorflow: bool = True
    soak_events: int = 10_000_000
    soak_users: int = 1_000_000


def bench_serving(
    workspace: Workspace, scratch: Path, effort: Effort, console: Console
) -> dict[str, Any]:
    """Start, memory and speed of the service.

    Args:
      workspace: With a model.
      scratch: A folder for what only the measurement needs.
      effort: How much to measure.
      console: Where progress is shown.

    Raises:
      ChildProcessError: If a server does not start.
      ConnectionError: If a request fails.
    """
    bodies = scratch / "recommend.jsonl"
    users = write_questions(workspace, bodies)
    starts_s = [_start_s(workspace, scratch) for _ in range(effort.starts - 1)]
    # a busy machine is to make the numbers worse, not to end the measurement
    with guarded_service(workspace, scratch, max_wait_ms=_MAX_WAIT_MS) as service:
        starts_s.append(service.ready_s)
        ready_mib = resident_mib(service.process)
        reply = service.post("/recommend", {"user_id": users[0], "n": _ASKED})
        load = questions(service, bodies, effort)
        servers = [*_CONSTANTS.items(), *([_TENSORFLOW] if effort.tensorflow else [])]
        commands = {
            name: [sys.executable, "-m", *_command(kind, workspace, scratch)]
            for name, kind in servers
        }
        (scratch / "reply.json").write_text(json.dumps(reply), encoding="utf-8")
        rounds = _alternate(_Target(service.process, load), commands, scratch, effort, console)
        own = [each.sent for each in rounds["service"]]
        at_half = run_load(replace(load, rate=median(sent.per_s for sent in own) / 2))
        busy_mib = resident_mib(service.process)
    two = _two_workers(workspace, scratch, bodies, effort, console)
    return {
        "users_asked": len(users),
        "items_asked": _ASKED,
        "ready_s": median(starts_s),
        "resident_mib": {"ready": ready_mib, "after_load": busy_mib},
        "per_s": {name: median(r.sent.per_s for r in done) for name, done in rounds.items()},
        "cpu_us": {name: _cpu_us(done) for name, done in rounds.items()},
        "ratio": {name: _ratio(rounds, name) for name in rounds if name not in _NO_BASELINES},
        "latency_ms": {
            "at_peak": _middle(own),
            "at_half_of_peak": at_half.latencies_ms,
        },
        "two_workers": two,
        "connections": effort.connections,
        "rounds": effort.rounds,
        "round_s": effort.round_s,
    }


def _two_workers(
    workspace: Workspace, scratch: Path, bodies: Path, effort: Effort, console: Console
) -> dict[str, Any] | None:
    """Two workers beside one, in alternate rounds; None where there are too few processors."""
    if len(os.sched_getaffinity(0)) < _CPUS_FOR_TWO:
        return None
    rates: dict[int, list[float]] = {1: [], 2: []}
    with ExitStack() as services:
        loads = {}
        for workers in rates:
            folder = scratch / f"workers-{workers}"
            folder.mkdir()
            service = services.enter_context(
                guarded_service(workspace, folder, workers=workers, max_wait_ms=_MAX_WAIT_MS)
            )
            # by several connections, for each stays with the worker that took it
            loads[workers] = replace(
                questions(service, bodies, effort), connections=2 * effort.connections
            )
            for _ in range(workers):
                run_load(once_each(loads[workers]))
        with console.progress("Workers", effort.rounds) as bar:
            for _ in range(effort.rounds):
                for workers, load in loads.items():
                    rates[workers].append(run_load(load).per_s)
                bar.advance(1, f"{rates[2][-1]:,.0f}/s of {rates[1][-1]:,.0f}/s")
    return {
        "per_s": {"one": median(rates[1]), "two": median(rates[2])},
        "ratio": median(two / one for one, two in zip(rates[1], rates[2], strict=True)),
    }


def _start_s(workspace: Workspace, scratch: Path) -> float:
    with guarded_service(workspace, scratch) as service:
        return service.ready_s


@contextmanager
def guarded_service(
    workspace: Workspace, scratch: Path, *, workers: int = 1, max_wait_ms: int | None = None
) -> Iterator[RunningService]:
    """The service as others use it: it asks for an API key, which is made for the purpose.

    Raises:
      ChildProcessError: If it does not start.
    """
    scopes = frozenset({"read", "write", "admin"})
    now_ms = time.time_ns() // 1_000_000
    made = create(
        workspace, name="bench", scopes=scopes, now_ms=now_ms, console=Console(quiet=True)
    )
    with running_service(
        workspace.home,
        port=free_port(),
        log_path=scratch / "service.log",
        key=made["key"],
        workers=workers,
        max_wait_ms=max_wait_ms,
    ) as service:
        yield service


def questions(service: RunningService, bodies: Path, effort: Effort) -> Load:
    """As many questions as the service answers, for a round."""
    return Load(
        service.port,
        "/recommend",
        str(bodies),
        effort.connections,
        effort.round_s,
        key=service.key,
    )


@dataclass(frozen=True)
class _Target:
    """A server and what to send it."""

    process: subprocess.Popen[bytes]
    load: Load


@dataclass(frozen=True)
class _Round:
    """What came of a load, and the processor time that the server spent on it."""

    sent: Sent
    cpu_s: float | None


def _alternate(
    service: _Target,
    commands: Mapping[str, list[str]],
    scratch: Path,
    effort: Effort,
    console: Console,
) -> dict[str, list[_Round]]:
    """Rounds against the service and the other servers in turn, all of them running."""
    targets = {"service": service}
    with ExitStack() as servers:
        for name, command in commands.items():
            started, port = servers.enter_context(_server(name, command, scratch))
            targets[name] = _Target(started, replace(service.load, port=port, key=None))
        for each in targets.values():
            run_load(once_each(each.load))
        rounds: dict[str, list[_Round]] = {name: [] for name in targets}
        with console.progress("Serving", effort.rounds * len(targets)) as bar:
            for _ in range(effort.rounds):
                for name, each in targets.items():
                    rounds[name].append(_round(each))
                    bar.advance(1, f"{name} {rounds[name][-1].sent.per_s:,.0f}/s")
    return rounds


def _command(kind: str, workspace: Workspace, scratch: Path) -> list[str]:
    """What follows `python -m`, up to the port."""
    if kind == _TENSORFLOW[1]:
        return ["pipelines.benchmark.plain_tensorflow", str(workspace.home), str(_ASKED)]
    return ["pipelines.benchmark.constant", kind, str(scratch / "reply.json")]


@contextmanager
def _server(
    name: str, command: list[str], scratch: Path
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    log_path = scratch / f"{name}.log"
    with process([*command, str(port)], {}, log_path) as started:
        wait_until_ready(started, port, log_path, path="/openapi.json")
        yield started, port


def _round(target: _Target) -> _Round:
    before = _cpu_s(target.process)
    sent = run_load(target.load)
    after = _cpu_s(target.process)
    return _Round(sent, None if before is None or after is None else after - before)


def _cpu_s(running: subprocess.Popen[bytes]) -> float | None:
    """Processor time of a process so far; None where the system does not tell."""
    stat = Path(f"/proc/{running.pid}/stat")
    if not stat.exists():
        return None
    # the name, in brackets, may hold spaces; the times follow as fields 14 and 15
    fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ratio(rounds: dict[str, list[_Round]], other: str) -> float:
    """The middle one of the ratios of rounds that followed each other."""
    pairs = zip(rounds["service"], rounds[other], strict=True)
    return median(mine.sent.per_s / its.sent.per_s for mine, its in pairs)


def _cpu_us(rounds: Sequence[_Round]) -> float | None:
    """Processor time to a request, which other processes disturb less than the rate."""
    spent = [each.cpu_s * 1e6 / each.sent.requests for each in rounds if each.cpu_s is not None]
    return median(spent) if spent else None


def run_load(load: Load) -> Sent:
    """Sends a load from a process of its own.

    Raises:
      ConnectionError: If a request fails.
    """
    done = subprocess.run(  # noqa: S603 (no outside text)
        [sys.executable, "-m", "pipelines.benchmark.load", load.as_argument()],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise ConnectionError(f"the load on {load.path} broke off: {last}")
    sent = Sent(**json.loads(done.stdout))
    failed = sent.failed - (sent.shed if load.overload else 0)
    if failed or not sent.requests:
        raise ConnectionError(
            f"{load.path}: {failed:,} of {sent.failed + sent.requests:,} requests failed"
        )
    return sent


def once_each(load: Load) -> Load:
    """Every body once, and few at a time: the first request for a user costs many times more."""
    n_bodies = len(Path(load.bodies).read_bytes().splitlines())
    return replace(load, connections=2, rate=n_bodies / load.seconds)


def known_users(log_path: Path) -> list[str]:
    """The first thousand users that the log has events of."""
    users: dict[str, None] = {}
    with closing(open_log(log_path)) as log:
        rows = log.tail(0, limit=_CHUNK)
        while rows and len(users) < _MOST_USERS:
            users.update((row.user_id, None) for row in rows if row.user_id and row.item_id)
            rows = log.tail(rows[-1].seq, limit=_CHUNK)
    return list(users)[:_MOST_USERS]


def write_bodies(path: Path, bodies: Sequence[dict[str, Any]]) -> None:
    """Request bodies as the load generator reads them, one to a line."""
    path.write_text("\n".join(map(json.dumps, bodies)), encoding="utf-8")


def write_questions(workspace: Workspace, path: Path) -> list[str]:
    """One question for each known user as the load generator reads them; returns the users."""
    users = known_users(workspace.log_path)
    write_bodies(path, [{"user_id": user, "n": _ASKED} for user in users])
    return users


def resident_mib(running: subprocess.Popen[bytes]) -> float | None:
    """Memory of a process that lies in RAM; None where the system does not tell."""
    status = Path(f"/proc/{running.pid}/status")
    if not status.exists():
        return None
    line = next(
        line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


def _middle(rounds: Sequence[Sent]) -> dict[str, float]:
    shares = rounds[0].latencies_ms
    return {share: median(sent.latencies_ms[share] for sent in rounds) for share in shares}
