"""Which old events are learned again beside the new ones, so that nothing fades unasked.

Interleaving old with new is what keeps a network from forgetting (McClelland, McNaughton
and O'Reilly 1995). The draw is uniform over the events, so that popular things stay
popular, with a bound on what any one user or item may take up.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# How many times the mean user's, or item's, number of events one may have in the draw.
MOST_SHARES: Final = 10


def draw(
    users: NDArray[np.integer[Any]],
    items: NDArray[np.integer[Any]],
    n: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Events drawn without replacement, no user and no item more often than its bound.

    The bound is ten times the events that a user, or an item, would have if all had the
    same number.

    Args:
      users: [events] user number of each event.
      items: [events] item number of each event.
      n: How many to draw.
      rng: Decides the draw.

    Returns:
      [at most n] positions, rising; fewer where there are no more within the bounds.
    """
    shuffled = rng.permutation(len(users))
    within = np.ones(len(users), bool)
    for group in (users[shuffled], items[shuffled]):
        bound = math.ceil(MOST_SHARES * n / max(len(np.unique(group)), 1))
        within &= earlier_of_same(group) < bound
    return np.sort(shuffled[within][:n])


def earlier_of_same(group: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """[events] how many events before this one are of the same group."""
    order = np.argsort(group, kind="stable")
    arranged = group[order]
    starts = np.searchsorted(arranged, arranged)
    place = np.empty(len(group), np.intp)
    place[order] = np.arange(len(group)) - starts
    return place
