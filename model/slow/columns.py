"""Log rows column by column: narrow arrays, so that millions of events fit and load fast."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.interactions import (
    NO_ATTRIBUTES,
    Attributes,
    EventRules,
    Kind,
    LogRow,
    Outcome,
    session_actor,
)

_CHUNK: Final = 50_000


@dataclass(frozen=True)
class Metadata:
    """Attributes by id; ids that nobody described have none.

    Attributes:
      items: Attributes of items.
      users: Attributes of users.
    """

    items: Mapping[str, Attributes]
    users: Mapping[str, Attributes]

    def item(self, item_id: str) -> Attributes:
        """The item's attributes."""
        return self.items.get(item_id, NO_ATTRIBUTES)

    def user(self, user_id: str) -> Attributes:
        """The user's attributes."""
        return self.users.get(user_id, NO_ATTRIBUTES)


@dataclass(frozen=True)
class Coded:
    """A column of texts of which many repeat: each different text once, and numbers.

    Attributes:
      terms: The different texts; some may not occur in this column.
      codes: [events] place of each event's text among them.
    """

    terms: list[str]
    codes: NDArray[np.int32]

    def __len__(self) -> int:
        """Number of events."""
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        """The texts, event by event."""
        return (self.terms[code] for code in self.codes.tolist())

    def different(self) -> list[str]:
        """The texts that occur, in order of appearance."""
        codes, first = np.unique(self.codes, return_index=True)
        return [self.terms[code] for code in codes[np.argsort(first)].tolist()]

    def n_different(self) -> int:
        """How many different texts occur."""
        return len(np.unique(self.codes))

    def take(self, which: NDArray[Any]) -> "Coded":
        """The column at these positions."""
        return Coded(self.terms, self.codes[which])

    def mapped(self, numbers: Callable[[list[str]], NDArray[np.int32]]) -> NDArray[np.int32]:
        """[events] what `numbers` makes of each text, asked once for each different one."""
        return np.asarray(numbers(self.terms)[self.codes], np.int32)


@dataclass(frozen=True)
class EventColumns:
    """Events with an item, in log order, retracted ones left out.

    Attributes:
      seq: [events] log positions.
      actor: The user id, or the session's where nobody signed in.
      signed_in: [events] whether `actor` is a user id.
      item: Item ids.
      outcome: [events] `Outcome` values.
      labelled: [events] whether the event says anything of success or failure.
      weight: [events] how much it counts.
      timestamp_ms: [events] when it happened.
      moment: [events] place of the event's attributes among `moments`.
      moments: The different attributes of the moment; the first has none.
    """

    seq: NDArray[np.int64]
    actor: Coded
    signed_in: NDArray[np.bool_]
    item: Coded
    outcome: NDArray[np.int8]
    labelled: NDArray[np.bool_]
    weight: NDArray[np.float32]
    timestamp_ms: NDArray[np.int64]
    moment: NDArray[np.int32]
    moments: list[Attributes] = field(default_factory=lambda: [NO_ATTRIBUTES])

    def __len__(self) -> int:
        """Number of events."""
        return len(self.seq)

    def take(self, which: NDArray[Any]) -> "EventColumns":
        """The events at these positions, in this order, or where a mask is true."""
        return EventColumns(
            seq=self.seq[which],
            actor=self.actor.take(which),
            signed_in=self.signed_in[which],
            item=self.item.take(which),
            outcome=self.outcome[which],
            labelled=self.labelled[which],
            weight=self.weight[which],
            timestamp_ms=self.timestamp_ms[which],
            moment=self.moment[which],
            moments=self.moments,
        )

    def by_time(self) -> NDArray[np.intp]:
        """Positions in order of time, then log position."""
        return np.lexsort((self.seq, self.timestamp_ms))

    def moments_met(self) -> list[Attributes]:
        """The different attributes of the moment that occur."""
        return [self.moments[code] for code in np.unique(self.moment).tolist()]


def event_columns(rows: Iterable[LogRow], rules: EventRules) -> EventColumns:
    """The columns of log rows; metadata rows, retractions and what they retract are left out."""
    reader = _Reader(rules)
    remaining = iter(rows)
    while chunk := list(islice(remaining, _CHUNK)):
        reader.read(chunk)
    return reader.columns()


class _Numbers(dict[Any, int]):
    """Numbers keys in order of their first appearance."""

    def __missing__(self, key: Any) -> int:
        self[key] = number = len(self)
        return number

    def of(self, keys: Iterable[Any], length: int) -> NDArray[np.int32]:
        """[length] the numbers of keys, known ones and new ones."""
        return np.fromiter(map(self.__getitem__, keys), np.int32, length)


class _Reader:
    """Gathers columns chunk by chunk; what repeats is looked at once."""

    def __init__(self, rules: EventRules) -> None:
        self._rules = rules
        self._actors, self._items, self._details = _Numbers(), _Numbers(), _Numbers({None: 0})
        self._moments: list[Attributes] = [NO_ATTRIBUTES]
        self._moment_of_details = [0]
        self._retracts: list[str | None] = [None]
        self._event_ids: list[str | None] = []
        self._retracted: set[str] = set()
        self._chunks: list[tuple[NDArray[Any], ...]] = []

    def read(self, rows: list[LogRow]) -> None:
        events = [row for row in rows if row.kind == Kind.EVENT]
        if not events:
            return
        fields = zip(*events, strict=True)
        column: dict[str, Sequence[Any]] = dict(zip(LogRow._fields, fields, strict=True))
        details = self._details.of(column["details"], len(events))
        self._parse(islice(self._details, len(self._retracts), None))
        retracts = np.array([text is not None for text in self._retracts], bool)[details]
        self._retracted.update(
            text for n in np.flatnonzero(retracts) if (text := self._retracts[details[n]])
        )
        kept = ~retracts & np.array([item is not None for item in column["item_id"]], bool)
        if not kept.all():
            at = np.flatnonzero(kept).tolist()
            column = {name: [values[n] for n in at] for name, values in column.items()}
            details = details[kept]
        if len(details):
            self._gather(column, details)

    def _parse(self, fresh: Iterable[str]) -> None:
        """Reads details that have not come before."""
        for text in fresh:
            parsed = json.loads(text)
            self._retracts.append(parsed.get("retracts") or None)
            properties = parsed.get("properties")
            self._moment_of_details.append(len(self._moments) if properties else 0)
            if properties:
                self._moments.append(properties)

    def _gather(self, column: Mapping[str, Any], details: NDArray[np.int32]) -> None:
        length = len(details)
        users, sessions = column["user_id"], column["session_id"]
        signed_in = np.array([user is not None for user in users], bool)
        actors = (
            users
            if signed_in.all()
            else [
                user if user is not None else session_actor(session) if session is not None else ""
                for user, session in zip(users, sessions, strict=True)
            ]
        )
        types = list(column["event_type"])
        values = np.array(column["value"], np.float64)  # None becomes NaN
        outcome = self._rules.outcomes(types, values)
        by_value = {name: rule.by_value for name, rule in self._rules.rules.items()}
        rated = np.fromiter((by_value.get(t, False) for t in types), bool, length)
        self._event_ids.extend(column["event_id"])
        self._chunks.append(
            (
                np.array(column["seq"], np.int64),
                self._actors.of(actors, length),
                signed_in,
                self._items.of(column["item_id"], length),
                outcome,
                (outcome != Outcome.NEUTRAL) | (rated & ~np.isnan(values)),
                self._rules.weights(types),
                np.array(column["timestamp_ms"], np.int64),
                np.array(self._moment_of_details, np.int32)[details],
            )
        )

    def columns(self) -> EventColumns:
        kinds = ("i8", "i4", "?", "i4", "i1", "?", "f4", "i8", "i4")
        empty = tuple(np.empty(0, kind) for kind in kinds)
        parts = [np.concatenate(part) for part in zip(empty, *self._chunks, strict=True)]
        seq, actor, signed_in, item, outcome, labelled, weight, time, moment = parts
        columns = EventColumns(
            seq=seq,
            actor=Coded(list(self._actors), actor),
            signed_in=signed_in,
            item=Coded(list(self._items), item),
            outcome=outcome,
            labelled=labelled,
            weight=weight,
            timestamp_ms=time,
            moment=moment,
            moments=self._moments,
        )
        if not self._retracted:
            return columns
        ids = self._event_ids
        return columns.take(np.array([event_id not in self._retracted for event_id in ids], bool))
