"""What a user sees who did nothing since: lists must not jump when a version is replaced.

An event of today is in the memory and in the night's lesson. Behind the new version the
memory is made again, against what that expects; so what the slow model has learned is no
surprise any more and is not said twice. Both versions are asked with the same memory of
the same log, as the service would before and after it swaps.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.consolidation.config import NightConfig
from model.consolidation.gates import Verdict
from model.fast.mixing import Mixing
from model.recommender import Recommender
from model.request import Query
from model.slow.bundle import Bundle
from model.slow.evaluation import thinned
from model.slow.scorer import SlowScorer
from model.storage.event_log import LogReader
from model.storage.log_up_to import LogUpTo
from model.workspace import Config
from pipelines.learning import LogRead
from pipelines.night_run import Served, mixing_of

_LIST_LENGTH: Final = 10
# Making the memory of a whole log again would cost more than the lesson did.
_SHARED_EVENTS: Final = 20_000


@dataclass(frozen=True)
class Jump:
    """How the lists of users without new events change at a swap, as means over them.

    Attributes:
      churn: Share of the top 10 that is replaced, in [0, 1].
      scores: Change of an item's score against the mean item's, in log-odds.
      users: How many users were asked for.
    """

    churn: float
    scores: float
    users: int

    def as_json(self) -> dict[str, float]:
        """Plain JSON values."""
        return asdict(self)


def jump(
    served: Recommender, candidate: Recommender, users: Sequence[str], now_ms: int
) -> Jump | None:
    """The jump from one version to another for these users; None without users.

    Args:
      served: The version that serves, with its memory.
      candidate: The one that would, with its own.
      users: Ids of users without new events.
      now_ms: When both are asked.
    """
    if not users:
        return None
    ids = [item for item in candidate.catalogue.ids if served.catalogue.number(item)]
    numbers = [[one.catalogue.number(item) for item in ids] for one in (served, candidate)]
    churn, moved = [], []
    for user in users:
        query = Query(user_id=user, n=_LIST_LENGTH, now_ms=now_ms)
        before, after = served.recommend(query).item_ids, candidate.recommend(query).item_ids
        longest = max(len(before), len(after), 1)
        churn.append(1.0 - len(set(before) & set(after)) / longest)
        old, new = (
            _scores(recommender, query)[which]
            for recommender, which in zip((served, candidate), numbers, strict=True)
        )
        moved.append(_moved(old, new))
    return Jump(float(np.mean(churn)), float(np.mean(moved)), len(users))


def _moved(old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """Mean change of the scores against the change of their mean, where both have one."""
    both = np.isfinite(old) & np.isfinite(new)
    change = new[both] - old[both]
    return float(np.abs(change - change.mean()).mean()) if len(change) else 0.0


def _scores(recommender: Recommender, query: Query) -> NDArray[np.float64]:
    """[items] the scores, -inf where an item may not be shown."""
    return np.asarray(recommender.scores([recommender.prepare(query)])[0], np.float64)


@dataclass(frozen=True)
class Swap:
    """A served version and the one that would replace it, on one log.

    Attributes:
      served: The version that serves.
      candidate: The model that would.
      memory: What the candidate's manifest says of the fast memory.
      log: The log.
      read: What the night read of it.
    """

    served: Served
    candidate: Bundle
    memory: dict[str, Any]
    log: LogReader
    read: LogRead

    def jump(self, config: Config) -> Jump | None:
        """The jump for users without new events, as many as the settings say."""
        users = self._quiet(config.night.continuity_users)
        if not users:
            return None
        served = self._recommender(self.served.bundle, self.served.mixing(), config)
        candidate = self._recommender(self.candidate, mixing_of(self.memory), config)
        return jump(served, candidate, users, int(self.read.columns.timestamp_ms.max()))

    def _quiet(self, most: int) -> list[str]:
        """Users without new events, evenly spread."""
        columns = self.read.columns
        new = np.unique(columns.actor.codes[columns.seq > self.served.learned_seq])
        quiet = np.setdiff1d(np.unique(columns.actor.codes[columns.signed_in]), new)
        return [columns.actor.terms[code] for code in thinned(quiet, most).tolist()]

    def _recommender(self, bundle: Bundle, mixing: Mixing, config: Config) -> Recommender:
        # shared memories begin with the newest events; people keep their histories
        end = self.read.through_seq
        shown = LogUpTo(self.log, end, events_after=end - _SHARED_EVENTS)
        return Recommender(SlowScorer(bundle), "", shown, config.events, config.memory, mixing)


def continuous(found: Jump | None, policy: NightConfig) -> Verdict:
    """Whether the lists of users without new events stay what they were, by and large."""
    if found is None:
        return Verdict("continuity", passed=True, reason="no user without new events was asked for")
    reason = (
        f"{found.churn:.0%} of the top 10 of {found.users:,} users without new events would be "
        f"replaced at the swap; scores move by {found.scores:.2f} in the mean"
    )
    return Verdict(
        "continuity", found.churn <= policy.max_jump, reason, found.churn, policy.max_jump
    )
