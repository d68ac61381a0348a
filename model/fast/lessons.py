"""Lessons: what fails, or works, with whom beyond what the slow model expects.

A failure is no fact about an item but a count in a slot: a segment of users and an
attribute of items. Only what a slot says beyond chance applies, it fades, and it ends
when too little of it is left (Xia et al. 2026 on failures; one Newton step of a MAP).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.fast.cells import CellTable, cell_key

HALF_LIFE_S: Final = 1_209_600.0
_PSEUDO_INFORMATION: Final = 5.0
_LEAST_INFORMATION: Final = 1.0
_LEAST_SCORE_TEST: Final = 2.0


class Judged(NamedTuple):
    """An outcome as far as lessons are concerned.

    Attributes:
      timestamp_ms: When.
      segments: Joint numbers of the user's attributes.
      attributes: Joint numbers of the item's attributes.
      label: 1 for a success, else 0.
      chances: The slow model's chance of success for each of the segments.
    """

    timestamp_ms: int
    segments: Sequence[int]
    attributes: Sequence[int]
    label: float
    chances: Sequence[float]


@dataclass(frozen=True)
class Lesson:
    """What was learned about one slot.

    Attributes:
      segment: Joint number of a user attribute: to whom it applies.
      attribute: Joint number of an item attribute: to what.
      shift: δ = Σ(y - p) / (Σp(1 - p) + λ), in log-odds.
      support: Σp(1 - p): how much is known.
      score_test: T = Σ(y - p) / √Σp(1 - p), about N(0, 1) without anything to learn.
    """

    segment: int
    attribute: int
    shift: float
    support: float
    score_test: float


class Shifts(NamedTuple):
    """The slots that apply, side by side; what they say is told in `Lesson`.

    Attributes:
      segment: [slots] place among the segments that were asked for.
      attribute: [slots]
      shift: [slots]
      support: [slots]
      score_test: [slots]
    """

    segment: NDArray[np.int64]
    attribute: NDArray[np.int64]
    shift: NDArray[np.float64]
    support: NDArray[np.float64]
    score_test: NDArray[np.float64]


class Lessons:
    """Counted residuals of outcomes by (segment, attribute).

    Attributes:
      slots: Σ(y - p) and Σp(1 - p) by slot, fading.
      revision: Rises with every outcome.
    """

    def __init__(self) -> None:
        self.slots = CellTable((HALF_LIFE_S, HALF_LIFE_S), signed=True)
        self.revision = 0

    def __len__(self) -> int:
        """Slots that anything was counted in."""
        return len(self.slots)

    @property
    def n_bytes(self) -> int:
        """Bytes that they take."""
        return self.slots.n_bytes

    def add(self, judged: Sequence[tuple[Judged, int]]) -> None:
        """Counts outcomes as often as is said with them: 1, or -1 to take one back."""
        if not judged:
            return
        self.revision += 1
        keys: list[int] = []
        residuals: list[float] = []
        supports: list[float] = []
        for (_, segments, attributes, label, chances), sign in judged:
            # every segment meets every attribute
            for segment, chance in zip(segments, chances, strict=True):
                keys += [cell_key(segment, attribute + 1) for attribute in attributes]
                residuals += [sign * (label - chance)] * len(attributes)
                supports += [sign * chance * (1.0 - chance)] * len(attributes)
        lengths = [len(one.segments) * len(one.attributes) for one, _ in judged]
        times = np.array([one.timestamp_ms for one, _ in judged], np.int64)
        of = np.arange(len(judged)).repeat(lengths)
        self.slots.add(keys, times, np.array([residuals, supports]), of)

    def settle(self) -> None:
        """To be called at fixed places of the log."""
        self.slots.settle()

    def shifts(self, segments: Sequence[int], now_ms: int) -> Shifts:
        """What applies to users of these segments now."""
        slot, column, (residual, support), _ = self.slots.rows(segments, now_ms)
        test = residual / np.sqrt(np.maximum(support, 1e-12))
        applies = (support >= _LEAST_INFORMATION) & (np.abs(test) >= _LEAST_SCORE_TEST)
        at = np.flatnonzero(applies)
        support = support[at]
        shift = residual[at] / (support + _PSEUDO_INFORMATION)
        return Shifts(slot[at], column[at] - 1, shift, support, test[at])

    def of(self, segments: Sequence[int], now_ms: int) -> list[Lesson]:
        """The same as lessons."""
        if not segments or not len(self):
            return []
        found = self.shifts(segments, now_ms)
        columns = (column.tolist() for column in found)
        return [
            Lesson(segments[place], attribute, shift, support, score_test)
            for place, attribute, shift, support, score_test in zip(*columns, strict=True)
        ]
