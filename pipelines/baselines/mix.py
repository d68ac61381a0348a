"""What is popular just now, under circumstances like these, after items like these."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from pipelines.baselines.cooccurrence import SessionCooccurrence
from pipelines.evaluation.arm import FloatArray, Question, Setting, Ticket
from pipelines.evaluation.stream import Events

_NEAR: Final = 0.6
_BACK: Final = 0.5
_AGAIN: Final = 1.0
_PAIR_HALF_LIFE: Final = 20_000.0
_UNSEEN: Final = 10.0
_RESCALE: Final = 500.0


class _Mixed(NamedTuple):
    """A question: the popularity of its moment, and its last items.

    Attributes:
      popular: [n_items] shares.
      last: The ticket of the co-occurrence.
    """

    popular: FloatArray
    last: Ticket


class PopularityMix:
    """A mixture by hand, the strong simple method for news.

    The score of an item is its share of the successes lately, plus `moment` times its
    share among those with the same attributes of the moment (all of `names` together),
    plus `last` times its score by co-occurrence with the actor's last items. A success
    counts half after `half_life_s` in the first two. Shares of few successes are held back:
    ten more are taken to have gone to no item. Attributes that events lack are left out.

    Attributes:
      trials: 1: what it was given.
      chosen: The options in use.
    """

    def __init__(
        self,
        setting: Setting,
        names: Sequence[str],
        *,
        half_life_s: float,
        moment: float,
        last: float,
    ) -> None:
        self.trials = 1
        self.chosen: dict[str, Any] = {"half_life_s": half_life_s, "moment": moment, "last": last}
        self._names, self._moment, self._weight = tuple(names), moment, last
        self._all = _Fading(setting.n_items, half_life_s)
        self._rows: dict[tuple[int, ...], _Fading] = {}
        self._n_items, self._half_life_s = setting.n_items, half_life_s
        self._last = SessionCooccurrence(
            setting, near=_NEAR, back=_BACK, half_life=_PAIR_HALF_LIFE, again=_AGAIN
        )

    def start(self, events: Events) -> None:
        """Counts the history."""
        self._last.start(events)
        self._count(events)

    def learn(self, events: Events) -> None:
        """Counts the successes."""
        self._last.learn(events)
        self._count(events)

    def night(self) -> None:
        """Hands on to the co-occurrence."""
        self._last.night()

    def ask(self, question: Question) -> Ticket:
        """The popularity of the moment, and the actor's last items."""
        shares = self._all.shares(question.timestamp_ms)
        if (row := self._rows.get(self._key(question.context))) is not None:
            shares = shares + self._moment * row.shares(question.timestamp_ms)
        return _Mixed(shares.astype(np.float32), self._last.ask(question))

    def answer(self, tickets: Sequence[Ticket]) -> FloatArray:
        """[tickets, n_items] the mixture."""
        popular = np.stack([ticket.popular for ticket in tickets])
        last = self._last.answer([ticket.last for ticket in tickets])
        return np.asarray(popular + self._weight * last, np.float32)

    def _count(self, events: Events) -> None:
        events = events.take(np.flatnonzero(events.outcome > 0))
        self._all.add(events.item, events.timestamp_ms)
        names = [name for name in self._names if name in events.context]
        if not names or not len(events):
            return
        terms = np.stack([events.context[name] for name in names], axis=1)
        keys, which = np.unique(terms, axis=0, return_inverse=True)
        for place, key in enumerate(keys.tolist()):
            rows = np.flatnonzero(which.ravel() == place)
            if tuple(key) not in self._rows:
                self._rows[tuple(key)] = _Fading(self._n_items, self._half_life_s)
            self._rows[tuple(key)].add(events.item[rows], events.timestamp_ms[rows])

    def _key(self, context: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(context[name] for name in self._names if name in context)


class _Fading:
    """Counts of items that halve with the clock."""

    def __init__(self, n_items: int, half_life_s: float) -> None:
        if half_life_s <= 0.0:
            raise BadInputError(f"half_life_s must be positive, got {half_life_s}")
        self._counts = np.zeros(n_items)
        self._half_life_ms = 1000.0 * half_life_s
        self._origin_ms = 0
        self._total = 0.0

    def add(self, items: NDArray[np.integer], timestamp_ms: NDArray[np.int64]) -> None:
        """Counts items at moments that never fall."""
        if not len(items):
            return
        # worths grow with the clock, so that the older ones need no touch ...
        if (timestamp_ms[-1] - self._origin_ms) / self._half_life_ms > _RESCALE:
            # ... until the numbers get too large
            fade = 0.5 ** ((timestamp_ms[-1] - self._origin_ms) / self._half_life_ms)
            self._counts *= fade
            self._total *= fade
            self._origin_ms = int(timestamp_ms[-1])
        worths = np.exp2((timestamp_ms - self._origin_ms) / self._half_life_ms)
        np.add.at(self._counts, items, worths)
        self._total += float(worths.sum())

    def shares(self, timestamp_ms: int) -> NDArray[np.float64]:
        """[n_items] share of each item."""
        age = min((timestamp_ms - self._origin_ms) / self._half_life_ms, 2.0 * _RESCALE)
        total = self._total + _UNSEEN * 2.0**age
        return np.asarray(self._counts / total, np.float64)
