"""What follows what inside a session: decayed co-occurrence of items."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from pipelines.baselines.histories import Popular, successes
from pipelines.evaluation.arm import FloatArray, Question, Setting, Ticket
from pipelines.evaluation.stream import Events

WINDOW: Final = 10
"""An actor's last items that count: as a history, and as partners of a new item."""

_FAINT: Final = 1e-4
_UNSEEN: Final = 1.0
"""Worth of the pairs that an item might have had: a single pair is no certainty."""

_NOTHING: Final[dict[int, float]] = {}


class _Recent(NamedTuple):
    """A question about an actor's last items, the latest first.

    Attributes:
      items: The items.
      weights: [items] how much each counts.
      followers: [pairs] items that stood near one of them since the last night, and they
        themselves.
      worths: [pairs] how much that counts.
    """

    items: tuple[int, ...]
    weights: NDArray[np.float64]
    followers: NDArray[np.int32]
    worths: NDArray[np.float64]


class SessionCooccurrence:
    """Scores what stood near the actor's last items, the nearer and the later the more.

    A success with item i, d places after a success of the same actor with item j ≠ i, adds
    `near`^(d−1) to the pair (j, i) and `back` times as much to (i, j). Pairs are worth
    half after `half_life` further successes of anybody; there is no clock in it, because
    the sessions of shops are often published without one. A candidate's score is

        Σ_d near^(d−1) · (pair(j_d, i) / (total(j_d) + 1) + again · [i = j_d])

    over the last items j_1, j_2, … of the actor; `again` tells how readily one comes back
    to what one has seen. Pairs of before the last night are one sparse matrix; those since
    then are dictionaries, and a ticket holds what it needs of them. With `live` off they
    wait for the night.

    Attributes:
      trials: 1: what it was given.
      chosen: The options in use.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        near: float,
        back: float,
        half_life: float,
        again: float = 0.0,
        live: bool = True,
    ) -> None:
        self.trials = 1
        self.chosen: dict[str, Any] = {
            "near": near, "back": back, "half_life": half_life, "again": again,
        }  # fmt: skip
        n = setting.n_items
        self._near, self._back, self._half_life = near, back, half_life
        self._again, self._live = again, live
        self._last: dict[int, tuple[int, ...]] = {}
        self._pairs = sp.csr_matrix((n, n))
        self._total = np.zeros(n)
        self._fresh: dict[int, dict[int, float]] = {}
        self._fresh_total: dict[int, float] = {}
        self._since = 0
        self._popular = Popular(n)
        self._tie_break = np.zeros(n, np.float32)

    def start(self, events: Events) -> None:
        """Counts the history."""
        # in parts, so that the dictionaries stay small
        for first in range(0, len(events), 100_000):
            self.learn(events.take(slice(first, first + 100_000)))
            self.night()

    def learn(self, events: Events) -> None:
        """Counts the pairs that end in one of the successes."""
        self._popular.learn(events)
        for actor, item in zip(*successes(events), strict=True):
            before = self._last.get(actor, ())
            worth = 2.0 ** (self._since / self._half_life)
            for other in before:
                if other != item:
                    self._add(other, item, worth)
                    self._add(item, other, worth * self._back)
                worth *= self._near
            self._last[actor] = (item, *before[: WINDOW - 1])
            self._since += 1

    def night(self) -> None:
        """Moves what is in the dictionaries into the matrix and lets everything fade."""
        self._tie_break = self._popular.tie_break()
        fresh = _as_matrix(self._fresh, self._pairs.shape[0])
        fade = 0.5 ** (self._since / self._half_life)
        self._pairs = (self._pairs + fresh) * fade
        self._pairs.data[self._pairs.data < _FAINT] = 0.0
        self._pairs.eliminate_zeros()
        self._total = np.asarray(self._pairs.sum(axis=1), np.float64).ravel()
        self._fresh, self._fresh_total, self._since = {}, {}, 0

    def ask(self, question: Question) -> Ticket:
        """The actor's last items, and what stood near them since the last night."""
        items = self._last.get(question.actor, ())
        near = self._near ** np.arange(len(items))
        totals = [self._total[item] + self._fresh_total.get(item, 0.0) for item in items]
        weights = near / (np.array(totals) + _UNSEEN)
        fresh = [self._fresh.get(item, _NOTHING) if self._live else _NOTHING for item in items]
        sizes = [len(each) for each in fresh]
        followers = np.fromiter(chain.from_iterable(fresh), np.int32, sum(sizes))
        worths = np.fromiter(
            chain.from_iterable(each.values() for each in fresh), np.float64, sum(sizes)
        )
        return _Recent(
            items,
            weights,
            np.concatenate([followers, np.array(items, np.int32)]),
            np.concatenate([worths * np.repeat(weights, sizes), self._again * near]),
        )

    def answer(self, tickets: Sequence[Ticket]) -> FloatArray:
        """[tickets, n_items] scores; popularity breaks ties."""
        starts = np.cumsum([0, *(len(ticket.items) for ticket in tickets)])
        weights = np.concatenate([ticket.weights for ticket in tickets])
        columns = np.fromiter(chain.from_iterable(t.items for t in tickets), np.int32)
        shape = (len(tickets), len(self._total))
        scores = (sp.csr_matrix((weights, columns, starts), shape=shape) @ self._pairs).toarray()
        for row, ticket in zip(scores, tickets, strict=True):
            np.add.at(row, ticket.followers, ticket.worths)
        return np.asarray(scores + self._tie_break, np.float32)

    def _add(self, item: int, follower: int, worth: float) -> None:
        followers = self._fresh.setdefault(item, {})
        followers[follower] = followers.get(follower, 0.0) + worth
        self._fresh_total[item] = self._fresh_total.get(item, 0.0) + worth


def _as_matrix(pairs: Mapping[int, Mapping[int, float]], n_items: int) -> sp.csr_matrix:
    """[n_items, n_items] worth of each pair."""
    sizes = [len(each) for each in pairs.values()]
    n = sum(sizes)
    first = np.repeat(np.fromiter(pairs, np.int32, len(pairs)), sizes)
    second = np.fromiter(chain.from_iterable(pairs.values()), np.int32, n)
    worths = np.fromiter(chain.from_iterable(e.values() for e in pairs.values()), np.float64, n)
    return sp.csr_matrix((worths, (first, second)), shape=(n_items, n_items))
