"""How soon the lists follow a user whose taste turns round, in a world whose truth is known.

The protocol `world` turns 5 % of its users, too few questions to tell. Here many users are
turned at one moment, each after the other; their events come in one by one, and after each
the list of ten is held against the truth, with the fast memory and without it.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.interactions import Event
from model.recommender import Recommender
from model.request import Query
from model.storage.event_log import EventLog, open_log
from model.storage.registry import Registry
from model.workspace import Workspace, load_config
from pipelines.console import Console
from pipelines.evaluation.arms import MEMORY_OFF
from pipelines.evaluation.protocols import world as protocol
from pipelines.evaluation.trial import train_on
from pipelines.simulate import (
    DAY_MS,
    LIST_LENGTH,
    REVERSAL_DAY,
    START_MS,
    Size,
    World,
    simulate,
    visit,
)

FloatArray: TypeAlias = NDArray[np.float64]
Told: TypeAlias = Literal["clicks", "everything shown"]
"""Which events come in after the turn: clicks alone, or what was shown and skipped too."""

K: Final = 10
LEAST_HISTORY: Final = 30
GAP_MS: Final = 10_000
RESAMPLES: Final = 2_000
TARGET: Final = 5


@dataclasses.dataclass(frozen=True)
class Turn:
    """Regret of the lists of users whose taste is turned round.

    Attributes:
      before: [users] by their taste before the turn.
      after: [users, events + 1] by their taste after it, after each of their events.
    """

    before: FloatArray
    after: FloatArray

    def as_json(self, rng: np.random.Generator) -> dict[str, Any]:
        """Means over users, events until half of what was lost is back, and its share by then.

        Args:
          rng: Draws users for the 95 % interval of the share.
        """
        drawn = rng.integers(len(self.before), size=(RESAMPLES, len(self.before)))
        shares = [share_back(self.before[d].mean(), self.after[d].mean(axis=0)) for d in drawn]
        at = min(TARGET, self.after.shape[1] - 1)
        low, high = np.quantile([share[at] for share in shares], (0.025, 0.975)).tolist()
        before, after = float(self.before.mean()), self.after.mean(axis=0)
        return {
            "users": len(self.before),
            "before": round(before, 4),
            "after": [round(float(value), 4) for value in after],
            "events_until_half": events_until_half(before, after),
            f"share_back_after_{at}": {
                "mean": round(float(share_back(before, after)[at]), 3),
                "low": round(low, 3),
                "high": round(high, 3),
            },
        }


def share_back(before: float, after: Sequence[float] | FloatArray) -> FloatArray:
    """[events + 1] share of the quality that the turn cost that is back after each event.

    Args:
      before: Regret before the turn.
      after: [events + 1] regret after it, the first one before any event.
    """
    regret = np.asarray(after, np.float64)
    lost = regret[0] - before
    return (regret[0] - regret) / lost if lost > 0 else np.full(len(regret), np.nan)


def events_until_half(before: float, after: Sequence[float] | FloatArray) -> int | None:
    """Events until half of the lost quality is back; None where it never is, or none was lost."""
    back = np.flatnonzero(share_back(before, after) >= 0.5)
    return int(back[0]) if len(back) else None


class _Lab(NamedTuple):
    """A world, and recommenders on one log of it."""

    world: World
    log: EventLog
    arms: Mapping[str, Recommender]

    def regret(self, arm: str, user: int, now_ms: int, world: World) -> float:
        """How much less than the best ten the user's list is worth in this world's truth."""
        recommender = self.arms[arm]
        listed = recommender.recommend(Query(user_id=f"u{user}", now_ms=now_ms, n=K)).item_ids
        ids = recommender.catalogue.ids[1:]
        known = np.array([int(item[1:]) for item in ids])
        seen = {
            int((row.item_id or "i0")[1:])
            for row in self.log.actor_rows(f"u{user}", self.log.head())
        }
        worth = world.truth(user, now_ms)
        best = np.sort(worth[[item for item in known.tolist() if item not in seen]])[-K:]
        return float(best.mean() - worth[[int(item[1:]) for item in listed]].sum() / len(best))


class Plan(NamedTuple):
    """What is followed.

    Attributes:
      users: How many are turned, of those with a history; all where there are fewer.
      events: How many of each come in after the turn.
      told: Which events come in.
    """

    users: int
    events: int
    told: Told


def until_the_turn(home: Path, size: Size, *, seed: int, console: Console) -> Workspace:
    """A new workspace with a world's events up to the turn, and a model trained on them."""
    stream = protocol.stream_of(size, seed=seed)
    stop = int(np.searchsorted(stream.events.timestamp_ms, _TURN_MS))
    return train_on(stream, stop, home, seed=seed, console=console)


_TURN_MS: Final = START_MS + REVERSAL_DAY * DAY_MS


def reversal(
    workspace: Workspace, size: Size, plan: Plan, *, seed: int, console: Console
) -> dict[str, Turn]:
    """Turns users round and follows them, with the fast memory and without it.

    Args:
      workspace: As `until_the_turn` makes it with this size and seed; its log is added to.
      size: Of the world.
      plan: What is followed.
      seed: Of the world and of the draws.
      console: Where to report.

    Returns:
      By `on`, `own` (what the user did counts, what others did does not) and `off`.
    """
    world, visits = simulate(size, seed)
    known = visits.user[visits.arrived_ms < _TURN_MS]
    counts = LIST_LENGTH * np.bincount(known, minlength=size.users)
    rng = np.random.default_rng([seed, REVERSAL_DAY])
    # those whom the world turns itself are turned already at that moment
    eligible = rng.permutation(np.flatnonzero((counts >= LEAST_HISTORY) & ~world.turned))
    turned = eligible[: plan.users].tolist()
    with closing(open_log(workspace.log_path)) as log:
        lab = _Lab(world, log, _recommenders(workspace, log))
        found: dict[str, list[tuple[float, list[float]]]] = {arm: [] for arm in lab.arms}
        now_ms = _TURN_MS
        with console.progress("Turning users round", len(turned)) as bar:
            for user in turned:
                for arm, one in _followed(lab, user, now_ms, plan, rng).items():
                    found[arm].append(one)
                now_ms += (plan.events + 1) * GAP_MS
                bar.advance(1)
    return {
        arm: Turn(np.array([b for b, _ in own]), np.array([a for _, a in own]))
        for arm, own in found.items()
    }


def _recommenders(workspace: Workspace, log: EventLog) -> dict[str, Recommender]:
    registry, config = Registry(workspace.models), load_config(workspace.config_path)
    version = str(registry.current())
    folder, manifest = registry.open(version), registry.manifest(version)
    changes: dict[str, Mapping[str, Any]] = {
        "on": {},
        "own": {"trending_weight": 0.0, "cross_weight": 0.0},
        "off": MEMORY_OFF,
    }
    return {
        name: Recommender.open(
            folder, manifest, log, config.events, dataclasses.replace(config.memory, **changed)
        )
        for name, changed in changes.items()
    }


def _followed(
    lab: _Lab, user: int, now_ms: int, plan: Plan, rng: np.random.Generator
) -> dict[str, tuple[float, list[float]]]:
    """By arm: a user's regret before the turn, and after it and each event."""
    turned = dataclasses.replace(lab.world, taste=-lab.world.taste)
    before = {arm: lab.regret(arm, user, now_ms, lab.world) for arm in lab.arms}
    after = {arm: [lab.regret(arm, user, now_ms, turned)] for arm in lab.arms}
    coming = _coming(lab, turned, user, now_ms, rng)
    if plan.told == "clicks":
        coming = (one for one in coming if one[1])
    for number, (item, clicked) in enumerate(itertools.islice(coming, plan.events), 1):
        at_ms = now_ms + number * GAP_MS
        kind = protocol.KINDS[0] if clicked else protocol.KINDS[1]
        event = Event(f"turned-{user}-{number}", kind, at_ms, f"u{user}", f"i{item}")
        lab.log.append([event], at_ms)
        for arm, own in after.items():
            own.append(lab.regret(arm, user, at_ms, turned))
    return {arm: (before[arm], after[arm]) for arm in lab.arms}


def _coming(
    lab: _Lab, turned: World, user: int, now_ms: int, rng: np.random.Generator
) -> Iterator[tuple[int, bool]]:
    """Items and whether they are clicked, visit after visit, as the world's own policy shows."""
    rows = lab.log.actor_rows(f"u{user}", lab.log.head())
    free = turned.out_ms <= now_ms
    free[[int((row.item_id or "i0")[1:]) for row in rows]] = False
    while np.count_nonzero(free) >= LIST_LENGTH:
        shown, clicked = visit(turned, user, now_ms, (np.flatnonzero(free), rng))
        free[shown] = False
        yield from zip(shown.tolist(), clicked.tolist(), strict=True)
