"""From the rows of a file to the order of a stream: numbers for ids, ties, groups and nights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.interactions import EventRules


def numbered(ids: NDArray[Any]) -> tuple[list[str], NDArray[np.int32]]:
    """Numbers for ids that depend on the ids alone, so that they tell nothing of the events.

    Args:
      ids: [rows] whole numbers or text.

    Returns:
      Each id once, the shorter one first and those of one length by their characters,
      which brings numbers into the order of their size; and [rows] the number of each.
    """
    values, inverse = np.unique(ids, return_inverse=True)
    names = [str(value) for value in values.tolist()]
    order = sorted(range(len(names)), key=lambda at: (len(names[at]), names[at]))
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    return [names[at] for at in order], place[inverse]


def by_time(timestamp_ms: NDArray[np.int64], *ties: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """[rows] positions in the order of time; where it is the same, of the columns in `ties`."""
    return np.lexsort((*ties[::-1], timestamp_ms))


def groups(timestamp_ms: NDArray[np.int64], bootstrap: int) -> NDArray[np.int64]:
    """[rows] group numbers: the rows of one time stamp, parted where the replay begins."""
    new = np.zeros(len(timestamp_ms), np.int64)
    new[1:] = timestamp_ms[1:] != timestamp_ms[:-1]
    if 0 < bootstrap < len(new):
        new[bootstrap] = 1
    return np.cumsum(new)


def nights(day: NDArray[np.integer[Any]], bootstrap: int) -> NDArray[np.int64]:
    """Replayed rows before which the day changes, so that each night has something to learn."""
    return bootstrap + 1 + np.flatnonzero(np.diff(day[bootstrap:]))


def met_before(
    actor: NDArray[np.int32], item: NDArray[np.int32], group: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """[rows] whether an earlier group holds the same actor with the same item."""
    pair = actor.astype(np.int64) * (int(item.max(initial=0)) + 1) + item
    _, first, inverse = np.unique(pair, return_index=True, return_inverse=True)
    return np.asarray(group[first][inverse] < group)


def outcomes(
    rules: EventRules,
    kinds: list[str],
    kind: NDArray[np.int8],
    value: NDArray[np.float32] | None = None,
) -> NDArray[np.int8]:
    """[rows] what each event says by the rules, as the product would take it."""
    if value is None:
        return rules.outcomes(kinds, np.full(len(kinds), np.nan))[kind]
    return rules.outcomes(np.array(kinds)[kind].tolist(), value.astype(np.float64))
