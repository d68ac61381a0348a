"""One user's memory is a function of the user's rows, whatever the order they come in."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.fast.exemplars import UserMemory
from model.interactions import EventRules, LogRow, Outcome

RULES = EventRules()


def row(seq, item, event_type="click", time=0, value=None, retracts=None):
    details = json.dumps({"retracts": retracts}) if retracts else None
    return LogRow(seq, 0, f"e{seq}", event_type, "ann", item, value, time, 0, None, details)


def remembered(rows):
    memory = UserMemory(RULES)
    memory.add(rows)
    return memory


drawn = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from(["click", "dislike", "view", "skip", "hide"]),
        st.integers(0, 5),
        st.one_of(st.none(), st.integers(1, 12)),
    ),
    max_size=12,
)


def rows_of(drawn):
    return [
        row(n, item, kind, time, retracts=f"e{target}" if target and target != n else None)
        for n, (item, kind, time, target) in enumerate(drawn, 1)
    ]


@given(drawn=drawn, cut=st.integers(0, 12))
def test_taking_rows_in_parts_equals_taking_them_at_once(drawn, cut):
    rows = rows_of(drawn)
    parts = UserMemory(RULES)
    parts.add(rows[:cut])
    parts.add(rows[cut:])
    assert parts.episodes == remembered(rows).episodes


@given(drawn=drawn)
def test_what_was_retracted_is_as_if_it_had_never_been(drawn):
    rows = rows_of(drawn)
    retractions = {json.loads(r.details)["retracts"] for r in rows if r.details}
    never = [r for r in rows if r.event_id not in retractions and not r.details]
    assert remembered(rows).episodes == remembered(never).episodes


@given(drawn=drawn, seed=st.integers(0, 99))
def test_arrival_order_does_not_matter(drawn, seed):
    rows = rows_of(drawn)
    shuffled = [rows[n] for n in np.random.default_rng(seed).permutation(len(rows))]
    assert remembered(shuffled).episodes == remembered(rows).episodes


def test_a_late_event_takes_its_place_in_time():
    memory = remembered([row(1, "new", time=100), row(2, "late", time=50)])
    assert [e.item_id for e in memory.newest(Outcome.SUCCESS, 5)] == ["new", "late"]


def test_outcomes_are_kept_apart():
    memory = remembered([row(1, "a"), row(2, "b", "dislike", 1), row(3, "c", "impression", 2)])
    assert [e.item_id for e in memory.newest(Outcome.SUCCESS, 5)] == ["a"]
    assert [e.item_id for e in memory.newest(Outcome.FAILURE, 5)] == ["b"]
    assert memory.seen() == {"a", "b", "c"}


def test_a_dislike_refuses_the_item_until_a_later_success():
    refused = [row(1, "a", "click", 1), row(2, "a", "dislike", 2)]
    assert remembered(refused).refused() == {"a"}
    assert remembered([*refused, row(3, "a", "purchase", 3)]).refused() == set()


def test_a_low_rating_is_a_failure_and_not_a_refusal():
    memory = remembered([row(1, "a", "rating", value=1.0)])
    assert memory.refused() == set()
    assert len(memory.newest(Outcome.FAILURE, 5)) == 1


def test_an_event_type_that_left_the_table_is_neutral():
    memory = remembered([row(1, "a", "gone")])
    assert memory.episodes[0].outcome is Outcome.NEUTRAL
