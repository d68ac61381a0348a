"""Items as they are now: who may be shown, filters, and items the slow model does not know."""

import numpy as np
import pytest

from model.catalogue import Catalogue, Filter
from model.errors import BadInputError
from model.interactions import Attributes, Entry, Event, ItemChange
from model.slow.scorer import SlowScorer
from model.storage.rows import encode
from tests.tiny_model import tiny_model
from tests.worlds import metadata


@pytest.fixture(scope="module")
def scorer():
    return SlowScorer(tiny_model().bundle)


@pytest.fixture
def catalogue(scorer):
    catalogue = Catalogue(scorer)
    catalogue.put(change for change in metadata() if isinstance(change, ItemChange))
    return catalogue


def clicks(*items):
    """Rows of the log in which events name these items."""
    events = [Event(f"e{n}", "click", 0, "u", item) for n, item in enumerate(items)]
    return [encode(event, 0) for event in events]


def matching(catalogue, field, op, value):
    found = np.flatnonzero(catalogue.matching(Filter(field, op, value)))
    return {catalogue.ids[number] for number in found if number}


def test_an_item_nobody_put_into_the_catalogue_is_not_shown(scorer):
    assert not Catalogue(scorer).allowed(0).any()


def test_every_described_item_is_shown(catalogue):
    assert catalogue.allowed(0).sum() == 40
    assert not catalogue.allowed(0)[0]


def test_hidden_and_deleted_items_are_not_shown(catalogue):
    catalogue.put([ItemChange("i1", {}, hidden=True), ItemChange("i2", None)])
    allowed = catalogue.allowed(0)
    assert not allowed[catalogue.number("i1")]
    assert not allowed[catalogue.number("i2")]
    catalogue.put([ItemChange("i1", {}), ItemChange("i2", {})])
    assert catalogue.allowed(0).sum() == 40


@pytest.mark.parametrize(
    "change",
    [
        ItemChange("i1", None),
        ItemChange("i1", {}, hidden=True),
        ItemChange("i1", {}, available_from_ms=10, available_until_ms=20),
        ItemChange("new", {}, available_until_ms=10),
    ],
)
def test_barred_are_the_items_that_may_not_be_shown_at_that_moment(catalogue, change):
    for changes in ([], [change], [ItemChange(change.item_id, {})]):
        catalogue.put(changes)
        for now_ms in (9, 10, 19, 20):
            shown = catalogue.barred(now_ms) == 0.0
            np.testing.assert_array_equal(shown, catalogue.allowed(now_ms))
            assert np.isneginf(catalogue.barred(now_ms)[~shown]).all()


def test_an_item_is_shown_inside_its_window_alone(catalogue):
    catalogue.put([ItemChange("i1", {}, available_from_ms=10, available_until_ms=20)])
    number = catalogue.number("i1")
    assert [bool(catalogue.allowed(now)[number]) for now in (9, 10, 19, 20)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_new_item_has_its_attributes_vector_and_can_be_shown(catalogue, scorer):
    attributes: Attributes = {"genres": ("even",), "year": 1990.0}
    catalogue.put([ItemChange("fresh", attributes)])
    number = catalogue.number("fresh")
    assert number == 41
    expected = scorer.vector_of(*scorer.space.item_attributes.weighted_slots(attributes))
    np.testing.assert_array_equal(catalogue.vectors[number], expected)
    assert catalogue.allowed(0)[number]
    assert catalogue.bias[number] == scorer.bias[0]


def test_many_new_items_keep_their_vectors_as_room_is_made(catalogue, scorer):
    for n in range(200):
        catalogue.put([ItemChange(f"n{n}", {"year": float(1980 + n % 40)})])
    assert len(catalogue) == 241
    for n in (0, 57, 199):
        slots = scorer.space.item_attributes.weighted_slots({"year": float(1980 + n % 40)})
        vector = catalogue.vectors[catalogue.number(f"n{n}")]
        np.testing.assert_array_equal(vector, scorer.vector_of(*slots))
    np.testing.assert_array_equal(catalogue.vectors[:41], scorer.vectors)


def test_an_item_that_only_an_event_named_is_added_once(catalogue):
    catalogue.follow(clicks("i1", "ghost", "ghost"))
    assert len(catalogue) == 42
    assert catalogue.allowed(0)[catalogue.number("ghost")]


@pytest.mark.parametrize(
    ("field", "op", "value", "expected"),
    [
        ("genres", "eq", "even", {f"i{n}" for n in range(0, 40, 2)}),
        ("genres", "ne", "even", {f"i{n}" for n in range(1, 40, 2)}),
        ("genres", "in", ("odd", "none"), {f"i{n}" for n in range(1, 40, 2)}),
        ("year", "gte", 2018.0, {"i38", "i39"}),
        ("year", "lte", 1980.0, {"i0"}),
        ("year", "eq", 1985.0, {"i5"}),
        ("title", "eq", "Item 7", {"i7"}),
        ("year", "gte", "2018", set()),
    ],
)
def test_a_filter_finds_the_items_that_meet_it(catalogue, field, op, value, expected):
    assert matching(catalogue, field, op, value) == expected
    # and again from the cache
    assert matching(catalogue, field, op, value) == expected


def test_an_item_without_the_attribute_meets_only_ne(catalogue):
    catalogue.put([ItemChange("bare", {})])
    assert "bare" in matching(catalogue, "genres", "ne", "even")
    assert "bare" not in matching(catalogue, "genres", "eq", "even")


def test_a_filter_sees_changed_metadata(catalogue):
    assert "i1" not in matching(catalogue, "genres", "eq", "even")
    catalogue.put([ItemChange("i1", {"genres": ("even",)})])
    assert "i1" in matching(catalogue, "genres", "eq", "even")


def test_a_filter_on_an_attribute_nobody_has_is_refused(catalogue):
    with pytest.raises(BadInputError, match="some item has, got 'colour'"):
        catalogue.matching(Filter("colour", "eq", "red"))


def test_a_range_with_several_values_is_refused(catalogue):
    with pytest.raises(BadInputError, match="gte needs one value, got 2"):
        catalogue.matching(Filter("year", "gte", (1.0, 2.0)))


def test_a_title_stands_for_an_item_where_there_is_one(catalogue):
    catalogue.put([ItemChange("bare", {})])
    assert catalogue.title(catalogue.number("i3")) == "Item 3"
    assert catalogue.title(catalogue.number("bare")) == "bare"


def test_an_item_that_the_model_knows_and_nobody_described_is_here_once_an_event_names_it(scorer):
    catalogue = Catalogue(scorer)
    number = catalogue.number("i3")
    assert not catalogue.allowed(0)[number]
    catalogue.follow(clicks("i3"))
    assert catalogue.allowed(0)[number]


def test_an_event_does_not_bring_a_deleted_item_back(scorer):
    catalogue = Catalogue(scorer)
    catalogue.put([ItemChange("i3", {}), ItemChange("i3", None)])
    catalogue.follow(clicks("i3"))
    assert not catalogue.allowed(0)[catalogue.number("i3")]


def test_items_get_numbers_in_the_order_of_the_log_however_it_is_cut(scorer):
    entries: list[Entry] = [
        Event("e1", "click", 0, "u", "new a"),
        ItemChange("new b", {"year": 1990.0}),
        Event("e2", "click", 0, "u", "new c"),
        ItemChange("new c", None),
        ItemChange("new d", None),
        Event("e3", "click", 0, "u", "new d"),
    ]
    rows = [encode(entry, 0) for entry in entries]
    at_once, one_by_one = Catalogue(scorer), Catalogue(scorer)
    assert at_once.follow(rows)
    told = [one_by_one.follow([row]) for row in rows]
    assert told == [False, True, False, True, True, False]
    assert at_once.ids == one_by_one.ids
    assert at_once.ids[-4:] == ["new a", "new b", "new c", "new d"]
    np.testing.assert_array_equal(at_once.vectors, one_by_one.vectors)
    np.testing.assert_array_equal(at_once.allowed(0), one_by_one.allowed(0))


def test_a_change_of_known_items_leaves_the_models_own_vectors_alone(scorer):
    scorer.vectors.setflags(write=False)  # as they are when a bundle is mapped
    catalogue = Catalogue(scorer)
    catalogue.put([ItemChange("i1", {"year": 1990.0})])
    assert catalogue.vectors is not None
