"""How much each part of the fast memory says: the few numbers that past days teach."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from model.errors import CorruptBundleError
from model.fast.crosses import CROSS_HALF_LIVES_S
from model.fast.trending import HALF_LIVES_S

PLACES: Final = ((0, 1), (1, 5), (5, 10))
"""The user's last success, the four before it, and the five before those."""

RECENT: Final = PLACES[-1][1]


@dataclass(frozen=True)
class Mixing:
    """Factors on log-odds.

    Attributes:
      slow: On both halves of the slow model: how far it is to be trusted on days it has not
        seen.
      bias: On the slow model's popularity.
      trending: One for each half-life of the row `everyone`.
      liked: For each of `PLACES`, one for each half-life of fast crosses: how much
        successes that long ago say by what others did after them.
      context: By attribute of the moment, one for each half-life of fast crosses.
      other_context: The same for an attribute that is not among them.
      fast: On the users' fast weights.
      lessons: On lessons about segments.
    """

    slow: float = 1.0
    bias: float = 1.0
    trending: tuple[float, ...] = (0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    liked: tuple[tuple[float, ...], ...] = ((0.6, 0.5), (0.4, 0.25), (0.1, 0.2))
    context: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    other_context: tuple[float, ...] = (0.3, 0.2)
    fast: float = 1.0
    lessons: float = 0.5

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values from which `from_json` makes an equal one."""
        return {
            "slow": self.slow,
            "bias": self.bias,
            "trending": list(self.trending),
            "liked": [list(row) for row in self.liked],
            "context": {name: list(row) for name, row in self.context.items()},
            "other_context": list(self.other_context),
            "fast": self.fast,
            "lessons": self.lessons,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Mixing":
        """What `as_json` described.

        Raises:
          CorruptBundleError: If a part is missing or malformed.
        """
        try:
            mixing = cls(
                slow=float(stored["slow"]),
                bias=float(stored["bias"]),
                trending=_numbers(stored["trending"], len(HALF_LIVES_S)),
                liked=tuple(_numbers(row, len(CROSS_HALF_LIVES_S)) for row in stored["liked"]),
                context={
                    str(name): _numbers(row, len(CROSS_HALF_LIVES_S))
                    for name, row in stored["context"].items()
                },
                other_context=_numbers(stored["other_context"], len(CROSS_HALF_LIVES_S)),
                fast=float(stored["fast"]),
                lessons=float(stored["lessons"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptBundleError(f"the memory's factors cannot be read: {error!r}") from error
        if len(mixing.liked) != len(PLACES):
            raise CorruptBundleError(
                f"the memory's factors need {len(PLACES)} places, got {len(mixing.liked)}"
            )
        return mixing


def _numbers(values: Any, length: int) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != length:
        raise ValueError(f"expected {length} numbers, got {len(numbers)}")
    return numbers
