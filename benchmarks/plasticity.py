"""`python -m benchmarks.plasticity RUN`: how soon models learn a world that has changed.

RUN is the folder of `slowwave evaluate world --arms ours,slow+finetune`. In the changed world
every item has another's place and appeal, and its users are new. The model of the first night,
the ones that the product's nights and plain fine-tuning have come to, and a fresh one that has
learned nothing learn it with the same steps from the same events; after each thousand they are
asked about others.
"""

import dataclasses
import json
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np

from model.consolidation.config import NightConfig
from model.consolidation.continuation import Cut, open_night, teach
from model.interactions import Event
from model.slow.bundle import Bundle, load_bundle, make_bundle
from model.slow.crosses import CrossTable
from model.slow.evaluation import evaluate
from model.slow.examples import Examples
from model.slow.parameters import initial_parameters
from model.storage.event_log import open_log
from model.workspace import Config
from pipelines.evaluation.chain import Chain
from pipelines.learning import LogRead, read_log
from pipelines.simulate import DAY_MS, START_MS, Size, simulate, visit

LESSONS: Final = 12
VISITS_A_LESSON: Final = 170
ASKED_VISITS: Final = 600
USERS: Final = 300
# every step is about the changed world
NIGHT: Final = dataclasses.replace(NightConfig().plain(), replay_ratio=0.0, twins=0)


def changed_events(rng: np.random.Generator, visits: int) -> list[list[Event]]:
    """The events of so many visits to the changed world, visit by visit."""
    size = Size()
    world, _ = simulate(size, 0)
    others = rng.permutation(size.items)
    world = dataclasses.replace(world, place=world.place[others], appeal=world.appeal[others])
    free = np.ones((USERS, size.items), np.bool_)
    found, now_ms = [], START_MS + 60 * DAY_MS
    for number in range(visits):
        user, now_ms = int(rng.integers(USERS)), now_ms + 60_000
        shown, clicked = visit(world, user, now_ms, (np.flatnonzero(free[user]), rng))
        free[user, shown] = False
        found.append(
            [
                Event(
                    f"changed-{number}-{place}", kind, now_ms + place, f"changed-{user}", f"i{item}"
                )
                for place, (item, kind) in enumerate(
                    zip(shown.tolist(), np.where(clicked, "click", "skip").tolist(), strict=True)
                )
            ]
        )
    return found


def fresh(like: Bundle, read: LogRead, config: Config) -> Bundle:
    """A model with the shapes of another that has learned nothing."""
    space = like.space
    rows = len(like.parameters["wide_indptr"])
    table = CrossTable(np.zeros(rows, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    parameters = initial_parameters(
        space,
        lambda item: read.metadata.items.get(item, {}),
        np.zeros(space.items.size),
        table,
        config.slow,
        np.random.default_rng(0),
    )
    return make_bundle(space, parameters, None)


def asked(bundle: Bundle, read: LogRead, from_seq: int) -> tuple[float, float]:
    """Surprise in nats and NDCG@10 of the last events."""
    examples = Examples(read.columns, bundle.space, read.metadata)
    found = evaluate(bundle, examples, np.flatnonzero(read.columns.seq > from_seq))
    return float(found.surprises.mean()), float(found.ndcg.mean())


def learn(bundle: Bundle, read: LogRead, ends: list[int], config: Config) -> list[dict[str, float]]:
    """What the model is worth before the first lesson and after each."""
    told, columns = [], read.columns
    for number, (start, end) in enumerate(zip([ends[0], *ends[:-1]], ends, strict=True)):
        if number:
            known = columns.take(np.flatnonzero(columns.seq <= end))
            night = open_night(bundle, known, read.metadata, Cut(start, end + 1))
            bundle = teach(night, config.slow, NIGHT, seed=number).bundle
        surprise, ndcg = asked(bundle, read, ends[-1])
        told.append(
            {"events": end - ends[0], "surprise": round(surprise, 4), "ndcg@10": round(ndcg, 4)}
        )
    return told


def events_until(surprises: list[float], events: list[int], goal: float) -> int | None:
    """Events until the surprise is as low as the goal; None where it never is."""
    reached = [at for at, surprise in zip(events, surprises, strict=True) if surprise <= goal]
    return reached[0] if reached else None


def main(run: Path) -> None:
    """Prints a line of JSON for each model."""
    chains = {
        kind: Chain(next((run / "chains").glob(f"world-{kind}-0-*")))
        for kind in ("none", "consolidate", "finetune")
    }
    config, rng = Config(), np.random.default_rng(0)
    visits = changed_events(rng, LESSONS * VISITS_A_LESSON + ASKED_VISITS)
    with tempfile.TemporaryDirectory() as folder:
        path = shutil.copy(next((run / "streams").glob("world-*.db")), folder)
        with closing(open_log(Path(path))) as log:
            ends = [log.head()]
            for number in range(LESSONS):
                lesson = visits[number * VISITS_A_LESSON : (number + 1) * VISITS_A_LESSON]
                log.append([event for one in lesson for event in one], 0)
                ends.append(log.head())
            rest = visits[LESSONS * VISITS_A_LESSON :]
            log.append([event for one in rest for event in one], 0)
            read = read_log(log, config, None)
    models = {
        name: load_bundle(chain.registry.open(chain.version(night % len(chain.steps))))
        for name, chain, night in (
            ("first", chains["none"], 0),
            ("consolidated", chains["consolidate"], -1),
            ("fine-tuned", chains["finetune"], -1),
        )
    }
    models["fresh"] = fresh(models["consolidated"], read, config)
    told = {name: learn(bundle, read, ends, config) for name, bundle in models.items()}
    goal = told["fresh"][-1]["surprise"]
    for name, curve in told.items():
        surprises, events = [c["surprise"] for c in curve], [int(c["events"]) for c in curve]
        line = {"model": name, "events_until_fresh": events_until(surprises, events, goal)}
        sys.stdout.write(json.dumps(line | {"curve": curve}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
