"""Log rows as training examples: each event with the history its user had before it.

An event's history ends strictly before its own time stamp: events of one user that
share a time stamp are all predicted before any of them is known, in training as in
service and evaluation.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.interactions import Outcome
from model.slow.columns import EventColumns, Metadata
from model.slow.features import CONTEXT, HOUR, PADDING, FeatureSpace, QueryBatch, padded
from model.slow.frozen import frozen
from model.slow.vocabulary import UNKNOWN

_HOUR_MS = 3_600_000


class Examples:
    """Events encoded for one feature space, with their histories found by index.

    The order is by time, then log position. Nothing is copied per example: a batch
    is gathered when it is asked for, so memory grows with the events and not with
    the length of the history.

    Attributes:
      item: [events] item numbers.
      label: [events] 1 for a success, else 0.
      success: [events] whether the event is a success.
      labelled: [events] whether the outcome head learns from it.
      weight: [events] how much it counts.
      timestamp_ms: [events] times, never falling.
      seq: [events] log positions.
      frozen: [events] whether nothing is to be taught of it.
      appeared: [items] position of the first event with each item; the number of events
        where there is none.
    """

    def __init__(
        self,
        columns: EventColumns,
        space: FeatureSpace,
        metadata: Metadata,
    ) -> None:
        order = columns.by_time()
        self.space = space
        self.seq = columns.seq[order]
        self.frozen = frozen(self.seq)
        self.timestamp_ms = columns.timestamp_ms[order]
        self.item = columns.item.mapped(space.items.numbers)[order]
        self.appeared = np.full(space.items.size, len(order))
        np.minimum.at(self.appeared, self.item, np.arange(len(order)))
        self.success = columns.outcome[order] == Outcome.SUCCESS
        self.label = self.success.astype(np.float32)
        self.labelled = columns.labelled[order]
        self.weight = columns.weight[order]
        failure = columns.outcome[order] == Outcome.FAILURE
        actor = columns.actor.codes[order]
        known = columns.actor.mapped(space.users.numbers)
        self._user = np.where(columns.signed_in, known, UNKNOWN)[order].astype(np.int32)
        self._actor = actor
        self._user_slots = _user_slots(space, metadata, columns.actor.terms)
        self._context_slots = _context_slots(space, columns, order)
        self._index_histories(actor, failure)

    def __len__(self) -> int:
        return len(self.item)

    def _index_histories(self, actor: NDArray[np.int32], failure: NDArray[np.bool_]) -> None:
        """For each event: where its user's events begin, and where its history ends."""
        by_actor = np.lexsort((self.seq, self.timestamp_ms, actor))
        actor, time = actor[by_actor], self.timestamp_ms[by_actor]
        positions = np.arange(len(by_actor))
        new_actor = np.ones(len(by_actor), bool)
        new_actor[1:] = actor[1:] != actor[:-1]
        new_tie = new_actor.copy()
        new_tie[1:] |= time[1:] != time[:-1]
        starts = np.maximum.accumulate(np.where(new_actor, positions, 0))
        ends = np.maximum.accumulate(np.where(new_tie, positions, 0))
        place = np.empty_like(positions)
        place[by_actor] = positions
        self._start, self._end = starts[place], ends[place]
        self._items_by_actor = self.item[by_actor]
        self._successes = _Subsequence(self.success[by_actor], self._items_by_actor)
        self._failures = _Subsequence(failure[by_actor], self._items_by_actor)

    def n_before(self, which: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """[batch] how many events each event's user had strictly before it."""
        return np.asarray(self._end[which] - self._start[which], np.int64)

    def queries(self, which: NDArray[np.integer[Any]]) -> QueryBatch:
        """The query side of the events at these positions.

        Args:
          which: [batch] positions in this order.

        Returns:
          The batch; each row knows what came strictly before its event.
        """
        start, end = self._start[which], self._end[which]
        history = self.space.history
        last = np.where(end > start, self._items_by_actor[end - 1], PADDING)
        return QueryBatch(
            user=self._user[which],
            liked=self._successes.newest(start, end, history),
            disliked=self._failures.newest(start, end, history),
            last=last.astype(np.int32),
            attributes=np.concatenate(
                [self._user_slots[self._actor[which]], self._context_slots[which]], axis=1
            ),
        )

    def seen(self, which: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """What each event's user had come across before, of any outcome.

        Args:
          which: [batch] positions in this order.

        Returns:
          row: [pairs] index into `which`.
          item: [pairs] item number.
        """
        start, end = self._start[which], self._end[which]
        length = end - start
        row = np.repeat(np.arange(len(which)), length)
        first = np.cumsum(length) - length
        at = np.arange(row.size) - np.repeat(first - start, length)
        return row, self._items_by_actor[at]


class _Subsequence:
    """The events of one outcome inside a longer sequence, addressed by the longer one."""

    def __init__(self, chosen: NDArray[np.bool_], items: NDArray[np.int32]) -> None:
        self._items = items[chosen]
        self._before = np.concatenate([[0], np.cumsum(chosen)])

    def newest(
        self, start: NDArray[np.int64], end: NDArray[np.int64], length: int
    ) -> NDArray[np.int32]:
        """[batch, length] chosen items in [start, end), newest first, -1 padded."""
        low, high = self._before[start], self._before[end]
        at = high[:, None] - 1 - np.arange(length)
        if not self._items.size:
            return np.full(at.shape, PADDING, np.int32)
        inside = at >= low[:, None]
        return np.where(inside, self._items[np.where(inside, at, 0)], PADDING).astype(np.int32)


def _user_slots(space: FeatureSpace, metadata: Metadata, actors: list[str]) -> NDArray[np.int32]:
    """[actors, slots] `FeatureSpace.user_slots` of all actors at once."""
    nothing = space.user_slots({})
    rows = [
        space.user_slots(attributes) if (attributes := metadata.user(actor)) else nothing
        for actor in actors
    ]
    return padded(rows) if nothing else np.empty((len(actors), 0), np.int32)


def _context_slots(
    space: FeatureSpace, columns: EventColumns, order: NDArray[np.intp]
) -> NDArray[np.int32]:
    """[events, slots] `FeatureSpace.context_slots` of all events at once."""
    slots = space.query_attributes
    blocks: list[NDArray[np.int32]] = [np.empty((len(order), 0), np.int32)]
    moment = columns.moment[order]
    for encoder, offset in zip(slots.encoders, slots.offsets, strict=False):
        if not encoder.name.startswith(CONTEXT):
            continue
        name = encoder.name.removeprefix(CONTEXT)
        if name == HOUR:
            hours = columns.timestamp_ms[order] // _HOUR_MS % 24
            blocks.append((offset + 1 + hours).astype(np.int32)[:, None])
            continue
        values = (attributes.get(name) for attributes in columns.moments)
        rows = [[offset + number for number in encoder.numbers(value)] for value in values]
        blocks.append(padded(rows)[moment])
    return np.concatenate(blocks, axis=1)
