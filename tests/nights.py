"""Nights on a small world whose truth is known: honest ones, and ones that somebody sabotaged.

`python -m tests.nights` makes many of each and prints how many were refused, and whether
those that were published were any worse than what they replaced; `tests.stream_nights` does
so on the days of a protocol. See `docs/evaluation.md`.
"""

import argparse
import dataclasses
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.interactions import Entry, Event, ItemChange
from model.storage.event_log import open_log
from model.workspace import Workspace
from pipelines.console import Console
from tests.sabotage import KINDS, entries_of, made, night_of, table, tell
from tests.worlds import DAY_MS, MINUTE_MS, START_MS, metadata, ratings, write_world

N_USERS: Final = 240
N_ITEMS: Final = 60
LATER_MS: Final = START_MS + 30 * DAY_MS
NOW_MS: Final = LATER_MS + 30 * DAY_MS
ITEMS: Final = {
    entry.item_id: entry.attributes or {}
    for entry in metadata(N_USERS, N_ITEMS)
    if isinstance(entry, ItemChange)
}


def make_home(home: Path) -> Workspace:
    """A workspace with a model of the world, trained here."""
    from pipelines.train import train

    events = ratings(np.random.default_rng(0), n_users=N_USERS, n_items=N_ITEMS)
    workspace = write_world(home, events, now_ms=events[-1].timestamp_ms + MINUTE_MS)
    append(home, metadata(N_USERS, N_ITEMS))
    train(workspace, until_ms=None, seed=0, now_ms=NOW_MS, console=Console(quiet=True))
    return workspace


def append(home: Path, entries: Sequence[Entry]) -> None:
    """Adds entries to a workspace's log."""
    log = open_log(Workspace(home).log_path)
    try:
        log.append(list(entries), received_ms=NOW_MS)
    finally:
        log.close()


def honest(seed: int) -> list[Event]:
    """A day of 120 users, a third of them new, who rate as the world's truth says."""
    rng = np.random.default_rng([7, seed])
    users = rng.permutation(N_USERS * 4 // 3)[:120]
    events = ratings(
        rng,
        n_users=N_USERS * 4 // 3,
        n_items=N_ITEMS,
        per_user=14,
        start_ms=LATER_MS,
        prefix=f"d{seed}",
    )
    chosen = {f"u{n}" for n in users.tolist()}
    return [event for event in events if event.user_id in chosen]


def night(home: Path, kind: str, seed: int) -> dict[str, Any]:
    """One night of this kind in a workspace; its report."""
    append(home, entries_of(kind, honest(seed), ITEMS, seed))
    return night_of(home, kind, seed, NOW_MS + seed)


def true_quality(folder: Path) -> tuple[float, float]:
    """NDCG@10 and outcome log-loss of a bundle on 160 honest users whom nobody has met."""
    from model.slow.bundle import load_bundle
    from model.slow.evaluation import evaluate
    from model.slow.examples import Examples
    from tests.tiny_model import columns_of

    events = [
        dataclasses.replace(e, user_id=f"u{int((e.user_id or 'u0')[1:]) + 10_000}")
        for e in ratings(np.random.default_rng(99), n_users=160, n_items=N_ITEMS, per_user=14)
    ]
    columns, described = columns_of(events, metadata(N_USERS, N_ITEMS))
    bundle = load_bundle(folder)
    found = evaluate(bundle, Examples(columns, bundle.space, described), np.arange(len(events)))
    return float(found.ndcg.mean()), float(found.losses.mean())


def harm(home: Path, report: dict[str, Any]) -> tuple[float, float]:
    """The candidate's true relative change of NDCG@10 and of log-loss."""
    before, after = map(true_quality, made(home, report))
    return after[0] / before[0] - 1.0, after[1] / before[1] - 1.0


def main() -> None:
    """Prints refusals and harm, kind by kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--good", type=int, default=40)
    parser.add_argument("--each", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="The first seed.")
    parser.add_argument("--kinds", default=",".join(KINDS))
    asked = parser.parse_args()
    told = []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        make_home(base)
        for kind in asked.kinds.split(","):
            n = asked.good if kind == "honest" else asked.each
            for seed in range(asked.first, asked.first + n):
                home = Path(shutil.copytree(base, Path(folder) / "night"))
                started = time.process_time()
                report = night(home, kind, seed)
                cpu_s = time.process_time() - started
                found = None if report["verdict"] == "nothing_new" else harm(home, report)
                told.append(tell({"kind": kind, "seed": seed}, report, found, cpu_s))
                shutil.rmtree(home)
    sys.stdout.write(table(told))


if __name__ == "__main__":
    main()
