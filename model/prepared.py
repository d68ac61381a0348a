"""A request made ready, and the arithmetic on scores that needs no model."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.fast.lessons import Lesson
from model.fast_wide import Active
from model.slow.features import PADDING, QueryBatch
from model.slow.scorer import FloatArray, Near
from model.views import View

_BLOCK: Final = 512
_MANY: Final = 16 * _BLOCK


class Prepared(NamedTuple):
    """A request and all that its answer depends on and that time may change.

    What is left to do is arithmetic on the model, so requests prepared at different
    moments can be scored together.

    Attributes:
      view: The user's memory.
      batch: The one request, as the slow model reads it.
      active: The rows of fast crosses that it activates.
      fast: [items] the fast wide part, and what the slow model says is chosen nearby.
      near: The latter by itself.
      own: [d] the user's fast weights.
      shift: How far the user's outcomes lie off the slow model's chances, in log-odds.
      lessons: [items] the same by what was learned about others like the user; None for
        nothing.
      base: [items] bias and `fast`, -inf where an item may not be shown now.
    """

    view: View
    batch: QueryBatch
    active: Active
    fast: FloatArray
    near: Near
    own: FloatArray
    shift: float
    lessons: FloatArray | None
    base: FloatArray


def as_added(lessons: Sequence[Lesson], factor: float) -> list[Lesson]:
    """Lessons with their shifts as they add to scores."""
    return [dataclasses.replace(one, shift=factor * one.shift) for one in lessons if factor]


def shifted(chances: NDArray[np.float64], shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """[requests, k] chances moved by [requests, k] shifts in log-odds."""
    odds = chances / (1.0 - chances) * np.exp(shifts)
    return np.asarray(odds / (1.0 + odds))


def side_by_side(rows: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """[requests, widest] rows of one request each, -1 padded."""
    table = np.full((len(rows), max(row.shape[1] for row in rows)), PADDING, np.int32)
    for place, row in enumerate(rows):
        table[place, : row.shape[1]] = row[0]
    return table


class Part(NamedTuple):
    """A part of the scores.

    Attributes:
      top: [k] what it adds to the chosen items.
      mean: What it adds to the average item.
    """

    top: FloatArray
    mean: float

    @classmethod
    def of(cls, values: FloatArray, top: NDArray[np.integer]) -> "Part":
        """From what it adds to every item."""
        # the plain sum: `mean` costs more in Python than in arithmetic at this length
        return cls(values[top], np.add.reduce(values) / len(values))


def sources(parts: Mapping[str, Part]) -> list[str]:
    """For each chosen item the part that lifts it most above the average item."""
    names = list(parts)
    lifts = np.array([part.top - part.mean for part in parts.values()])
    return [names[which] for which in lifts.argmax(axis=0).tolist()]


def best(scores: FloatArray, n: int) -> NDArray[np.intp]:
    """Numbers of the n highest scores, best first; ties go to the lower number, -inf to none."""
    n = min(n, len(scores))
    among = None
    if len(scores) >= _MANY:
        # n blocks hold something at least as high as the n-th highest block has
        tops = np.maximum.reduceat(scores, np.arange(0, len(scores), _BLOCK))
        if n <= len(tops):
            least = np.partition(tops, len(tops) - n)[len(tops) - n]
            among = np.flatnonzero(scores >= least)
    found = scores if among is None else scores[among]
    # a partition cuts ties anywhere: take all that tie with the last, then sort
    worst = np.partition(found, len(found) - n)[len(found) - n]
    top = np.flatnonzero(found >= worst if worst > -np.inf else found > -np.inf)
    top = top[np.argsort(-found[top], kind="stable")][:n]
    return top if among is None else among[top]
