"""Log rows as examples: whoever learns an event must not have seen it, nor its ties."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.interactions import EventRules, LogRow, Outcome
from model.slow.columns import Metadata, event_columns
from model.slow.examples import Examples
from model.slow.features import AttributeSpace, FeatureSpace, fit_spaces
from model.slow.schema import AttributeType, Schema
from model.slow.vocabulary import Vocabulary

RULES = EventRules()
NO_METADATA = Metadata({}, {})
HISTORY = 3


def event(seq, user, item, value, time, **details):
    return LogRow(
        seq,
        0,
        f"e{seq}",
        "rating",
        user,
        item,
        value,
        time,
        0,
        None,
        json.dumps(details) if details else None,
    )


def encoded(rows, query=None):
    columns = event_columns(rows, RULES)
    space = FeatureSpace(
        items=Vocabulary(sorted(set(columns.item))),
        users=Vocabulary(sorted(set(columns.actor))),
        item_attributes=AttributeSpace([]),
        query_attributes=query or AttributeSpace([]),
        history=HISTORY,
        wide_history=1,
    )
    return Examples(columns, space, NO_METADATA)


events = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.sampled_from("abcde"),
        st.sampled_from([1.0, 3.0, 5.0]),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=25,
)


@given(drawn=events)
def test_histories_equal_a_slow_search_of_strictly_earlier_events(drawn):
    rows = [event(n, *parts) for n, parts in enumerate(drawn, 1)]
    examples = encoded(rows)
    batch = examples.queries(np.arange(len(examples)))
    ordered = sorted(rows, key=lambda row: (row.timestamp_ms, row.seq))
    number = examples.space.items.number
    for place, row in enumerate(ordered):
        before = [
            r for r in ordered if r.user_id == row.user_id and r.timestamp_ms < row.timestamp_ms
        ]
        for outcome, found in ((5.0, batch.liked), (1.0, batch.disliked)):
            newest = [number(r.item_id) for r in reversed(before) if r.value == outcome][:HISTORY]
            assert [i for i in found[place].tolist() if i >= 0] == newest
        expected_last = number(before[-1].item_id) if before else -1
        assert batch.last[place] == expected_last
        seen_row, seen_item = examples.seen(np.array([place]))
        assert sorted(seen_item.tolist()) == sorted(number(r.item_id) for r in before)
        assert not seen_row.any()


def test_events_with_one_time_stamp_do_not_see_each_other():
    examples = encoded([event(1, "ann", "a", 5.0, 10), event(2, "ann", "b", 5.0, 10)])
    assert (examples.queries(np.arange(2)).liked == -1).all()


def test_a_retraction_removes_the_event_and_itself():
    taken_back = event(3, "ann", None, None, 12, retracts="e1")
    rows = [event(1, "ann", "a", 5.0, 10), event(2, "ann", "b", 1.0, 11), taken_back]
    assert event_columns(rows, RULES).item.different() == ["b"]
    # a retraction that comes first works as well
    assert event_columns([taken_back, *rows[:2]], RULES).item.different() == ["b"]


def test_a_neutral_rating_teaches_the_outcome_and_is_no_success():
    columns = event_columns([event(1, "ann", "a", 3.0, 1)], RULES)
    assert columns.labelled.tolist() == [True]
    assert columns.outcome.tolist() == [Outcome.NEUTRAL]


def test_an_impression_says_nothing_of_success():
    shown = LogRow(1, 0, "e", "impression", "ann", "a", None, 1, 0, None, None)
    assert event_columns([shown], RULES).labelled.tolist() == [False]


def test_metadata_rows_are_no_events():
    described = LogRow(1, 1, None, None, None, "a", None, 1, 0, None, "{}")
    assert len(event_columns([described], RULES)) == 0


def test_a_session_has_a_history_and_no_user_number():
    first = LogRow(1, 0, "e1", "click", None, "a", None, 1, 0, "s", None)
    second = LogRow(2, 0, "e2", "click", None, "b", None, 2, 0, "s", None)
    batch = encoded([first, second]).queries(np.arange(2))
    assert batch.user.tolist() == [0, 0]
    assert batch.liked[1, 0] == 1


def test_context_and_hour_are_slots_of_the_event():
    schema = Schema(item={}, user={}, context={"device": AttributeType.CATEGORY})
    _, query = fit_spaces(schema, [], [], [{"device": "phone"}], 4)
    rows = [
        event(1, "ann", "a", 5.0, 13 * 3_600_000, properties={"device": "phone"}),
        event(2, "ann", "b", 5.0, 14 * 3_600_000),
    ]
    examples = encoded(rows, query)
    slots = examples.queries(np.arange(2)).attributes
    named = [[query.words(slot) for slot in row if slot >= 0] for row in slots.tolist()]
    assert named == [
        ["context.device=phone", "context.hour=13"],
        ["context.device=unknown", "context.hour=14"],
    ]


def test_training_slots_equal_serving_slots():
    schema = Schema(item={}, user={"job": AttributeType.CATEGORY}, context={})
    metadata = Metadata({}, {"ann": {"job": "writer"}})
    _, query = fit_spaces(schema, [], [{"job": "writer"}], [], 4)
    columns = event_columns([event(1, "ann", "a", 5.0, 5 * 3_600_000)], RULES)
    space = FeatureSpace(Vocabulary(["a"]), Vocabulary(["ann"]), AttributeSpace([]), query, 3, 1)
    trained = Examples(columns, space, metadata).queries(np.arange(1)).attributes[0].tolist()
    served = space.user_slots({"job": "writer"}) + space.context_slots({}, 5 * 3_600_000)
    assert trained == served


def test_taking_some_events_keeps_their_columns_together():
    rows = [event(n, "ann", item, 5.0, n, properties={"x": item}) for n, item in enumerate("abc")]
    taken = event_columns(rows, RULES).take(np.array([2, 0]))
    assert list(taken.item) == ["c", "a"]
    assert [taken.moments[n]["x"] for n in taken.moment] == ["c", "a"]
    assert taken.seq.tolist() == [2, 0]
