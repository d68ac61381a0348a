"""What every baseline keeps of the past: who succeeded with what."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from pipelines.evaluation.arm import FloatArray
from pipelines.evaluation.stream import Events

SPAN: Final = 100_000
"""Successes after which an older one counts half when the items of a model are chosen."""


def successes(events: Events) -> tuple[list[int], list[int]]:
    """Actors and items of the successes, in order."""
    which = events.outcome > 0
    return events.actor[which].tolist(), events.item[which].tolist()


class Histories:
    """The items each actor succeeded with, each once, in the order of the first success.

    An actor's history is a tuple: one that was handed out never changes.

    Attributes:
      n_items: Number of items, those to come included.
    """

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items
        self._items: dict[int, tuple[int, ...]] = {}

    def learn(self, events: Events) -> None:
        """Takes the successes among events that come after all earlier ones."""
        fresh: dict[int, dict[int, None]] = {}
        for actor, item in zip(*successes(events), strict=True):
            if actor not in fresh:
                fresh[actor] = dict.fromkeys(self._items.get(actor, ()))
            fresh[actor][item] = None
        self._items |= {actor: tuple(items) for actor, items in fresh.items()}

    def of(self, actor: int) -> tuple[int, ...]:
        """The items of an actor; nothing for one who is not known."""
        return self._items.get(actor, ())

    def matrix(self) -> sp.csr_matrix:
        """[actors with a success, n_items] ones."""
        return rows(list(self._items.values()), self.n_items)


def rows(histories: Sequence[Iterable[int]], n_items: int) -> sp.csr_matrix:
    """[histories, n_items] ones where an item stands in a history."""
    items = [np.fromiter(history, np.int32) for history in histories]
    starts = np.cumsum([0, *(len(each) for each in items)])
    columns = np.concatenate(items) if items else np.zeros(0, np.int32)
    ones = np.ones(len(columns), np.float32)
    matrix = sp.csr_matrix((ones, columns, starts), shape=(len(items), n_items))
    matrix.sort_indices()
    return matrix


class Popular:
    """Successes of each item: all of them, and with the recent ones weighing more."""

    def __init__(self, n_items: int) -> None:
        self._counts = np.zeros(n_items)
        self._recent = np.zeros(n_items)

    def learn(self, events: Events) -> None:
        """Takes the successes among events that come after all earlier ones."""
        items = events.item[events.outcome > 0]
        self._recent *= 0.5 ** (len(items) / SPAN)
        ages = np.arange(len(items))[::-1]
        np.add.at(self._recent, items, 0.5 ** (ages / SPAN))
        np.add.at(self._counts, items, 1.0)

    def tie_break(self) -> FloatArray:
        """[n_items] a share of the successes so small that it decides nothing but ties.

        A history that a model knows nothing of gives every item the same score. A service
        would then show what is popular, and so does a baseline that is to be fair.
        """
        return np.asarray(self._counts * (1e-6 / max(self._counts.max(), 1.0)), np.float32)

    def most(self, limit: int) -> NDArray[np.int64]:
        """Numbers of the items with the most recent successes, at most `limit`, rising."""
        known = np.flatnonzero(self._recent > 0.0)
        order = np.argsort(-self._recent[known], kind="stable")
        return np.sort(known[order[:limit]])
