"""A request made ready, and the arithmetic on scores that needs no model."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.fast.lessons import Lesson
from model.fast_wide import Active
from model.slow.features import PADDING, QueryBatch
from model.slow.scorer import FloatArray, Near
from model.views import View


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


def sources(parts: Mapping[str, FloatArray], top: NDArray[np.intp]) -> list[str]:
    """For each item the part that lifts it most above the average item."""
    names = list(parts)
    # the plain sum: `mean` costs more in Python than in arithmetic at this length
    means = [np.add.reduce(parts[name]) / len(parts[name]) for name in names]
    lifts = np.array([parts[name][top] - mean for name, mean in zip(names, means, strict=True)])
    return [names[which] for which in lifts.argmax(axis=0).tolist()]
