"""Whether the day looks like days do: a night learns what it is fed, and so do its judges.

Where a feed breaks, the held-out events break with it: a day of one category only makes a
candidate that is good at that category. So the day's successes are held against the past's,
item by item, and the shift against those between past stretches of the same length: where
every day brings new items, such as with news, every day shifts as much.
"""

import itertools
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.consolidation.config import NightConfig
from model.consolidation.gates import MIN_EVENTS, Verdict

Items: TypeAlias = NDArray[np.integer[Any]]

_MOST_STRETCHES: Final = 10
_LEAST_STRETCHES: Final = 3


def familiar(past: Items, day: Items, policy: NightConfig) -> Verdict:
    """Whether the day's items shift no more than they did between past stretches.

    Args:
      past: [successes] item numbers of the past's successes, oldest first.
      day: [successes] item numbers of the new ones.
      policy: How many times the largest past shift it may be.
    """
    n = len(day)
    stretches = [past[len(past) - (k + 1) * n : len(past) - k * n] for k in range(_MOST_STRETCHES)]
    whole = [stretch for stretch in stretches if len(stretch) == n]
    if n < MIN_EVENTS or len(whole) < _LEAST_STRETCHES:
        return Verdict("diet", passed=True, reason="too little of the past to compare the day with")
    size = int(max(past.max(), day.max())) + 1
    usual = max(divergence(a, b, size) for a, b in itertools.pairwise(whole))
    found, limit = divergence(day, whole[0], size), policy.max_shift * usual
    reason = (
        f"what succeeded shifted by {found:.3f} nats from the stretch before (bound {limit:.3f}: "
        f"{policy.max_shift:g} × the largest shift of {len(whole) - 1} before)"
    )
    return Verdict("diet", found <= limit, reason, found, limit)


def divergence(a: Items, b: Items, size: int) -> float:
    """Jensen-Shannon divergence of two lots of items, in nats: 0 for equal ones, at most log 2."""
    p, q = (np.bincount(items, minlength=size) / len(items) for items in (a, b))
    middle = (p + q) / 2.0
    parts = [x[x > 0] * np.log(x[x > 0] / middle[x > 0]) for x in (p, q)]
    return float(sum(part.sum() for part in parts) / 2.0)
