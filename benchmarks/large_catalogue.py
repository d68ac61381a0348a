"""`python -m benchmarks.large_catalogue [ITEMS [CLOUDED]]`: requests over a million items.

The service's own `Recommender` on a synthetic model and log (`benchmarks.clouds`), once with all
items scored and once with those that come into question: times of a request when nothing is new
and after an event of another user, and how many of the best hundred are found.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

import numpy as np  # noqa: E402 - reads the number of threads

from benchmarks.clouds import DAY_MS, DAYS, START_MS, Clouds  # noqa: E402
from model.fast.config import MemoryConfig  # noqa: E402
from model.interactions import Event, EventRules  # noqa: E402
from model.recommender import Recommender  # noqa: E402
from model.request import Query  # noqa: E402
from model.slow.bundle import load_bundle, write_bundle  # noqa: E402
from model.slow.scorer import SlowScorer  # noqa: E402
from model.snapshot import Snapshot  # noqa: E402
from model.storage.event_log import SqliteEventLog, open_log  # noqa: E402

_USERS: Final = 2_000
_PER_USER: Final = 20
_REQUESTS: Final = 200
_EXACT_ITEMS: Final = 1_000
_STEP_MS: Final = 1_000


class Asking:
    """Asks one recommender, a moment later every time."""

    def __init__(self, recommender: Recommender, log: SqliteEventLog) -> None:
        self._recommender = recommender
        self._log = log
        self._now_ms = START_MS + DAYS * DAY_MS

    def quiet(self) -> dict[str, list[float]]:
        """Milliseconds of requests when nothing is new, users having asked before."""
        for number in range(_REQUESTS):
            self._recommender.recommend(self._query(number))
        return self._timed(_REQUESTS)

    def after_events(self, events: list[Event]) -> dict[str, list[float]]:
        """The same, every request after an event of somebody else that it takes in."""
        return self._timed(len(events), events)

    def best(self, number: int) -> list[str]:
        """The best hundred of a user."""
        return self._recommender.recommend(self._query(number, n=100)).item_ids

    def _timed(self, n: int, events: list[Event] | None = None) -> dict[str, list[float]]:
        wall, spent = [], []
        for number in range(n):
            if events is not None:
                self._now_ms += _STEP_MS
                self._log.append([events[number]], received_ms=self._now_ms)
            query = self._query(number)
            begun, begun_cpu = time.perf_counter(), time.process_time()
            self._recommender.recommend(query)
            spent.append(time.process_time() - begun_cpu)
            wall.append(time.perf_counter() - begun)
        return {
            f"{name}_ms_p50_p95_p99": (1_000 * np.percentile(each, [50, 95, 99])).round(1).tolist()
            for name, each in (("wall", wall), ("cpu", spent))
        }

    def _query(self, number: int, n: int = 10) -> Query:
        return Query(user_id=f"u{number % _USERS}", n=n, now_ms=self._now_ms)


def measured(n_items: int, clouded: float, home: Path) -> dict[str, Any]:
    """Everything, in a folder that may be filled."""
    rng = np.random.default_rng(0)
    world = Clouds.drawn(n_items, _USERS, clouded, rng)
    write_bundle(world.bundle(rng), home)
    log = open_log(home / "events.db")
    world.fill(log, rng, _PER_USER)
    later = world.events(rng, 2 * _REQUESTS)
    events = [
        Event(f"later{n}", one.event_type, START_MS + DAYS * DAY_MS + n * _STEP_MS,
              user_id=one.user_id, item_id=one.item_id)
        for n, one in enumerate(later)
    ]  # fmt: skip
    scorer = SlowScorer(load_bundle(home))
    made = (scorer, "", log, EventRules(), MemoryConfig())
    exact = Recommender(*made)
    kept = exact.snapshot()
    # both go on from it
    kept = Snapshot(kept.items, {name: array.copy() for name, array in kept.arrays.items()})
    begun = time.process_time()
    few = Recommender(*made, snapshot=kept, exact_items=_EXACT_ITEMS)
    ready_s = round(time.process_time() - begun, 1)
    all_asked, few_asked = Asking(exact, log), Asking(few, log)
    report: dict[str, Any] = {
        "items": n_items,
        "clouded": clouded,
        "load": os.getloadavg()[0],
        "all": {"quiet": all_asked.quiet()},
        "few": {"quiet": few_asked.quiet(), "ready_cpu_s": ready_s},
    }
    hits = [len(set(all_asked.best(n)) & set(few_asked.best(n))) for n in range(_REQUESTS)]
    report["few"]["recall_at_100"] = round(sum(hits) / (100 * _REQUESTS), 4)
    report["all"]["after_an_event"] = all_asked.after_events(events[:_REQUESTS])
    few.catch_up()
    report["few"]["after_an_event"] = few_asked.after_events(events[_REQUESTS:])
    report["most_resident_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    log.close()
    return report


if __name__ == "__main__":
    n_items = int((sys.argv[1:2] or ["1000000"])[0])
    clouded = float((sys.argv[2:3] or ["0.64"])[0])
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(json.dumps(measured(n_items, clouded, Path(folder)), indent=1) + "\n")
