"""What events mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BadInputError
from model.interactions import (
    DEFAULT_RULES,
    EventRules,
    LogRow,
    Outcome,
    Rule,
    actor_of,
    attribute_from_json,
    session_actor,
)

types = st.sampled_from([*DEFAULT_RULES, "never_heard_of"])
values = st.one_of(st.none(), st.floats(-10, 10))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5.0, Outcome.SUCCESS),
        (4.0, Outcome.SUCCESS),
        (3.0, Outcome.NEUTRAL),
        (2.0, Outcome.FAILURE),
        (1.0, Outcome.FAILURE),
        (None, Outcome.NEUTRAL),
    ],
)
def test_a_rating_is_judged_by_the_thresholds(value, expected):
    assert EventRules().outcome("rating", value) is expected


def test_an_unknown_type_is_refused_with_the_known_ones_named():
    with pytest.raises(BadInputError, match=r"must be one of add_to_cart, click.*got 'poke'") as e:
        EventRules().outcome("poke", None)
    assert e.value.code == "unknown_event_type"


def test_a_very_long_unknown_type_is_not_echoed_whole():
    with pytest.raises(BadInputError) as refused:
        EventRules().outcome("x" * 10_000, None)
    assert len(str(refused.value)) < 400


@given(rows=st.lists(st.tuples(types, values), max_size=30))
def test_many_outcomes_at_once_equal_one_by_one(rows):
    rules = EventRules()
    names = [name for name, _ in rows]
    numbers = np.array([np.nan if value is None else value for _, value in rows], float)
    expected = [
        rules.outcome(name, value) if name in rules.rules else Outcome.NEUTRAL
        for name, value in rows
    ]
    assert rules.outcomes(names, numbers).tolist() == expected


def test_an_event_type_that_left_the_table_weighs_nothing():
    assert EventRules().weights(["purchase", "gone"]).tolist() == [3.0, 0.0]


def test_thresholds_that_overlap_are_refused():
    with pytest.raises(BadInputError, match="failure_value must lie below success_value"):
        EventRules(success_value=2.0, failure_value=3.0)


def test_a_weight_of_zero_is_refused():
    with pytest.raises(BadInputError, match="event weight must lie in"):
        Rule(Outcome.SUCCESS, 0.0)


def row(user_id, session_id):
    return LogRow(1, 0, "e", "click", user_id, "i", None, 0, 0, session_id, None)


def test_an_event_belongs_to_its_user_before_its_session():
    assert actor_of(row("ann", "s1")) == "ann"
    assert actor_of(row(None, "s1")) == session_actor("s1")
    assert actor_of(row(session_actor("s1")[1:], None)) != session_actor("s1")
    assert actor_of(row(None, None)) is None


@pytest.mark.parametrize("value", [None, {"a": 1}, [1, 2], float("nan"), float("inf"), 10**400])
def test_an_attribute_of_the_wrong_kind_is_refused(value):
    with pytest.raises(BadInputError, match="an attribute must be"):
        attribute_from_json(value)


def test_attributes_keep_their_meaning():
    assert attribute_from_json(3) == 3.0
    assert attribute_from_json(["a", "b"]) == ("a", "b")
    assert attribute_from_json(value=True) is True
