"""What the harness itself keeps: who has met what, and since when an item is known."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.stream import Stream

NEVER: Final = np.iinfo(np.int64).max
ALWAYS: Final = -1


class Standing(NamedTuple):
    """What is known of a row before it happens.

    Attributes:
      actor_events: Events of its actor so far.
      item_events: Events of its item so far.
      item_age_s: Seconds since the item's first event; NaN before it.
    """

    actor_events: int
    item_events: int
    item_age_s: float


class Ledger:
    """Counts over the rows that have been learned.

    Attributes:
      moment: Rows before this one have been learned.
      known_from: [items] the row that made the item known; `ALWAYS` for one that is
        described from the start or was met in the bootstrap part, `NEVER` for one to come.
      item_bootstrap: [items] successes in the bootstrap part.
      actor_bootstrap: [actors] events in the bootstrap part.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        n_items, history = len(stream.items), stream.events.take(slice(0, stream.bootstrap))
        self.moment = stream.bootstrap
        self.known_from = np.full(n_items, NEVER, np.int64)
        described = [i for i, item in enumerate(stream.items) if item in stream.item_attributes]
        self.known_from[described] = ALWAYS
        self.known_from[history.item] = ALWAYS
        successes = history.item[history.outcome > 0]
        self.item_bootstrap = np.bincount(successes, minlength=n_items).astype(np.int32)
        self._actor_events = np.bincount(history.actor, minlength=len(stream.actors))
        self.actor_bootstrap = self._actor_events.astype(np.int32)
        self._item_events = np.bincount(history.item, minlength=n_items)
        self._first_ms = np.full(n_items, NEVER, np.int64)
        np.minimum.at(self._first_ms, history.item, history.timestamp_ms)
        self._by_actor = np.argsort(history.actor, kind="stable")
        self._ends = np.cumsum(self._actor_events)
        self._own: dict[int, list[int]] = {}

    def learn(self, start: int, stop: int) -> None:
        """Counts the rows from `start` to before `stop`."""
        events = self._stream.events
        items, actors = events.item[start:stop], events.actor[start:stop]
        np.add.at(self._item_events, items, 1)
        np.add.at(self._actor_events, actors, 1)
        np.minimum.at(self._first_ms, items, events.timestamp_ms[start:stop])
        np.minimum.at(self.known_from, items, np.arange(start, stop))
        if self._stream.candidates in ("seen", "unseen"):
            for actor, item in zip(actors.tolist(), items.tolist(), strict=True):
                self._met(actor).append(item)
        self.moment = stop

    def own(self, actor: int) -> NDArray[np.int64]:
        """Items that the actor has met by now, some of them more than once."""
        return np.array(self._met(actor), np.int64)

    def _met(self, actor: int) -> list[int]:
        met = self._own.get(actor)
        if met is None:
            stop = self._ends[actor]
            start = self._ends[actor - 1] if actor else 0
            rows = self._by_actor[start:stop]
            met = self._own[actor] = self._stream.events.item[rows].tolist()
        return met

    def standing(self, row: int) -> Standing:
        """What is known of a row before it happens."""
        events = self._stream.events
        item, first_ms = int(events.item[row]), int(self._first_ms[events.item[row]])
        age_s = (int(events.timestamp_ms[row]) - first_ms) / 1000.0
        return Standing(
            int(self._actor_events[events.actor[row]]),
            int(self._item_events[item]),
            float("nan") if first_ms == NEVER else age_s,
        )
