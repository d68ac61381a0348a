from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from model.acceptance import CLOCK_SKEW_MS, EARLIEST_MS
from model.interactions import EventRules
from service.acceptance import accept
from service.schemas.fields import timestamp_ms

NOW_MS = 1_780_000_000_000
RULES = EventRules()
GOOD = {"event_type": "click", "user_id": "u", "item_id": "i"}


def code_of(**changes):
    """The code that one event with these fields is refused with, or None."""
    fields = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    events, rejections = accept([fields], RULES, NOW_MS)
    assert len(events) + len(rejections) == 1
    return rejections[0].code if rejections else None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"event_type": ...}, "missing_event_type"),
        ({"event_type": "clack"}, "unknown_event_type"),
        ({"event_type": 3}, "invalid_event_type"),
        ({"user_id": ...}, "missing_user_id"),
        ({"user_id": None}, "missing_user_id"),
        ({"user_id": ..., "session_id": "s"}, None),
        ({"user_id": 7}, "invalid_user_id"),
        ({"user_id": ""}, "invalid_user_id"),
        ({"user_id": "u" * 256}, None),
        ({"user_id": "u" * 257}, "invalid_user_id"),
        ({"user_id": "a\u0000b"}, "invalid_user_id"),
        ({"user_id": "a\u0085b"}, "invalid_user_id"),
        ({"user_id": "Zoë 👩‍💻 中文"}, None),
        ({"item_id": ...}, "missing_item_id"),
        ({"item_id": ["i"]}, "invalid_item_id"),
        ({"item_id": ..., "retracts": "e"}, None),
        ({"item_id": ..., "event_type": "impression"}, "missing_item_id"),
        ({"item_id": ..., "event_type": "impression", "shown_items": []}, "missing_item_id"),
        ({"item_id": ..., "event_type": "impression", "shown_items": ["i"]}, None),
        ({"shown_items": ["i"] * 501}, "invalid_shown_items"),
        ({"event_type": "rating"}, "missing_value"),
        ({"event_type": "rating", "value": 4}, None),
        ({"event_type": "rating", "value": "4"}, "invalid_value"),
        ({"event_type": "rating", "value": True}, "invalid_value"),
        ({"value": float("nan")}, "invalid_value"),
        ({"value": float("inf")}, "invalid_value"),
        ({"value": 10**400}, "invalid_value"),
        ({"timestamp": NOW_MS}, None),
        ({"timestamp": NOW_MS + CLOCK_SKEW_MS}, None),
        ({"timestamp": NOW_MS + CLOCK_SKEW_MS + 1}, "timestamp_in_future"),
        ({"timestamp": 1e300}, "invalid_timestamp"),
        ({"timestamp": EARLIEST_MS}, None),
        ({"timestamp": EARLIEST_MS - 1}, "timestamp_too_old"),
        ({"timestamp": -1e300}, "invalid_timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "invalid_timestamp"),
        ({"timestamp": "0001-01-02T00:00:00+14:00"}, "timestamp_too_old"),
        ({"timestamp": "2024-01-01T00:00:00"}, "timestamp_naive"),
        ({"timestamp": "2024-01-01"}, "timestamp_naive"),
        ({"timestamp": "yesterday"}, "invalid_timestamp"),
        ({"timestamp": "9" * 100_000}, "invalid_timestamp"),
        ({"timestamp": float("nan")}, "invalid_timestamp"),
        ({"timestamp": float("-inf")}, "invalid_timestamp"),
        ({"timestamp": True}, "invalid_timestamp"),
        ({"timestamp": [1]}, "invalid_timestamp"),
        ({"properties": {"device": "phone", "depth": 3, "new": True, "tags": ["a"]}}, None),
        ({"properties": {"x": float("nan")}}, "invalid_properties"),
        ({"properties": {"x": 10**400}}, "invalid_properties"),
        ({"properties": {"x": {"y": 1}}}, "invalid_properties"),
        ({"properties": {"x": "y" * 1001}}, "invalid_properties"),
        ({"properties": {"x": ["y"] * 101}}, "invalid_properties"),
        ({"properties": {"x": ["y" * 257]}}, "invalid_properties"),
        ({"properties": {str(n): n for n in range(51)}}, "invalid_properties"),
        ({"properties": ["x"]}, "invalid_properties"),
        ({"rating": 5}, "unknown_field"),
        ({"x" * 100_000: 5}, "unknown_field"),
    ],
)
def test_each_kind_of_event_is_taken_or_has_its_code(changes, code):
    assert code_of(**changes) == code


@pytest.mark.parametrize("raw", [None, 3, "click", [], [GOOD], float("nan")])
def test_what_is_no_object_is_no_event(raw):
    events, rejections = accept([raw], RULES, NOW_MS)
    assert events == []
    assert [each.code for each in rejections] == ["invalid_event"]


def test_bad_events_do_not_reject_their_neighbours():
    raw = [GOOD, {}, GOOD | {"event_type": "clack"}, GOOD, 3]
    events, rejections = accept(raw, RULES, NOW_MS)
    assert len(events) == 2
    assert [(each.index, each.code) for each in rejections] == [
        (1, "missing_event_type"),
        (2, "unknown_event_type"),
        (4, "invalid_event"),
    ]


def test_no_message_repeats_a_long_value():
    long = "x" * 100_000
    for changes in ({"user_id": long}, {"event_type": long}, {long: 1}, {"timestamp": long}):
        _, rejections = accept([GOOD | changes], RULES, NOW_MS)
        assert len(rejections[0].detail) < 400


def test_an_event_without_a_time_happened_now_and_gets_an_id():
    (event, other), _ = accept([GOOD, GOOD], RULES, NOW_MS)
    assert event.timestamp_ms == NOW_MS
    assert event.event_id != other.event_id


@given(
    st.integers(EARLIEST_MS // 1_000, 4_000_000_000),
    st.integers(-14 * 60, 14 * 60),
)
def test_a_moment_reads_the_same_in_every_zone_and_notation(epoch_s, offset_minutes):
    local = datetime.fromtimestamp(epoch_s, timezone(timedelta(minutes=offset_minutes)))
    assert timestamp_ms(local.isoformat()) == epoch_s * 1_000
    assert timestamp_ms(epoch_s) == epoch_s * 1_000
    assert timestamp_ms(epoch_s * 1_000) == epoch_s * 1_000


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.booleans()))
def test_any_value_is_a_moment_or_refused(value):
    with suppress(PydanticCustomError):
        assert isinstance(timestamp_ms(value), int)
