import pytest

from model.acceptance import check_event, check_id, check_moment, epoch_ms, iso_ms, moment
from model.errors import BadInputError
from model.interactions import Event, EventRules

NOON_MS = 1_704_110_400_000  # 2024-01-01T12:00:00Z


def refusal(function, *arguments):
    with pytest.raises(BadInputError) as refused:
        function(*arguments)
    return refused.value.code


def test_a_moment_is_shown_in_utc():
    assert moment(NOON_MS) == "2024-01-01 12:00:00 UTC"


def test_the_last_millisecond_of_the_calendar_is_a_moment_and_the_next_is_not():
    last = epoch_ms(253_402_300_799_999)
    assert moment(last) == "9999-12-31 23:59:59 UTC"
    assert iso_ms("9999-12-31T23:59:59.999Z") == last
    assert refusal(epoch_ms, last + 1) == "invalid_timestamp"
    for number in (10**400, -(10**13) * 7, -(10**10) * 9.9, float("nan"), float("-inf")):
        assert refusal(epoch_ms, number) == "invalid_timestamp"
    assert moment(epoch_ms(-62_135_596_800_000)).startswith("1-01-01")


@pytest.mark.parametrize("beyond", ["9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+23:59"])
def test_a_moment_whose_zone_puts_it_beyond_the_calendar_is_none(beyond):
    assert refusal(iso_ms, beyond) == "invalid_timestamp"


def test_an_event_lies_between_1990_and_five_minutes_from_now():
    def check(timestamp_ms):
        event = Event("e", "click", timestamp_ms, "u", "i")
        check_event(event, EventRules(), NOON_MS)

    check(631_152_000_000)
    check(NOON_MS + 300_000)
    assert refusal(check, 631_152_000_000 - 1) == "timestamp_too_old"
    assert refusal(check, NOON_MS + 300_001) == "timestamp_in_future"
    assert refusal(check_moment, NOON_MS + 1, NOON_MS) == "timestamp_in_future"


@pytest.mark.parametrize("text", ["x", "x" * 256, "käse 4", "a\u00a0b", "💡"])
def test_an_id_of_up_to_256_characters_is_taken_as_it_is(text):
    assert check_id("item_id", text) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "missing_item_id"),
        ("x" * 257, "invalid_item_id"),
        ("a\nb", "invalid_item_id"),
        ("a\x7fb", "invalid_item_id"),
        ("\0", "invalid_item_id"),
    ],
)
def test_what_is_no_id_is_refused(text, code):
    assert refusal(check_id, "item_id", text) == code


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"event_type": "clack"}, "unknown_event_type"),
        ({"user_id": None}, "missing_user_id"),
        ({"item_id": None}, "missing_item_id"),
        ({"item_id": None, "event_type": "impression"}, "missing_item_id"),
        ({"event_type": "rating"}, "missing_value"),
    ],
)
def test_an_event_that_cannot_be_meant_has_its_code(fields, code):
    known = {"event_type": "click", "user_id": "u", "item_id": "i"} | fields
    event = Event(event_id="e", timestamp_ms=NOON_MS, **known)
    assert refusal(check_event, event, EventRules(), NOON_MS) == code


@pytest.mark.parametrize(
    "fields",
    [
        {"user_id": None, "session_id": "s"},
        {"item_id": None, "event_type": "impression", "shown_items": ("i",)},
        {"item_id": None, "retracts": "other"},
        {"event_type": "rating", "value": 3.0},
        {"event_type": "rating", "retracts": "other"},
    ],
)
def test_an_event_that_can_be_meant_is_taken(fields):
    known = {"event_type": "click", "user_id": "u", "item_id": "i"} | fields
    check_event(Event(event_id="e", timestamp_ms=NOON_MS, **known), EventRules(), NOON_MS)
