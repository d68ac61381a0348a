"""What is taken, whoever sends it: which moments, ids and events can be meant.

The service and the import both come through here, so that an event is good or bad in one
way only.
"""

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Final

from model.errors import BadInputError
from model.interactions import Event, EventRules

EARLIEST_MS: Final = 631_152_000_000  # 1990-01-01
CLOCK_SKEW_MS: Final = 300_000
MAX_ID_CHARACTERS: Final = 256
# Where calendars begin and end: the years 1 and 9999.
FIRST_MS: Final = -62_135_596_800_000
LATEST_MS: Final = 253_402_300_799_999

# Below this a number counts seconds: as milliseconds it would lie before March 1973,
# as seconds it reaches the year 5138.
_SECONDS_BELOW: Final = 1e11
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXAMPLE: Final = "such as 2026-01-31T12:00:00Z"


def moment(time_ms: int) -> str:
    """A time for people, in UTC."""
    return f"{_EPOCH + timedelta(milliseconds=time_ms):%Y-%m-%d %H:%M:%S} UTC"


def epoch_ms(number: float) -> int:
    """A moment in milliseconds since 1970-01-01 UTC, told in those or in seconds.

    Raises:
      BadInputError: If the number is not finite or no calendar has a day for it.
    """
    # false for NaN too
    if FIRST_MS <= number <= LATEST_MS:
        time_ms = round(number * 1_000) if abs(number) < _SECONDS_BELOW else round(number)
        if time_ms >= FIRST_MS:
            return time_ms
    raise BadInputError("timestamp must be a finite number of this era", "invalid_timestamp")


def iso_ms(text: str) -> int:
    """A moment in milliseconds since 1970-01-01 UTC, from ISO 8601 text with a zone.

    Raises:
      BadInputError: For anything else; code `timestamp_naive` for a time without a zone.
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError(
            f"timestamp must be ISO 8601 with a time zone, {_EXAMPLE}, or seconds or "
            "milliseconds since 1970",
            "invalid_timestamp",
        ) from None
    if when.tzinfo is None:
        raise BadInputError(f"timestamp must carry a time zone, {_EXAMPLE}", "timestamp_naive")
    time_ms = (when - _EPOCH) // timedelta(milliseconds=1)
    if not FIRST_MS <= time_ms <= LATEST_MS:
        # its zone puts it beyond the calendar
        raise BadInputError("timestamp must lie between the years 1 and 9999", "invalid_timestamp")
    return time_ms


def check_moment(timestamp_ms: int, latest_ms: int) -> None:
    """Refuses a moment that cannot be meant.

    Raises:
      BadInputError: If it lies before 1990 or after `latest_ms`.
    """
    if timestamp_ms > latest_ms:
        raise BadInputError(
            f"timestamp lies in the future: {moment(timestamp_ms)} is after {moment(latest_ms)}",
            "timestamp_in_future",
        )
    if timestamp_ms < EARLIEST_MS:
        raise BadInputError(
            "timestamp lies before 1990-01-01; a number counts seconds or milliseconds since 1970",
            "timestamp_too_old",
        )


def check_id(name: str, text: str) -> str:
    """The text, when it can be an id: 1 to 256 characters, none of them a control character.

    Raises:
      BadInputError: If it cannot.
    """
    if not text:
        raise BadInputError(f"{name} is missing", f"missing_{name}")
    if len(text) > MAX_ID_CHARACTERS:
        raise BadInputError(
            f"{name} must have at most {MAX_ID_CHARACTERS} characters, got {len(text):,}",
            f"invalid_{name}",
        )
    if not text.isprintable() and any(unicodedata.category(c) == "Cc" for c in text):
        raise BadInputError(f"{name} must not contain control characters", f"invalid_{name}")
    return text


def check_event(event: Event, rules: EventRules, now_ms: int) -> None:
    """Refuses an event that cannot be meant; the forms of its ids are taken for checked.

    Args:
      event: The event.
      rules: The event types that are known.
      now_ms: The present.

    Raises:
      BadInputError: If its type is unknown, its time impossible, or something it needs missing.
    """
    if event.event_type not in rules.rules:
        raise BadInputError(rules.unknown_type(event.event_type), "unknown_event_type")
    check_moment(event.timestamp_ms, now_ms + CLOCK_SKEW_MS)
    if event.user_id is None and event.session_id is None:
        raise BadInputError("user_id or session_id is required", "missing_user_id")
    if event.retracts is not None:
        return
    if event.item_id is None and not (event.event_type == "impression" and event.shown_items):
        raise BadInputError("item_id is required", "missing_item_id")
    if event.event_type == "rating" and event.value is None:
        raise BadInputError("value is required for rating", "missing_value")
