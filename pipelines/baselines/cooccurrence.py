"""What follows what inside a session: decayed co-occurrence of items."""

from collections.abc import Sequence
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


class _Recent(NamedTuple):
    """A question about a history.

    Attributes:
      items: The last items, the latest first.
      live: [pairs] items that followed one of them since the last night.
      worth: [pairs] how much they count.
    """

    items: tuple[int, ...]
    live: NDArray[np.int32]
    worth: NDArray[np.float64]


class SessionCooccurrence:
    """Scores what stood near the actor's last items, the nearer and the later the more.

    A success with item i, d places after a success of the same actor with item j ≠ i, adds
    `near`^(d−1) to the pair (j, i) and `back` times as much to (i, j). Pairs are worth
    half after `half_life` further successes of anybody; there is no clock in it, because
    the sessions of shops are often published without one. A candidate's score is

        Σ_d near^(d−1) · pair(j_d, i) / total(j_d)^damping

    over the last items j_1, j_2, … of the actor. Pairs of before the last night are one
    sparse matrix; those since then are dictionaries, and a ticket holds what it needs of
    them. With `live` off they wait for the night.

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
        damping: float,
        live: bool = True,
    ) -> None:
        self.trials = 1
        self.chosen: dict[str, Any] = {
            "near": near, "back": back, "half_life": half_life, "damping": damping,
        }  # fmt: skip
        n = setting.n_items
        self._near, self._back, self._half_life = near, back, half_life
        self._damping, self._live = damping, live
        self._last: dict[int, tuple[int, ...]] = {}
        self._pairs = sp.csr_matrix((n, n), dtype=np.float32)
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
        self._pairs = (self._pairs + fresh) * np.float32(fade)
        self._pairs.data[self._pairs.data < _FAINT] = 0.0
        self._pairs.eliminate_zeros()
        self._total = np.asarray(self._pairs.sum(axis=1), np.float64).ravel()
        self._fresh, self._fresh_total, self._since = {}, {}, 0

    def ask(self, question: Question) -> Ticket:
        """The actor's last items, and what has followed them since the last night."""
        items = self._last.get(question.actor, ())
        if not self._live:
            return _Recent(items, np.zeros(0, np.int32), np.zeros(0))
        ...

    def answer(self, tickets: Sequence[Ticket]) -> FloatArray:
        """[tickets, n_items] scores; popularity breaks ties."""
        ...
