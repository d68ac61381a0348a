import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.interactions import EventRules
from pipelines.evaluation.protocols.order import (
    by_time,
    groups,
    met_before,
    nights,
    numbered,
    outcomes,
)

SMALL = st.integers(0, 4)


def test_numbers_come_in_the_order_of_size_and_text_by_length():
    assert numbered(np.array([10, 9, 10]))[0] == ["9", "10"]
    assert numbered(np.array(["10", "9", "10"]))[0] == ["9", "10"]
    assert numbered(np.array(["N10", "N9", "M99"], object))[0] == ["N9", "M99", "N10"]


@given(st.lists(st.text("ab1", max_size=3), min_size=1))
def test_an_ids_number_leads_back_to_it(ids):
    names, numbers = numbered(np.array(ids, object))
    assert [names[number] for number in numbers] == ids
    assert sorted(names) == sorted(set(ids))


@given(st.lists(st.integers(0, 99), min_size=1), st.randoms(use_true_random=False))
def test_an_ids_number_does_not_depend_on_the_order_of_the_rows(ids, chance):
    mixed = list(ids)
    chance.shuffle(mixed)
    assert numbered(np.array(ids))[0] == numbered(np.array(mixed))[0]


def test_rows_of_one_moment_stand_in_the_order_of_the_columns_given():
    time = np.array([5, 3, 5, 5], np.int64)
    actor, item = np.array([1, 9, 0, 1], np.int32), np.array([4, 0, 8, 2], np.int32)
    assert by_time(time, actor, item).tolist() == [1, 2, 3, 0]


def test_a_group_is_a_moment_and_is_parted_at_the_bootstrap():
    time = np.array([1, 1, 2, 2, 2, 3], np.int64)
    assert groups(time, 2).tolist() == [0, 0, 1, 1, 1, 2]
    assert groups(time, 3).tolist() == [0, 0, 1, 2, 2, 3]


def test_a_night_falls_where_the_day_changes_in_the_replay():
    day = np.array([0, 1, 1, 1, 4, 4, 5])
    assert nights(day, 2).tolist() == [4, 6]
    # whoever starts at the change of day has learned the day before already
    assert nights(day, 4).tolist() == [6]


@given(st.lists(st.tuples(SMALL, SMALL, st.booleans()), min_size=1))
def test_an_item_is_met_when_an_earlier_group_holds_it(rows):
    actor, item, new = (np.array(column) for column in zip(*rows, strict=True))
    group = np.cumsum(new)
    expected = [
        any(
            (actor[before], item[before]) == (actor[row], item[row]) and group[before] < group[row]
            for before in range(row)
        )
        for row in range(len(rows))
    ]
    assert met_before(actor.astype(np.int32), item.astype(np.int32), group).tolist() == expected


def test_outcomes_are_those_of_the_rules():
    rules = EventRules()
    kind = np.array([0, 1, 1, 0], np.int8)
    assert outcomes(rules, ["click", "skip"], kind).tolist() == [1, -1, -1, 1]
    value = np.array([5.0, 3.0, 1.0, np.nan], np.float32)
    assert outcomes(rules, ["rating"], np.zeros(4, np.int8), value).tolist() == [1, 0, -1, 0]
