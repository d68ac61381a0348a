"""Which of the new events a night learns: within caps, the surprising and the repeated first.

Chosen by surprise alone, a night would learn the successes: where they are rare, each of
them surprises more than any failure. So events compete within their own outcome, whose
shares stay what they were, and the probabilities learned from them keep their level.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.consolidation.config import NightConfig
from model.consolidation.replay import earlier_of_same
from model.slow.bundle import Bundle
from model.slow.evaluation import evaluate
from model.slow.examples import Examples
from model.slow.vocabulary import UNKNOWN

# Below this many events a cap would cut into what one person does in an evening.
LEAST_CAP: Final = 50
_MOST_CELLS: Final = 2_000_000_000

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Candidates:
    """New events that a night may learn.

    Attributes:
      users: [events] user numbers.
      items: [events] item numbers.
      success: [events] whether each is a success.
      surprise: [events] the served model's surprise at each before it happened, in nats.
    """

    users: NDArray[np.integer[Any]]
    items: NDArray[np.integer[Any]]
    success: NDArray[np.bool_]
    surprise: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of events."""
        return len(self.users)

    def take(self, which: Positions) -> "Candidates":
        """The events at these positions."""
        return Candidates(
            self.users[which], self.items[which], self.success[which], self.surprise[which]
        )


@dataclass(frozen=True)
class Selection:
    """What a night takes of the new events.

    Attributes:
      within: Positions within the caps, rising: they count for popularity and crosses.
      taken: Positions to learn, rising; all of them are within the caps.
      counts: How many were taken and left, by reason.
    """

    within: Positions
    taken: Positions
    counts: Mapping[str, int]


def budget(n_new: int, config: NightConfig) -> int:
    """How many of so many new events a night learns."""
    return min(math.ceil(config.select_share * n_new), config.max_events)


def within_caps(
    users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]], config: NightConfig
) -> tuple[Positions, dict[str, int]]:
    """The newest events of each user and item, so many at most; and how many are over.

    Args:
      users: [events] user numbers, oldest event first.
      items: [events] item numbers.
      config: `user_shares` of the median user's, which a few accounts that flood the log
        do not move; `item_shares` of the mean item's, for news are few and many read them;
        50 events are always allowed.

    Returns:
      Rising positions, and `over_user_cap` and `over_item_cap`.
    """
    kept = np.arange(len(users))
    over: dict[str, int] = {}
    caps = (
        ("user", users, config.user_shares, np.median),
        ("item", items, config.item_shares, np.mean),
    )
    for name, group, shares, usual in caps:
        mine = group[kept][::-1]
        each = np.unique(mine, return_counts=True)[1]
        bound = max(LEAST_CAP, math.ceil(shares * float(usual(each)))) if len(mine) else 0
        allowed = (earlier_of_same(mine) < bound)[::-1]
        over[f"over_{name}_cap"] = int((~allowed).sum())
        kept = kept[allowed]
    return kept, over


def select(
    events: Candidates, n: int, config: NightConfig, rng: np.random.Generator
) -> tuple[Positions, dict[str, int]]:
    """Chooses `n` events of those within the caps.

    Half of each outcome's places go to what surprised most, a quarter to what was repeated
    most (users who met the item today), and the rest is drawn by lot, so that nothing that
    happens is unseen.

    Returns:
      Rising positions, and how many were taken as `surprising`, `repeated` and `by_lot`.
    """
    if n >= len(events):
        return np.arange(len(events)), {"all": len(events)}
    if config.selection == "lot":
        return np.sort(rng.permutation(len(events))[:n]), {"by_lot": n}
    repeated = _repetition(events.users, events.items)
    n_success = round(n * float(events.success.mean()))
    chosen: list[Positions] = []
    why = {"surprising": 0, "repeated": 0, "by_lot": 0}
    for members, places in (
        (np.flatnonzero(events.success), n_success),
        (np.flatnonzero(~events.success), n - n_success),
    ):
        lot = rng.random(len(members))
        free = np.ones(len(members), bool)
        quotas = {"surprising": places // 2, "repeated": places // 4}
        quotas["by_lot"] = places - sum(quotas.values())
        ranks = {
            "surprising": events.surprise[members],
            "repeated": repeated[members],
            "by_lot": lot,
        }
        for reason, quota in quotas.items():
            best = np.lexsort((lot, ranks[reason], free))[::-1][:quota]
            best = best[free[best]]
            free[best] = False
            chosen.append(members[best])
            why[reason] += len(best)
    return np.sort(np.concatenate(chosen)), why


def surprises(
    served: Bundle, examples: Examples, which: Positions, rng: np.random.Generator
) -> NDArray[np.float64]:
    """[events] the served model's surprise at each event, in nats, before it happened.

    At a success: negative log-probability of the item in the whole catalogue. At anything
    else: the outcome's log-loss. The two are never compared. Where the catalogue is so
    large that scoring every event would cost more than learning it, some events drawn by
    lot are not scored and have no surprise, -inf.
    """
    found = np.full(len(which), -np.inf)
    most = max(_MOST_CELLS // served.space.items.size, 1)
    scored = np.arange(len(which))
    if len(which) > most:
        scored = np.sort(rng.choice(len(which), most, replace=False))
    success = examples.success[which[scored]]
    seen = evaluate(served, examples, which[scored])
    found[scored[~success]] = np.logaddexp(0.0, seen.logits)[~success]
    known = examples.item[which[scored[success]]] != UNKNOWN
    found[scored[success][known]] = seen.surprises
    return found


def _repetition(
    users: NDArray[np.integer[Any]], items: NDArray[np.integer[Any]]
) -> NDArray[np.intp]:
    """[events] how many different users met the event's item."""
    pairs = np.unique(np.stack([items, users]), axis=1)[0]
    different, counts = np.unique(pairs, return_counts=True)
    return np.asarray(counts[np.searchsorted(different, items)], np.intp)
