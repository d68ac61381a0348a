"""Records of arms that never ran, of a planted quality: for what comes after a replay."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.evaluation.record import Asked, Judged, Record
from pipelines.evaluation.results import RunInfo

N_ITEMS = 200


@dataclass(frozen=True)
class Plan:
    """A made-up stream."""

    protocol: str = "ml-100k"
    questions: int = 600
    actors: int = 80
    blocks: int = 12
    seed: int = 0
    metrics: tuple[str, ...] = ("ndcg@10", "hr@10")
    new_items: bool = True


PLAN = Plan()


@dataclass(frozen=True)
class Quality:
    """What an arm is like: chance of a hit, how it learns, how wrong its probabilities are."""

    hit: float
    learns: float = 0.0
    cold: float = 0.5
    new: float = 0.3
    tilt: float | None = None
    nights: int = 0
    night_s: float = 3.0
    breadth: int = N_ITEMS
    chosen: dict[str, Any] = field(default_factory=dict)


def asked_of(plan):
    rng = np.random.default_rng(plan.seed)
    n = plan.questions
    block = np.sort(rng.integers(0, plan.blocks, n)).astype(np.int32)
    # a user stays for a block or two, as people do
    actor = (block * plan.actors // plan.blocks + rng.integers(0, 9, n)).astype(np.int32)
    earlier = np.zeros(n, np.int32)
    seen: dict[int, int] = {}
    for at, who in enumerate(actor.tolist()):
        earlier[at] = seen.get(who, 0)
        seen[who] = earlier[at] + 1 + (at % 3 == 0)
    item_bootstrap = (rng.pareto(0.8, n) * 4).astype(np.int32)
    if plan.new_items:
        item_bootstrap[rng.random(n) < 0.25] = 0
    item_events = (item_bootstrap + rng.pareto(0.7, n)).astype(np.int32)
    age_s = np.where(item_events > 0, rng.pareto(0.4, n) * 60.0, np.nan)
    return Asked(
        row=1_000 + np.arange(n, dtype=np.int64) * 2,
        actor=actor,
        block=block,
        timestamp_ms=1_700_000_000_000 + np.arange(n, dtype=np.int64) * 60_000,
        actor_events=earlier,
        actor_bootstrap=(actor % 4 == 0).astype(np.int32) * 7,
        item_events=item_events,
        item_age_s=age_s,
        item_bootstrap=item_bootstrap,
        since_turn=_since_turn(actor, block),
    )


def _since_turn(actor, block):
    """Every fifth actor's taste turns round in block 5; those before that are still to turn."""
    since = np.where(block < 5, -1, 10 * (block - 5) + actor % 2)
    return np.where(actor % 5 == 0, since, -2).astype(np.int32)


def _metrics(plan, asked, quality, rng):
    n = plan.questions
    warm = 1.0 - np.exp(-asked.actor_events / 3.0)
    chance = quality.hit * (quality.cold + (1.0 - quality.cold) * warm)
    known = 1.0 - np.exp(-asked.item_events / 8.0)
    chance = np.where(
        asked.item_bootstrap == 0, chance * (quality.new + (1 - quality.new) * known), chance
    )
    chance = chance * (1.0 + quality.learns * np.arange(n) / n)
    # the same luck for all arms: a question that is easy for one is easy for another
    shared = np.random.default_rng(plan.seed + 1).random(n)
    luck = np.where(rng.random(n) < 0.8, shared, rng.random(n))
    rank = np.where(luck < chance, 1 + np.floor(10 * luck / np.maximum(chance, 1e-9)), 99)
    every = {"ndcg": 1.0 / np.log2(1.0 + rank), "mrr": 1.0 / rank}
    found = {}
    for metric in plan.metrics:
        name, _, k = metric.partition("@")
        gain = every.get(name, np.ones(n))
        found[metric] = np.where(rank <= int(k or 99), gain, 0.0).astype(np.float32)
    return found


def _judged(plan, asked, quality, rng):
    truth = 1.0 / (
        1.0 + np.exp(-np.random.default_rng(plan.seed + 2).normal(0.3, 1.2, plan.questions))
    )
    label = (np.random.default_rng(plan.seed + 3).random(plan.questions) < truth).astype(np.float32)
    odds = np.log(truth / (1.0 - truth)) * (1.0 + quality.tilt) + rng.normal(0, 0.2, plan.questions)
    return Judged(
        row=asked.row,
        actor=asked.actor,
        block=asked.block,
        actor_events=asked.actor_events,
        item_bootstrap=asked.item_bootstrap,
        label=label,
        probability=(1.0 / (1.0 + np.exp(-odds))).astype(np.float32),
    )


def _nights(plan, asked, quality, rng):
    at = np.linspace(0, plan.questions - 1, quality.nights + 1).astype(int)[1:]
    verdicts = rng.choice(["published", "published", "published", "refused"], len(at)).tolist()
    cost = (quality.night_s * (1 + rng.random(len(at)))).round(3).tolist()
    return [
        {"row": int(asked.row[place]), "seconds": 0.01, "job_seconds": seconds, "verdict": verdict}
        for place, seconds, verdict in zip(at, cost, verdicts, strict=True)
    ]


def record_of(arm, quality, seed=0, plan=PLAN):
    rng = np.random.default_rng([plan.seed, seed, *arm.encode()])
    asked = asked_of(plan)
    top = rng.integers(0, quality.breadth, (plan.questions, 10)).astype(np.int32)
    return Record(
        protocol=plan.protocol,
        arm=arm,
        seed=seed,
        n_items=N_ITEMS,
        asked=asked,
        metrics=_metrics(plan, asked, quality, rng),
        top=top,
        judged=None if quality.tilt is None else _judged(plan, asked, quality, rng),
        nights=_nights(plan, asked, quality, rng),
        seconds={"start": 1.5, "replay": 20.0 * quality.hit, "nights": 0.01 * quality.nights},
    )


ARMS = {
    "popularity": Quality(0.18, cold=0.95, breadth=40),
    "ease": Quality(0.35, nights=8, night_s=0.4, breadth=120),
    "slow": Quality(0.33, tilt=0.5),
    "slow+fast": Quality(0.40, tilt=0.2),
    "ours": Quality(0.44, learns=0.2, tilt=0.0, nights=8),
    "ours-trending": Quality(0.42, learns=0.2, tilt=0.05, nights=8),
}


def records_of(arms=None, seeds=2, plan=PLAN):
    arms = ARMS if arms is None else arms
    return [
        record_of(arm, quality, seed, plan)
        for arm, quality in arms.items()
        for seed in range(seeds if quality.tilt is not None else 1)
    ]


def run_of(**changes):
    told: dict[str, Any] = {
        "protocol": "ml-100k",
        "command": "slowwave evaluate ml-100k --seeds 2",
        "date": "2026-01-31",
        "commit": "0123abc",
        "machine": "2 cores of a processor, 8 GB",
        "seconds": 754.2,
        "seeds": (0, 1),
        "reference": "ease",
        "trials": {"ease": 6, "ours": 12, "popularity": 5},
        "chosen": {"ease": {"regularisation": 300.0}, "ours": {"dimensions": 64, "dropout": 0.3}},
        "words": {"ours": "slow model, fast memory, consolidation"},
    }
    return RunInfo(**(told | changes))
