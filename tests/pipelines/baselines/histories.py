"""Small streams for the baselines."""

import numpy as np

from pipelines.evaluation.arm import Arm, Question, Setting
from pipelines.evaluation.stream import Events

REFERRERS, DEVICES = 3, 2


def setting(n_items: int, *, n_actors: int = 100, repeats: bool = False, seed: int = 3) -> Setting:
    return Setting(n_actors, n_items, [str(i) for i in range(n_items)], {}, repeats, seed)


def events(
    rows: list[tuple[int, int]], *, seconds: list[float] | None = None, outcome: int = 1
) -> Events:
    """Rows of (actor, item), one second apart unless told otherwise."""
    times = np.arange(len(rows)) if seconds is None else np.array(seconds)
    return Events(
        actor=np.array([actor for actor, _ in rows], np.int32),
        item=np.array([item for _, item in rows], np.int32),
        kind=np.zeros(len(rows), np.int8),
        value=np.full(len(rows), np.nan, np.float32),
        timestamp_ms=(times * 1000).astype(np.int64),
        outcome=np.full(len(rows), outcome, np.int8),
    )


def drawn(n: int, n_items: int, *, n_actors: int = 30, seed: int = 1) -> Events:
    """Events by lot: some items are liked more than others, one in four is no success."""
    rng = np.random.default_rng(seed)
    item = np.minimum(rng.geometric(0.15, n) - 1, n_items - 1)
    return Events(
        actor=rng.integers(0, n_actors, n).astype(np.int32),
        item=item.astype(np.int32),
        kind=np.zeros(n, np.int8),
        value=np.full(n, np.nan, np.float32),
        timestamp_ms=np.cumsum(rng.integers(0, 60_000, n)),
        outcome=rng.choice([1, 1, 0, -1], n).astype(np.int8),
        context={
            "referrer": rng.integers(0, REFERRERS, n).astype(np.int16),
            "device": rng.integers(0, DEVICES, n).astype(np.int16),
        },
    )


def question(actor: int, moment_s: float = 1e6, referrer: int = 0, device: int = 0) -> Question:
    return Question(actor, int(moment_s * 1000), {"referrer": referrer, "device": device})


def scores(arm: Arm, *actors: int) -> np.ndarray:
    return arm.answer([arm.ask(question(actor)) for actor in actors])
