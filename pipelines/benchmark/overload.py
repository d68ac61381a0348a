"""Three times what the service can answer: what it does then, and how it is afterwards."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from model.workspace import Workspace
from pipelines.benchmark.serving import (
    Effort,
    guarded_service,
    once_each,
    questions,
    run_load,
    write_questions,
)
from pipelines.console import Console

_TIMES: Final = 3
_CONNECTIONS: Final = 900


def bench_overload(
    workspace: Workspace, scratch: Path, effort: Effort, console: Console
) -> dict[str, Any]:
    """Offers more than can be answered, between two rounds at half of the peak.

    Args:
      workspace: With a model.
      scratch: A folder for what only the measurement needs.
      effort: How much to measure.
      console: Where progress is shown.

    Raises:
      ChildProcessError: If the service does not start.
      ConnectionError: If a request fails in another way than by being turned away.
    """
    bodies = scratch / "recommend.jsonl"
    write_questions(workspace, bodies)
    with (
        guarded_service(workspace, scratch) as service,
        console.progress("Overload", 5) as bar,
    ):
        load = questions(service, bodies, effort)
        run_load(replace(once_each(load), overload=True))
        bar.advance(1, "warm")
        peak = run_load(load).per_s
        bar.advance(1, f"peak {peak:,.0f}/s")
        half = replace(load, rate=peak / 2)
        before = run_load(half)
        bar.advance(1, "half of it")
        flood = replace(
            load, rate=_TIMES * peak, connections=_CONNECTIONS, seconds=2 * effort.round_s,
            overload=True,
        )  # fmt: skip
        during = run_load(flood)
        bar.advance(1, f"{during.shed:,} turned away")
        after = run_load(half)
        bar.advance(1, "half of it again")
    return {
        "peak_per_s": peak,
        "times": _TIMES,
        "connections": _CONNECTIONS,
        "before": asdict(before),
        "during": {**asdict(during), "per_s": during.per_s},
        "after": asdict(after),
    }
