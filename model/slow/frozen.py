"""Events that no model is taught, first or later, to judge every model's memory on.

A model does better on what it was trained on than on what it could have known, so a served
model always seems to have known its own training events better than its candidate does.
Forgetting is therefore measured on old events that neither has learned. They stand in the
histories like any other; they are only never a target.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

LARGEST_SHARE: Final = 0.03
MOST_EVENTS: Final = 4_000

# 64-bit finaliser of SplitMix64 (Steele, Lea and Flood 2014): near sequence numbers end far apart
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


def frozen(seq: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[events] which events nothing is ever taught.

    They are three in a hundred, and about 4,000 at most: the share falls as the log grows,
    whose length is the highest position. What is frozen of a log is among what was frozen
    when the log was shorter, so that an event may come to be taught, and a taught one is
    never frozen.

    Args:
      seq: [events] log positions, the last one of the log among them.
    """
    z = seq.astype(np.uint64) + _ODD
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    drawn = (z ^ (z >> np.uint64(31))) >> np.uint64(11)
    length = int(seq.max(initial=1))
    share = min(LARGEST_SHARE, MOST_EVENTS / length)
    return np.asarray(drawn < np.uint64(share * 2.0**53))
