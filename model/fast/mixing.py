"""How much each part of the fast memory says: the few numbers that past days teach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

import numpy as np

from model.errors import CorruptBundleError
from model.fast.crosses import CROSS_HALF_LIVES_S
from model.fast.factors import Factors
from model.fast.trending import HALF_LIVES_S

PLACES: Final = ((0, 1), (1, 5), (5, 10))
"""The user's last success, the four before it, and the five before those."""

SHARES: Final = slice(1, 1 + len(HALF_LIVES_S))
"""Where the shares at the half-lives stand among the parts that factors are learned for."""


@dataclass(frozen=True)
class Mixing:
    """Factors on log-odds.

    Attributes:
      slow: On both halves of the slow model: how far it is to be trusted on days it has not
        seen.
      bias: On the slow model's popularity.
      trending: One for each half-life of the row `everyone`.
      liked: For each of `PLACES`, one for each half-life of fast crosses: how much
        successes that long ago say by what others did around them, as residuals.
      nearby: For each of `PLACES`, the same by the lifts of crosses: a chance, as far as
        `liked` and the slow model leave one.
      again: For each of `PLACES`, the chance of a return to a success of that long ago.
      slow_nearby: On the chances by which the slow model mixes in what was chosen nearby:
        what crosses of late say as well is not said twice.
      context: By attribute of the moment, one for each half-life of fast crosses.
      other_context: The same for an attribute that is not among them.
      fast: On the users' fast weights.
      lessons: On lessons about segments.
      own_outcomes: On the shift of a user's chances by the user's own outcomes.
      lesson_outcomes: On the shift of chances by lessons.
    """

    slow: float = 1.0
    bias: float = 1.0
    trending: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
    liked: tuple[tuple[float, ...], ...] = ((0.6, 0.5), (0.4, 0.25), (0.1, 0.2))
    nearby: tuple[float, ...] = (0.02, 0.02, 0.02)
    again: tuple[float, ...] = (0.001, 0.001, 0.001)
    slow_nearby: float = 1.0
    context: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    other_context: tuple[float, ...] = (0.3, 0.2)
    fast: float = 1.0
    lessons: float = 0.5
    own_outcomes: float = 1.0
    lesson_outcomes: float = 1.0

    def alone(self, trust: float) -> "Mixing":
        """For a slow model without the memory beside it.

        How far it is to be trusted was learned for what stands beside the memory.

        Args:
          trust: As far as it is to be trusted by itself.
        """
        return replace(self, slow=trust, bias=trust, slow_nearby=1.0)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values from which `from_json` makes an equal one."""
        return {
            "slow": self.slow,
            "bias": self.bias,
            "trending": list(self.trending),
            "liked": [list(row) for row in self.liked],
            "nearby": list(self.nearby),
            "again": list(self.again),
            "slow_nearby": self.slow_nearby,
            "context": {name: list(row) for name, row in self.context.items()},
            "other_context": list(self.other_context),
            "fast": self.fast,
            "lessons": self.lessons,
            "own_outcomes": self.own_outcomes,
            "lesson_outcomes": self.lesson_outcomes,
        }

    def as_factors(self, fields: Sequence[str]) -> Factors:
        """The factors as they are learned.

        Parts come in this order: the slow model, the shares at each half-life, the slow
        model's popularity, residuals of crosses by place and by attribute, the users' fast
        weights, lessons. The shares of the row `everyone` have factors of their own, none below
        0; what the residual of a half-life says is what all the shares at it and below say
        together. Lifts: `nearby`, `again`, then those of the slow model.

        Args:
          fields: Attributes of the moment.
        """
        steps = np.diff((0.0, *self.trending, self.bias))
        context = [self.context.get(name, self.other_context) for name in fields]
        liked = chain(*self.liked)
        parts = [self.slow, *steps, *liked, *chain(*context), self.fast, self.lessons]
        chances = [*self.nearby, *self.again, self.slow_nearby]
        return Factors(np.array(parts, np.float64), np.array(chances, np.float64))

    @classmethod
    def from_factors(cls, factors: Factors, fields: Sequence[str]) -> "Mixing":
        """What `as_factors` gave these; factors of outcomes are not among them."""
        n_levels, n_decays = len(HALF_LIVES_S), len(CROSS_HALF_LIVES_S)
        parts, chances = factors.of_parts, factors.of_lifts.tolist()
        slow, steps, rest = parts[0], parts[1 : n_levels + 2], parts[n_levels + 2 : -2]
        totals = np.cumsum(steps).tolist()
        rows = [tuple(row) for row in rest.reshape(-1, n_decays).tolist()]
        return cls(
            slow=float(slow),
            bias=totals[-1],
            trending=tuple(totals[:-1]),
            liked=tuple(rows[: len(PLACES)]),
            nearby=tuple(chances[: len(PLACES)]),
            again=tuple(chances[len(PLACES) : -1]),
            slow_nearby=chances[-1],
            context=dict(zip(fields, rows[len(PLACES) :], strict=True)),
            fast=float(parts[-2]),
            lessons=float(parts[-1]),
        )

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
                nearby=_numbers(stored["nearby"], len(PLACES)),
                again=_numbers(stored["again"], len(PLACES)),
                slow_nearby=float(stored["slow_nearby"]),
                context={
                    str(name): _numbers(row, len(CROSS_HALF_LIVES_S))
                    for name, row in stored["context"].items()
                },
                other_context=_numbers(stored["other_context"], len(CROSS_HALF_LIVES_S)),
                fast=float(stored["fast"]),
                lessons=float(stored["lessons"]),
                own_outcomes=float(stored["own_outcomes"]),
                lesson_outcomes=float(stored["lesson_outcomes"]),
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
