"""Model versions that come, go back and turn out damaged, all under full load."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from model.files import write_atomically
from model.storage.registry import Registry
from model.workspace import Workspace
from pipelines.benchmark.load import Load, Sent
from pipelines.benchmark.serving import (
    Effort,
    guarded_service,
    once_each,
    questions,
    resident_mib,
    run_load,
    write_questions,
)
from pipelines.console import Console
from pipelines.running_service import RunningService

_MAX_WAIT_MS: Final = 30_000
_PATIENCE_S: Final = 120.0
_POLL_S: Final = 0.05


def bench_swap(
    workspace: Workspace, scratch: Path, effort: Effort, console: Console
) -> dict[str, Any]:
    """Promotes a version, rolls it back and publishes a damaged one, each under full load.

    Args:
      workspace: With a model; versions are published in it.
      scratch: A folder for what only the measurement needs.
      effort: How much to measure.
      console: Where progress is shown.

    Raises:
      ChildProcessError: If the service does not start.
      ConnectionError: If a request fails in another way than by being turned away.
      TimeoutError: If the service does not follow the registry.
    """
    bodies = scratch / "recommend.jsonl"
    write_questions(workspace, bodies)
    first = Registry(workspace.models).current() or ""
    with (
        guarded_service(workspace, scratch, max_wait_ms=_MAX_WAIT_MS) as service,
        console.progress("Swaps", 4) as bar,
    ):
        load = questions(service, bodies, effort)
        run_load(once_each(load))
        # being turned away is counted here, not raised
        load = replace(load, overload=True)
        steady = [run_load(load) for _ in range(effort.rounds)]
        bar.advance(1, f"steady {median(sent.per_s for sent in steady):,.0f}/s")
        before = resident_mib(service.process)
        with _watched(service) as resident:
            swaps: dict[str, list[Sent]] = {}
            for name, step in _steps(workspace, service, first).items():
                swaps[name] = _under_load(load, step)
                bar.advance(1, name)
        after = resident_mib(service.process)
    p99 = median(sent.latencies_ms["p99"] for sent in steady)
    worst = {n: max(sent.latencies_ms["p99"] for sent in done) for n, done in swaps.items()}
    peak = max(resident, default=None)
    return {
        "requests": sum(sent.requests for done in swaps.values() for sent in done),
        "failed": sum(sent.failed for done in swaps.values() for sent in done),
        "p99_ms": {"steady": p99, **worst},
        "ratio": max(worst.values()) / p99,
        "resident_mib": {"before": before, "peak": peak, "after": after},
        "memory_ratio": peak / before if peak and before else None,
        "round_s": effort.round_s,
    }


def _steps(
    workspace: Workspace, service: RunningService, first: str
) -> dict[str, Callable[[], None]]:
    """What is done to the service, by name; each returns when the service has followed."""

    def promoted() -> None:
        second = publish_again(workspace)
        _wait_until(service, lambda said: said["model_version"] == second)

    def rolled_back() -> None:
        service.post("/admin/rollback", {"version": first})
        _wait_until(service, lambda said: said["model_version"] == first)

    def damaged() -> None:
        name = make_current_a_damaged_copy(workspace)
        _wait_until(service, lambda said: (said["refused"] or {}).get("version") == name)

    return {"promotion": promoted, "roll-back": rolled_back, "damaged version": damaged}


def publish_again(workspace: Workspace) -> str:
    """Publishes the current version once more, under a new name, which is returned."""
    registry = Registry(workspace.models)
    current = registry.current() or ""
    manifest = registry.manifest(current)
    with registry.stage() as staged:
        for path in registry.open(current).iterdir():
            if path.name != "manifest.json":
                shutil.copy(path, staged / path.name)
        return registry.publish(staged, manifest, created_ms=time.time_ns() // 1_000_000)


def make_current_a_damaged_copy(workspace: Workspace) -> str:
    """A new current version in which one byte of one file is wrong; returns its name."""
    models = workspace.models
    current = (models / "CURRENT").read_text(encoding="ascii").strip()
    name = "v0009-" + current[-8:]
    shutil.copytree(models / current, models / name)
    manifest = models / name / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace(current, name), "utf-8")
    victim = max((models / name).iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    write_atomically(models / "CURRENT", name.encode())
    return name


def _under_load(load: Load, step: Callable[[], None]) -> list[Sent]:
    """What came of the rounds of a load that a step lasted, at least one."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(step)
        sent = [run_load(load)]
        while not done.done():
            sent.append(run_load(load))
        done.result()
    return sent


def _wait_until(service: RunningService, is_so: Callable[[dict[str, Any]], bool]) -> None:
    """Returns when what the service says of itself is so.

    Raises:
      TimeoutError: If it is not within two minutes.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while not is_so(service.get("/health/ready")):
        if time.monotonic() >= deadline:
            raise TimeoutError("the service did not follow the registry")
        time.sleep(_POLL_S)


@contextmanager
def _watched(service: RunningService) -> Iterator[list[float]]:
    """Memory of the service while the block runs, in MiB, looked at again and again."""
    found: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(_POLL_S):
            mib = resident_mib(service.process)
            if mib is not None:
                found.append(mib)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
