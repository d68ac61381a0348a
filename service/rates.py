"""How many requests one caller may send."""

from collections import OrderedDict
from typing import Final

_MOST_CALLERS: Final = 10_000


class Rates:
    """A bucket of requests per caller that fills evenly; an empty one refuses.

    A bucket holds one second's worth, at least one request. Each serving process counts
    for itself.
    """

    def __init__(self, per_s: float) -> None:
        """Buckets that fill at this rate; 0 for no limit."""
        self._per_s = per_s
        self._size = max(per_s, 1.0)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, caller: str, now_s: float) -> float:
        """Takes one request out of a caller's bucket; seconds to wait where there is none.

        Args:
          caller: Whose bucket.
          now_s: The present, on a clock that is never set back.
        """
        if not self._per_s:
            return 0.0
        left, at = self._buckets.pop(caller, (self._size, now_s))
        left = min(self._size, left + (now_s - at) * self._per_s)
        allowed = left >= 1.0
        self._buckets[caller] = (left - 1.0 if allowed else left, now_s)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._per_s
