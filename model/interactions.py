"""Events, metadata changes and what an event means: success, failure or neither.

Times are integer milliseconds since 1970-01-01 UTC, so that they survive every
store and every language unchanged.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError

AttributeValue: TypeAlias = str | float | bool | tuple[str, ...]
"""One attribute of a user, an item or a request; a tuple holds several categories."""

Attributes: TypeAlias = Mapping[str, AttributeValue]

NO_ATTRIBUTES: Final[Attributes] = MappingProxyType({})


class Outcome(IntEnum):
    """What an event says about the item it names."""

    FAILURE = -1
    NEUTRAL = 0
    SUCCESS = 1


class Kind(IntEnum):
    """What a log row records."""

    EVENT = 0
    ITEM = 1
    USER = 2
    ERASURE = 3


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a user did, or was shown.

    Attributes:
      event_id: Client-made and unique; the same id again is the same event.
      event_type: A name from the rules table, such as `click`.
      timestamp_ms: When it happened.
      value: The rating for `rating` events, free otherwise.
      request_id: The recommendation it answers.
      shown_items: What was on the screen, first position first, for `impression`.
      retracts: The id of an event that is taken back.
      properties: Attributes of the moment, such as the device.
    """

    event_id: str
    event_type: str
    timestamp_ms: int
    user_id: str | None = None
    item_id: str | None = None
    value: float | None = None
    session_id: str | None = None
    request_id: str | None = None
    shown_items: tuple[str, ...] = ()
    retracts: str | None = None
    properties: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemChange:
    """The whole metadata of an item from now on; `attributes` None deletes the item.

    Attributes:
      hidden: True keeps the item out of every list.
      available_from_ms: First moment it may be recommended; None for always.
      available_until_ms: First moment it may no longer be recommended; None for never.
    """

    item_id: str
    attributes: Attributes | None
    hidden: bool = False
    available_from_ms: int | None = None
    available_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class UserChange:
    """The whole metadata of a user from now on; `attributes` None deletes it."""

    user_id: str
    attributes: Attributes | None


Entry: TypeAlias = Event | ItemChange | UserChange


class LogRow(NamedTuple):
    """One row of the log as it is stored: narrow, so that a million of them read fast.

    Attributes:
      seq: Position in the log, rising, never reused.
      kind: A `Kind` value.
      timestamp_ms: When it happened; for metadata, when it was received.
      received_ms: When the log took it.
      details: JSON text with what has no column of its own, or None.
    """

    seq: int
    kind: int
    event_id: str | None
    event_type: str | None
    user_id: str | None
    item_id: str | None
    value: float | None
    timestamp_ms: int
    received_ms: int
    session_id: str | None
    details: str | None


def session_actor(session_id: str) -> str:
    """The name under which an anonymous session is remembered.

    It begins with a control character, which no id may hold: a session can never be
    taken for a user.
    """
    return f"\x1f{session_id}"


def actor_of(row: LogRow) -> str | None:
    """Whose event this is: the user, or the session where nobody signed in."""
    if row.user_id is not None:
        return row.user_id
    return None if row.session_id is None else session_actor(row.session_id)


@dataclass(frozen=True, slots=True)
class Rule:
    """How events of one type count.

    Attributes:
      outcome: What such an event says; ignored where `by_value` is true.
      weight: How much it counts in training and memory, above 0.
      by_value: Whether the event's value decides, by the rating thresholds.
    """

    outcome: Outcome
    weight: float = 1.0
    by_value: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.weight <= 100.0:
            raise BadInputError(f"event weight must lie in (0, 100], got {self.weight}")


DEFAULT_RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "view": Rule(Outcome.SUCCESS, 0.5),
        "click": Rule(Outcome.SUCCESS),
        "add_to_cart": Rule(Outcome.SUCCESS, 2.0),
        "purchase": Rule(Outcome.SUCCESS, 3.0),
        "like": Rule(Outcome.SUCCESS),
        "dislike": Rule(Outcome.FAILURE),
        "rating": Rule(Outcome.NEUTRAL, by_value=True),
        "impression": Rule(Outcome.NEUTRAL),
        "skip": Rule(Outcome.FAILURE, 0.5),
        "hide": Rule(Outcome.FAILURE, 2.0),
    }
)

# These say "never again", not only "not this time": the item leaves the user's lists.
EXCLUDING_TYPES: Final = frozenset({"dislike", "hide"})


@dataclass(frozen=True)
class EventRules:
    """The one table that maps event types to success, failure or neither.

    Attributes:
      rules: Rule by event type.
      success_value: A value at or above this is a success, where the value decides.
      failure_value: A value at or below this is a failure, where the value decides.
    """

    rules: Mapping[str, Rule] = field(default_factory=lambda: DEFAULT_RULES)
    success_value: float = 4.0
    failure_value: float = 2.0

    def __post_init__(self) -> None:
        if self.failure_value >= self.success_value:
            raise BadInputError(
                f"failure_value must lie below success_value, got failure_value "
                f"{self.failure_value} and success_value {self.success_value}"
            )

    def outcome(self, event_type: str, value: float | None) -> Outcome:
        """What an event of this type with this value says.

        Raises:
          BadInputError: If the type is not in the table.
        """
        rule = self.rules.get(event_type)
        if rule is None:
            raise BadInputError(self.unknown_type(event_type), "unknown_event_type")
        if not rule.by_value:
            return rule.outcome
        if value is None:
            return Outcome.NEUTRAL
        if value >= self.success_value:
            return Outcome.SUCCESS
        return Outcome.FAILURE if value <= self.failure_value else Outcome.NEUTRAL

    def unknown_type(self, event_type: str) -> str:
        """The message for an event type that is not in the table."""
        shown = event_type if len(event_type) <= 60 else event_type[:60] + "…"
        return f"event_type must be one of {', '.join(sorted(self.rules))}; got {shown!r}"

    def outcomes(self, event_types: list[str], values: NDArray[np.float64]) -> NDArray[np.int8]:
        """Outcomes of many events at once; NaN stands for no value, unknown types are neutral.

        Args:
          event_types: [events] type of each event.
          values: [events] value of each event.

        Returns:
          [events] `Outcome` values.
        """
        names = list(self.rules)
        code = {name: number for number, name in enumerate(names)}
        codes = np.fromiter((code.get(t, -1) for t in event_types), np.int32, len(event_types))
        fixed = np.array([*(int(self.rules[name].outcome) for name in names), 0], np.int8)
        by_value = np.array([*(self.rules[name].by_value for name in names), False])
        # NaN compares false with both, which makes it neutral
        judged = (values >= self.success_value).astype(np.int8) - (values <= self.failure_value)
        return np.where(by_value[codes], judged, fixed[codes]).astype(np.int8)

    def weights(self, event_types: list[str]) -> NDArray[np.float32]:
        """[events] weight of each event; 0 for a type that is not in the table."""
        by_type = {name: rule.weight for name, rule in self.rules.items()}
        return np.fromiter((by_type.get(t, 0.0) for t in event_types), np.float32, len(event_types))


def attribute_from_json(value: Any) -> AttributeValue:
    """A JSON value as an attribute: strings, numbers, booleans or a list of strings.

    Raises:
      BadInputError: For anything else, and for numbers that are not finite.
    """
    if isinstance(value, (str, bool)):
        return value
    if isinstance(value, (int, float)) and abs(value) <= sys.float_info.max:
        return float(value)
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise BadInputError(
        f"an attribute must be a string, a finite number, a boolean or a list of strings, "
        f"got {type(value).__name__}"
    )
