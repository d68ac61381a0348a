import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BadInputError
from pipelines.parsing import (
    AttributeCells,
    canonical,
    number,
    timestamp_ms,
    truth,
)
from pipelines.readers.tables import CellType

NOON_MS = 1_704_110_400_000  # 2024-01-01T12:00:00Z


def refusal(function, *arguments):
    with pytest.raises(BadInputError) as refused:
        function(*arguments)
    return refused.value.code


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01T12:00:00Z",
        "2024-01-01 12:00:00+00:00",
        "2024-01-01T14:30:00+02:30",
        "1704110400",
        "1704110400.0",
        " 1704110400 ",
        "1704110400000",
        "1.7041104e9",
    ],
)
def test_a_moment_reads_the_same_in_every_form(text):
    assert timestamp_ms(text) == NOON_MS


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    st.integers(-23 * 60, 23 * 60),
)
def test_any_zone_gives_the_same_moment(naive, minutes):
    when = naive.replace(tzinfo=UTC)
    expected = math.floor(when.timestamp() * 1_000_000 / 1_000 + 1e-4)
    elsewhere = when.astimezone(timezone(timedelta(minutes=minutes)))
    assert abs(timestamp_ms(elsewhere.isoformat()) - expected) <= 1
    assert timestamp_ms(elsewhere.isoformat()) == timestamp_ms(when.isoformat())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "missing_timestamp"),
        ("2024-01-01T12:00:00", "timestamp_naive"),
        ("2024-01-01", "timestamp_naive"),
        ("yesterday", "invalid_timestamp"),
        ("12/31/2023", "invalid_timestamp"),
        ("nan", "invalid_timestamp"),
        ("inf", "invalid_timestamp"),
        ("1e400", "invalid_timestamp"),
        ("9" * 100_000, "invalid_timestamp"),
    ],
)
def test_what_is_no_moment_is_refused_by_code(text, code):
    assert refusal(timestamp_ms, text) == code


@pytest.mark.parametrize("text", ["four", "", "nan", "inf", "-inf", "1e400", "1_000", "0x10"])
def test_what_is_no_finite_number_is_refused(text):
    assert refusal(number, "value", text) == "invalid_value"


def test_numbers_are_read():
    assert [number("value", text) for text in ("4", "-0.5", "1e3")] == [4.0, -0.5, 1_000.0]


def test_a_refusal_does_not_repeat_a_long_text():
    with pytest.raises(BadInputError) as refused:
        number("value", "x" * 100_000)
    assert len(str(refused.value)) < 200


def test_truths_are_read_and_anything_else_refused():
    assert [truth("hidden", text) for text in ("true", "TRUE", "1", "False", "0")] == [
        *(True, True, True, False, False)
    ]
    assert refusal(truth, "hidden", "maybe") == "invalid_hidden"


def values_of(cells, declared=None, **kinds):
    columns = AttributeCells(["x"], declared or {}, **kinds)
    for cell in cells:
        columns.see("x", cell)
    return [columns.values({"x": cell}).get("x") for cell in cells]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "2.5", "-3e2"], [1.0, 2.5, -300.0]),
        (["1", "two"], ["1", "two"]),
        (["1", "NaN"], [1.0, None]),
        (["1", "inf"], ["1", "inf"]),
        (["1", "1e999"], ["1", "1e999"]),
        (["01", "2"], ["01", "2"]),
        (["12345678901234567"], ["12345678901234567"]),
        (["true", "False"], [True, False]),
        (["true", "1"], ["true", "1"]),
        (["a|b", "c"], [("a", "b"), ("c",)]),
        ([("a", "b"), ("c",)], [("a", "b"), ("c",)]),
        (["a | b|", "|"], [("a", "b"), None]),
        (["1|2", "3"], [("1", "2"), ("3",)]),
    ],
)
def test_a_column_is_judged_by_all_its_cells(cells, values):
    assert values_of(cells) == values


def test_text_columns_keep_their_digits():
    assert values_of(["1", "2"], plain_text=frozenset({"x"})) == ["1", "2"]


def test_the_bar_separates_nothing_in_a_column_of_single_values():
    assert values_of(["a|b"], unlisted=frozenset({"x"})) == ["a|b"]


def test_declared_columns_hold_what_they_are_declared_to_hold():
    assert values_of(["1"], {"x": CellType.TEXT}) == ["1"]
    assert values_of(["a"], {"x": CellType.LIST}) == [("a",)]
    assert values_of(["05", "nan"], {"x": CellType.NUMBER}) == [5.0, None]
    with pytest.raises(BadInputError, match="x must be a finite number, got 'five'"):
        values_of(["5", "five"], {"x": CellType.NUMBER})


@pytest.mark.parametrize(
    ("one", "other"), [("3", 3.0), ("3.0", "3"), ("TRUE", True), ("a|b", ("a", "b"))]
)
def test_forms_of_one_value_have_one_canonical_text(one, other):
    assert canonical(one) == canonical(other)


def test_different_values_have_different_canonical_texts():
    assert len({canonical(value) for value in ("03", "3", "3.5", "a", "A", "true")}) == 6
