"""Nights on a small world whose truth is known: honest ones, and ones that somebody sabotaged.

`python -m tests.nights` makes many of each and prints how many were refused, and whether
those that were published were any worse than what they replaced: see `docs/evaluation.md`.
"""

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.interactions import Entry, Event, ItemChange
from model.storage.event_log import open_log
from model.workspace import Workspace
from pipelines.console import Console
from tests.worlds import DAY_MS, MINUTE_MS, START_MS, metadata, ratings, write_world

N_USERS: Final = 240
N_ITEMS: Final = 60
LATER_MS: Final = START_MS + 30 * DAY_MS
NOW_MS: Final = LATER_MS + 30 * DAY_MS
YEAR_MS: Final = 365 * DAY_MS

Entries = list[Entry]
Rng = np.random.Generator


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


def flipped(event: Event) -> Event:
    """The opposite of what was said."""
    return dataclasses.replace(event, value=6.0 - (event.value or 3.0))


def _flip_all(day: list[Event], _: Rng) -> Entries:
    return [flipped(event) for event in day]


def _flip_head(day: list[Event], _: Rng) -> Entries:
    head = int(len(day) * 0.8)
    return [*map(flipped, day[:head]), *day[head:]]


def _bots(day: list[Event], rng: Rng) -> Entries:
    """Three accounts that push ten items and damn all others, five times the day's events."""
    first, last = day[0].timestamp_ms, day[-1].timestamp_ms
    pushed = set(rng.permutation(N_ITEMS)[:10].tolist())
    flood = []
    for n in range(5 * len(day)):
        item = int(rng.integers(N_ITEMS))
        at = int(rng.integers(first, last))
        value = 5.0 if item in pushed else 1.0
        flood.append(Event(f"bot-{n}", "rating", at, f"bot{n % 3}", f"i{item}", value))
    everything = [*day, *flood]
    return [*sorted(everything, key=lambda event: event.timestamp_ms)]


def _lost(day: list[Event], rng: Rng) -> Entries:
    """Every second user's events are lost, and half of the others'."""
    kept = [e for e in day if int((e.user_id or "u0")[1:]) % 2 == 0]
    return [event for event in kept if rng.random() < 0.5]


def _one_category(day: list[Event], _: Rng) -> Entries:
    return [event for event in day if int((event.item_id or "i0")[1:]) % 2 == 0]


def _clock_jump(day: list[Event], rng: Rng) -> Entries:
    """Half of the events come ten years late, the others at one moment."""
    return [
        dataclasses.replace(
            e, timestamp_ms=(e.timestamp_ms if late else LATER_MS) + late * 10 * YEAR_MS
        )
        for e, late in zip(day, (rng.random(len(day)) < 0.5).tolist(), strict=True)
    ]


def _corrupt_metadata(day: list[Event], rng: Rng) -> Entries:
    """Every item's attributes are another's, in other types."""
    items = rng.permutation(N_ITEMS).tolist()
    changed: Entries = [
        ItemChange(
            f"i{n}", {"genres": ("odd", "even")[other % 2], "year": f"{1980 + other}", "title": ""}
        )
        for n, other in enumerate(items)
    ]
    return [*changed, *day]


def _nothing(_: list[Event], __: Rng) -> Entries:
    return []


def _honest(day: list[Event], _: Rng) -> Entries:
    return list(day)


@dataclass(frozen=True)
class Kind:
    """A kind of night.

    Attributes:
      entries: What reaches the log of an honest day.
      setting: Text of the configuration that is replaced, and by what.
    """

    entries: Callable[[list[Event], Rng], Entries]
    setting: tuple[str, str] = ("", "")


KINDS: Final = {
    "honest": Kind(_honest),
    "flipped labels": Kind(_flip_all),
    "flipped labels till noon": Kind(_flip_head),
    "bot flood": Kind(_bots),
    "half of the data lost": Kind(_lost),
    "exploding step": Kind(_honest, ("scale = 0.3", "scale = 1000.0")),
    "one category only": Kind(_one_category),
    "clock jump": Kind(_clock_jump),
    "corrupt metadata": Kind(_corrupt_metadata),
    "empty log": Kind(_nothing),
}


def night(home: Path, kind: str, seed: int, setting: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """One night of this kind in a workspace; its report."""
    from pipelines.consolidate import consolidate

    chosen = KINDS[kind]
    append(home, chosen.entries(honest(seed), np.random.default_rng([8, seed])))
    config = Workspace(home).config_path
    text = config.read_text("utf-8")
    for old, new in (chosen.setting, setting):
        text = text.replace(old, new) if old else text
    config.write_text(text, encoding="utf-8")
    return consolidate(
        Workspace(home),
        until_ms=None,
        dry_run=False,
        seed=seed,
        now_ms=NOW_MS + seed,
        console=Console(quiet=True),
    )


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
    models = Workspace(home).models
    made = (
        models / "refused" / report["refused"] if report["refused"] else models / report["version"]
    )
    before, after = true_quality(models / report["served"]), true_quality(made)
    return after[0] / before[0] - 1.0, after[1] / before[1] - 1.0


def main() -> None:
    """Prints refusals and harm, kind by kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--good", type=int, default=40)
    parser.add_argument("--each", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="The first seed.")
    parser.add_argument("--kinds", default=",".join(KINDS))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        make_home(base)
        for kind in asked.kinds.split(","):
            n = asked.good if kind == "honest" else asked.each
            for seed in range(asked.first, asked.first + n):
                home = Path(shutil.copytree(base, Path(folder) / "night"))
                started = time.process_time()
                report = night(home, kind, seed)
                told = {
                    "kind": kind,
                    "seed": seed,
                    "verdict": report["verdict"],
                    "failed": [v["name"] for v in report["verdicts"] if not v["passed"]],
                    "drift": report["metrics"].get("drift", {}).get("learned", {}).get("nats"),
                    "twin": report["metrics"].get("drift", {}).get("twin_nats"),
                    "churn": (report["metrics"].get("continuity") or {}).get("churn"),
                    "cpu_seconds": round(time.process_time() - started, 1),
                }
                if report["verdict"] != "nothing_new":
                    told["true_ndcg"], told["true_loss"] = (round(x, 4) for x in harm(home, report))
                sys.stdout.write(json.dumps(told) + "\n")
                sys.stdout.flush()
                shutil.rmtree(home)


if __name__ == "__main__":
    main()
