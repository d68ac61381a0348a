"""What a user sees who did nothing since: lists must not jump when a version is replaced.

An event of today is in the memory and in the night's lesson. Behind the new version the
memory is made again, against what that expects; so what the slow model has learned is no
surprise any more and is not said twice. Both versions are asked with the same memory of
the same log, as the service would before and after it swaps.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.recommender import Recommender
from model.request import Query

_LIST_LENGTH: Final = 10


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
