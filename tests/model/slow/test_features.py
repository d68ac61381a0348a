"""Attributes, history and context as numbers."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CorruptBundleError
from model.slow.features import (
    AttributeSpace,
    FeatureSpace,
    QueryBatch,
    fit_encoder,
    fit_spaces,
    hour_name,
    padded,
)
from model.slow.schema import AttributeType, Schema
from model.slow.vocabulary import Vocabulary

HOUR_MS = 3_600_000


@pytest.fixture
def space():
    schema = Schema(
        item={"genres": AttributeType.CATEGORIES, "title": AttributeType.TEXT},
        user={"job": AttributeType.CATEGORY, "age": AttributeType.NUMBER},
        context={"device": AttributeType.CATEGORY},
    )
    items, query = fit_spaces(
        schema,
        [{"genres": ("war", "drama"), "title": "x"}, {"genres": ("drama",)}],
        [{"job": "writer", "age": 20.0}, {"job": "baker", "age": 60.0}],
        [{"device": "phone"}],
        2,
    )
    return FeatureSpace(
        items=Vocabulary(["a", "b", "c"]),
        users=Vocabulary(["ann"]),
        item_attributes=items,
        query_attributes=query,
        history=4,
        wide_history=2,
    )


def query(liked=(), disliked=(), last=-1, attributes=()):
    table = np.full((1, 4), -1, np.int32)
    likes, dislikes = table.copy(), table.copy()
    likes[0, : len(liked)] = liked
    dislikes[0, : len(disliked)] = disliked
    return QueryBatch(
        np.zeros(1, np.int32),
        likes,
        dislikes,
        np.array([last], np.int32),
        np.array([attributes], np.int32).reshape(1, -1),
    )


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), probe=st.floats(-2e6, 2e6))
def test_a_number_falls_into_the_bucket_whose_borders_hold_it(values, probe):
    encoder = fit_encoder("x", AttributeType.NUMBER, values, 4)
    (bucket,) = encoder.numbers(probe)
    borders = [-np.inf, *encoder.edges, np.inf]
    assert borders[bucket - 1] <= probe < borders[bucket]
    assert 0 < bucket < encoder.size


def test_what_is_missing_or_new_is_number_zero():
    encoder = fit_encoder("job", AttributeType.CATEGORY, ["writer", "baker"], 4)
    assert encoder.numbers(None) == [0]
    assert encoder.numbers("pilot") == [0]
    assert encoder.numbers("baker") == [1]
    assert fit_encoder("age", AttributeType.NUMBER, [1.0], 4).numbers("old") == [0]


def test_a_list_gives_a_number_for_each_known_category():
    encoder = fit_encoder("genres", AttributeType.CATEGORIES, [("war", "drama"), "comedy"], 4)
    assert encoder.numbers(("war", "never", "comedy")) == [3, 1]
    assert encoder.numbers(("never",)) == [0]


def test_booleans_and_numbers_can_be_categories():
    encoder = fit_encoder("x", AttributeType.CATEGORY, [True, False, 3.0], 4)
    assert encoder.terms.terms == ["3", "false", "true"]
    assert encoder.numbers(value=True) == [3]


def test_text_is_not_learned_from(space):
    assert [encoder.name for encoder in space.item_attributes.encoders] == ["genres"]


def test_weights_within_one_attribute_add_up_to_one(space):
    slots, weights = space.item_attributes.weighted_slots({"genres": ("war", "drama")})
    assert len(slots) == 2
    assert weights == [0.5, 0.5]


def test_every_slot_has_its_own_words(space):
    joint = space.query_attributes
    words = [joint.words(slot) for slot in range(joint.size)]
    assert len(set(words)) == joint.size
    slots = space.user_slots({"job": "writer", "age": 20.0})
    slots += space.context_slots({"device": "phone"}, 13 * HOUR_MS)
    named = [joint.words(slot) for slot in slots]
    assert named == [
        "user.age=-∞ to 40",
        "user.job=writer",
        "context.device=phone",
        "context.hour=13",
    ]


@given(now_ms=st.integers(0, 2**45))
def test_the_hour_is_the_utc_hour(now_ms):
    expected = np.datetime64(now_ms, "ms").astype(object).hour
    assert hour_name(now_ms) == f"{expected:02d}"


def test_active_rows_name_what_the_request_holds(space):
    slots = space.user_slots({"job": "baker"})
    rows = space.wide_rows(query(liked=[2, 1, 3], disliked=[3], last=2, attributes=slots))
    named = [space.row_words(row) for row in rows[0].tolist() if row >= 0]
    assert named[:4] == [("liked", "b"), ("liked", "a"), ("disliked", "c"), ("last", "b")]
    assert ("user.job", "baker") in named


def test_every_row_of_the_cross_table_has_its_own_name(space):
    names = [space.row_words(row) for row in range(space.n_rows)]
    assert len(set(names)) == space.n_rows


def test_an_item_newer_than_the_space_activates_no_row(space):
    newer = space.items.size
    rows = space.wide_rows(query(liked=[newer], disliked=[newer + 5], last=newer))
    assert (rows == -1).all()


def test_a_space_survives_json(space):
    again = FeatureSpace.from_json(json.loads(json.dumps(space.as_json())))
    assert again.as_json() == space.as_json()
    assert again.n_rows == space.n_rows


def test_a_space_with_a_part_missing_is_corrupt(space):
    stored = space.as_json()
    del stored["users"]
    with pytest.raises(CorruptBundleError, match="users"):
        FeatureSpace.from_json(stored)


def test_rows_of_different_length_are_padded():
    assert padded([[1], [], [2, 3]]).tolist() == [[1, -1], [-1, -1], [2, 3]]
    assert padded([[], []]).shape == (2, 0)


def test_an_empty_space_has_no_slots():
    assert AttributeSpace([]).slots({"x": "y"}) == []
    assert AttributeSpace([]).size == 0
