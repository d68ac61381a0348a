"""Where an arm is good: by what is known of the user and of the item, and over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.intervals import Means
from pipelines.evaluation.panel import Panel
from pipelines.evaluation.stream import BEFORE_TURN

MOST_WINDOWS: Final = 24
LEAST_WINDOWS: Final = 6
QUESTIONS_OF_WINDOW: Final = 100

_COUNTS: Final = (0, 1, 2, 3, 4, 6, 11, 21, 51, 101)
_AGES: Final = (
    ("first time", "first", -np.inf),
    ("< 10 min", "0", 0.0),
    ("< 1 h", "10 min", 600.0),
    ("< 6 h", "1 h", 3_600.0),
    ("< 1 day", "6 h", 21_600.0),
    ("< 1 week", "1 day", 86_400.0),
    ("older", "1 week", 604_800.0),
)


class Bucket(NamedTuple):
    """A part of the questions.

    Attributes:
      label: In words.
      start: Where it begins, shorter.
      n: Questions in it.
      means: Of the primary metric.
    """

    label: str
    start: str
    n: int
    means: Means


@dataclass(frozen=True)
class Slice:
    """The questions, cut in one way.

    Attributes:
      name: What the cut is by, a key of the results.
      title: The same for people.
      buckets: The parts that hold questions, in order.
    """

    name: str
    title: str
    buckets: tuple[Bucket, ...]


class _Cut(NamedTuple):
    """Labels, their shorter forms, and [questions] the number of the label or -1 for none."""

    labels: Sequence[str]
    starts: Sequence[str]
    number: NDArray[np.integer]


def _named(labels: Sequence[str], number: NDArray[np.integer]) -> _Cut:
    return _Cut(labels, labels, number)


def _counted(counts: NDArray[np.integer], which: NDArray[np.bool_] | None = None) -> _Cut:
    number = np.searchsorted(np.array(_COUNTS), counts, side="right") - 1
    single = [low + 1 == following for low, following in pairwise([*_COUNTS, 0])]
    ends = [f"–{following - 1}" for following in _COUNTS[1:]] + ["+"]
    low = [str(count) for count in _COUNTS]
    labels = [a if one else a + end for a, one, end in zip(low, single, ends, strict=True)]
    starts = [a if one else f"{a}+" for a, one in zip(low, single, strict=True)]
    return _Cut(labels, starts, number if which is None else np.where(which, number, -1))


def _cold_start(panel: Panel) -> _Cut:
    return _counted(panel.asked.actor_events)


def _new_by_events(panel: Panel) -> _Cut:
    return _counted(panel.asked.item_events, panel.asked.item_bootstrap == 0)


def _new_by_age(panel: Panel) -> _Cut:
    ages = np.nan_to_num(panel.asked.item_age_s, nan=-1.0)
    labels, starts, seconds = zip(*_AGES, strict=True)
    number = np.searchsorted(np.array(seconds), ages, side="right") - 1
    return _Cut(labels, starts, np.where(panel.asked.item_bootstrap == 0, number, -1))


def _items(panel: Panel) -> _Cut:
    """New, and thirds of the questions on the others by what their items had before."""
    known = panel.asked.item_bootstrap
    number = np.zeros(len(known), np.int64)
    if (known > 0).any():
        low, high = np.quantile(known[known > 0], (1 / 3, 2 / 3), method="lower")
        number = np.where(known > 0, 1 + (known > low) + (known > high), 0)
    return _named(("new", "tail", "middle", "head"), number)


def _users(panel: Panel) -> _Cut:
    known = panel.asked.actor_bootstrap > 0
    return _named(("new", "known"), known.astype(np.int64))


def _since_turn(panel: Panel) -> _Cut:
    """Only those whose taste is turned round: before it, and by their events since."""
    since = panel.asked.since_turn
    after = _counted(since, since >= 0)
    number = np.where(since == BEFORE_TURN, 0, np.where(after.number >= 0, after.number + 1, -1))
    return _Cut(["before", *after.labels], ["before", *after.starts], number)


def _thirds(panel: Panel) -> _Cut:
    n = len(panel.asked.row)
    number = np.zeros(n, np.int64)
    number[n // 3 :] = 1
    number[panel.last_third] = 2
    return _named(("first third", "second third", "last third"), number)


_CUTS: Final[Sequence[tuple[str, str, Callable[[Panel], _Cut]]]] = (
    ("item", "Item, by its successes before the replay", _items),
    ("actor", "User, at the start of the replay", _users),
    ("third", "Over the stream", _thirds),
    ("actor_events", "Earlier events of the user", _cold_start),
    ("since_turn", "Users whose taste turns round: events since", _since_turn),
    ("new_item_events", "New items: events before", _new_by_events),
    ("new_item_age", "New items: time since the first event", _new_by_age),
)


def slices_of(panel: Panel) -> list[Slice]:
    """Every cut that leaves more than one part."""
    found = [_slice(panel, name, title, cut(panel)) for name, title, cut in _CUTS]
    return [each for each in found if len(each.buckets) > 1]


def _slice(panel: Panel, name: str, title: str, cut: _Cut) -> Slice:
    # a part is not a mean over blocks: many of its blocks would be all but empty
    plan = panel.plan._replace(over_blocks=False)
    buckets = []
    for number, (label, start) in enumerate(zip(cut.labels, cut.starts, strict=True)):
        which = np.asarray(cut.number == number)
        if n := int(which.sum()):
            buckets.append(Bucket(label, start, n, panel.means(panel.primary, which, plan)))
    return Slice(name, title, tuple(buckets))


class Curve(NamedTuple):
    """The primary metric along the stream, in windows of equally many questions.

    Attributes:
      until: [windows] questions up to the end of the window.
      value: [arms, windows]
    """

    until: NDArray[np.int64]
    value: NDArray[np.float64]


def learning_curve(panel: Panel, metric: str) -> Curve:
    """A metric over time; questions without a number are left out of their window."""
    values = panel.values[metric]
    n = values.shape[1]
    n_windows = min(MOST_WINDOWS, max(LEAST_WINDOWS, n // QUESTIONS_OF_WINDOW))
    edges = np.unique(np.linspace(0, n, min(n_windows, n) + 1).astype(np.int64))
    numbers = np.isfinite(values)
    total = np.add.reduceat(np.where(numbers, values, 0.0), edges[:-1], axis=1)
    count = np.add.reduceat(numbers.astype(np.float64), edges[:-1], axis=1)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return Curve(edges[1:], mean)
