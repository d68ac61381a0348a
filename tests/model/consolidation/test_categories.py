"""Which attribute names an item's category, and the placebo beside it."""

import numpy as np
import pytest

from model.consolidation.categories import partition, set_aside, usual_category
from model.errors import BadInputError
from model.interactions import AttributeValue, ItemChange
from model.slow.schema import AttributeType, Schema
from model.slow.space import fit_space
from tests.tiny_model import CONFIG, columns_of
from tests.worlds import ratings

KINDS = {
    "shelf": AttributeType.CATEGORY,
    "brand": AttributeType.CATEGORY,
    "genres": AttributeType.CATEGORIES,
    "colour": AttributeType.CATEGORY,
    "rare": AttributeType.CATEGORY,
    "year": AttributeType.NUMBER,
}


def described(n, kinds):
    attributes: dict[str, AttributeValue] = {
        "shelf": f"s{n % 6}",
        "brand": f"b{n % 13}",
        "genres": (f"g{n % 7}", f"g{(n + 1) % 7}"),
        "colour": ("red", "blue")[n % 2],
        "rare": f"r{n}",
        "year": float(1980 + n),
    }
    if n >= 10:
        del attributes["rare"]
    return ItemChange(f"i{n}", {name: attributes[name] for name in kinds if name in attributes})


def world(*kinds):
    items = [described(n, kinds) for n in range(40)]
    columns, metadata = columns_of(ratings(np.random.default_rng(0)), items)
    schema = Schema({name: KINDS[name] for name in kinds}, {}, {})
    return fit_space(columns, metadata, schema, CONFIG), metadata


def test_the_category_is_the_coarsest_attribute_of_which_an_item_has_fewest_values():
    assert usual_category(*world("genres", "brand", "shelf", "colour", "rare", "year")) == "shelf"
    assert usual_category(*world("genres", "brand", "colour")) == "brand"
    assert usual_category(*world("genres", "colour", "rare")) == "genres"


def test_without_such_an_attribute_the_message_says_what_to_do():
    with pytest.raises(BadInputError, match=r"night\.category"):
        usual_category(*world("colour", "rare", "year"))
    space, metadata = world("colour")
    with pytest.raises(BadInputError, match="'taste'"):
        partition(space, metadata, "taste")


def test_items_are_in_the_first_category_that_they_name():
    space, metadata = world("genres")
    found = partition(space, metadata, "genres")
    by_category: dict[str, set[int]] = {}
    for number in range(1, space.items.size):
        first = metadata.item(space.items.term(number))["genres"][0]
        by_category.setdefault(first, set()).add(int(found.numbers[number]))
    assert all(len(numbers) == 1 for numbers in by_category.values())
    assert len(set.union(*by_category.values())) == 7
    assert found.numbers[0] == 0


def test_items_without_the_attribute_are_a_category_of_their_own():
    space, metadata = world("rare")
    found = partition(space, metadata, "rare")
    without = [n for n in range(1, space.items.size) if not metadata.item(space.items.term(n))]
    assert without
    assert (found.numbers[without] == 0).all()


def test_the_placebo_has_categories_of_the_same_sizes_of_other_items():
    space, metadata = world("shelf")
    found = partition(space, metadata, "")
    drawn = found.shuffled(np.random.default_rng(0))
    assert (np.bincount(drawn.numbers) == np.bincount(found.numbers)).all()
    assert (drawn.numbers != found.numbers).any()
    again = found.shuffled(np.random.default_rng(0))
    assert (again.numbers == drawn.numbers).all()


def test_what_is_watched_is_not_learned_and_nothing_is_lost():
    taken = np.arange(7, 207)
    learned, watched = set_aside(taken, np.random.default_rng(0))
    assert len(watched) == 20
    assert sorted([*learned, *watched]) == taken.tolist()
