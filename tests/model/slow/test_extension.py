"""A bundle that grows: what is old does not move by a bit, what is new stands where it stood."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.catalogue import Catalogue
from model.interactions import Attributes, EventRules, ItemChange, LogRow
from model.slow.bundle import Bundle, Calibration, load_bundle, make_bundle, write_bundle
from model.slow.columns import Coded, EventColumns, Metadata, event_columns
from model.slow.crosses import CrossTable
from model.slow.examples import Examples
from model.slow.extension import described, grown, grown_space, growth, with_crosses
from model.slow.mixture import no_mixture
from model.slow.nearby import PLACES
from model.slow.parameters import initial_parameters
from model.slow.schema import AttributeType, Schema
from model.slow.scorer import SlowScorer
from model.slow.space import admitted, fit_space, nearby, success_counts
from tests.tiny_model import CONFIG, tiny_world_columns
from tests.worlds import START_MS

SCHEMA = Schema(
    item={"genres": AttributeType.CATEGORIES, "year": AttributeType.NUMBER},
    user={"occupation": AttributeType.CATEGORY},
    context={"device": AttributeType.CATEGORY},
)


class World(NamedTuple):
    """A model of the old events, and all events there are now."""

    bundle: Bundle
    old: Examples
    columns: EventColumns
    metadata: Metadata


def later_rows(first_seq):
    """New users who like new and old items, on a new device."""
    for n in range(60):
        item = f"new{n // 2 % 6}" if n % 2 else f"i{n % 40}"
        user = f"newcomer{n % 7}" if n % 3 else f"u{n % 60}"
        at_ms = START_MS + 30 * 86_400_000 + n * 1000
        details = '{"properties": {"device": "glasses"}}' if n % 4 else None
        seq = first_seq + n
        yield LogRow(seq, 0, f"l{n}", "rating", user, item, 5.0, at_ms, 0, None, details)


@pytest.fixture(scope="module")
def world():
    columns, described_before = tiny_world_columns()
    moment = np.arange(len(columns), dtype=np.int32)
    moment = np.where(moment % 3 == 0, 1 + moment % 2, 0).astype(np.int32)
    moments: list[Attributes] = [{}, {"device": "desk"}, {"device": "phone"}]
    columns = dataclasses.replace(columns, moment=moment, moments=moments)
    # some have no occupation, so that the unknown one has crosses of its own
    users = {u: a for n, (u, a) in enumerate(described_before.users.items()) if n % 4}
    before = Metadata(described_before.items, users)
    space = fit_space(columns, before, SCHEMA, CONFIG)
    examples = Examples(columns, space, before)
    everything = np.arange(len(examples))
    rng = np.random.default_rng(5)
    table = admitted(examples, everything, CONFIG)
    table = table._replace(weights=rng.normal(size=len(table.items)).astype(np.float32))
    counts = success_counts(examples, everything)
    near = nearby(examples, everything, CONFIG)
    parameters = initial_parameters(space, before.item, counts, table, CONFIG, rng)
    parameters |= {**near.arrays(), **no_mixture()}
    for name in ("nearby_weights", "return_weights"):
        parameters[name] = rng.random(PLACES).astype(np.float32)
    for name in ("hidden_bias", "query_bias", "outcome_query_bias", "outcome_item_bias"):
        parameters[name] = rng.normal(size=parameters[name].shape).astype(np.float32)
    later = event_columns(later_rows(10_000), EventRules())
    items: dict[str, Attributes] = {
        f"new{n}": {"genres": ("jazz", "even")[: 1 + n % 2], "year": 1990.0} for n in range(5)
    }
    newcomers = {f"newcomer{n}": {"occupation": "poet"} for n in range(5)}
    return World(
        make_bundle(space, parameters, Calibration(0.9, 0.1)),
        examples,
        joined(columns, later),
        Metadata({**before.items, **items}, {**users, **newcomers}),
    )


def joined(first, second):
    fields: dict[str, Any] = {
        field.name: np.concatenate([getattr(first, field.name), getattr(second, field.name)])
        for field in dataclasses.fields(EventColumns)
        if isinstance(getattr(first, field.name), np.ndarray)
    }
    for name in ("actor", "item"):
        one, two = getattr(first, name), getattr(second, name)
        terms = list(dict.fromkeys([*one.terms, *two.terms]))
        codes = {term: code for code, term in enumerate(terms)}
        fields[name] = Coded(terms, np.array([codes[term] for term in (*one, *two)], np.int32))
    fields["moment"] = np.concatenate([first.moment, len(first.moments) + second.moment])
    return EventColumns(**fields, moments=[*first.moments, *second.moments])


@pytest.fixture(scope="module")
def larger(world):
    space = grown_space(world.bundle.space, world.columns, world.metadata)
    return grown(world.bundle, space, world.metadata)


@pytest.fixture(scope="module")
def catalogue(world, larger):
    """The catalogue that serves before the night, new items included."""
    served = Catalogue(SlowScorer(world.bundle))
    fresh = larger.space.items.terms[len(world.bundle.space.items) :]
    served.put(ItemChange(item, world.metadata.item(item)) for item in fresh)
    return served


def scores(bundle, queries, vectors=None):
    """Everything that the bundle says of these requests, one request at a time as in service."""
    scorer = SlowScorer(bundle)
    vectors = scorer.vectors if vectors is None else vectors
    parts = []
    for n in range(len(queries.user)):
        one = type(queries)(*(column[n : n + 1] for column in queries))
        slow = scorer.score(one, vectors)
        odds = scorer.outcome_logits(slow.hidden, vectors, np.arange(len(vectors))[None, :])
        parts.append(np.stack([slow.wide[0], slow.deep[0], odds[0]]))
    return np.stack(parts)


def test_the_space_gains_the_new_users_items_and_values(world, larger):
    assert growth(world.bundle.space, larger.space) == {
        "new_users": 7,
        "new_items": 6,
        "new_attribute_values": 3,  # jazz, poet, glasses
    }
    assert larger.space.items.terms[:40] == world.bundle.space.items.terms


def test_a_grown_bundle_is_one_that_can_be_written_and_read(larger, tmp_path):
    write_bundle(larger, tmp_path)
    assert load_bundle(tmp_path).space.users.number("newcomer1") == 61


def test_old_requests_score_all_items_as_the_service_did_to_the_bit(world, larger, catalogue):
    which = np.arange(0, len(world.old), 7)
    before = scores(world.bundle, world.old.queries(which), catalogue.vectors)
    now = Examples(world.columns, larger.space, world.metadata)
    after = scores(larger, now.queries(np.searchsorted(now.seq, world.old.seq[which])))
    assert np.abs(before[:, 0]).max() > 0.1
    np.testing.assert_array_equal(after, before)


def test_new_requests_score_all_items_as_the_service_did_to_the_bit(world, larger, catalogue):
    as_served = Examples(world.columns, world.bundle.space, world.metadata)
    now = Examples(world.columns, larger.space, world.metadata)
    which = np.flatnonzero(now.seq >= 10_000)
    queries = now.queries(which)
    # the service numbers new items as the grown model does; the rest it does not know
    before = as_served.queries(which)._replace(
        liked=queries.liked, disliked=queries.disliked, last=queries.last
    )
    assert (queries.user > 60).any()
    assert (queries.last > 40).any()
    np.testing.assert_array_equal(
        scores(larger, queries), scores(world.bundle, before, catalogue.vectors)
    )


def test_new_items_stand_where_the_serving_catalogue_had_put_them(larger, catalogue):
    p = larger.parameters
    np.testing.assert_array_equal(p["item_vectors"], catalogue.vectors)
    np.testing.assert_array_equal(p["item_bias"], catalogue.bias)
    np.testing.assert_array_equal(p["item_share"], catalogue.share)


def test_a_new_item_in_the_history_crosses_with_nothing(larger):
    size = larger.space.items.size
    lengths = np.diff(larger.parameters["wide_indptr"])
    for block in range(3):
        assert lengths[block * size : block * size + 41].sum() > 0
        assert lengths[block * size + 41 : (block + 1) * size].sum() == 0


def test_growing_by_nothing_changes_nothing(world):
    same = grown(world.bundle, world.bundle.space, world.metadata)
    assert same.space == world.bundle.space
    assert set(same.parameters) == set(world.bundle.parameters)
    for name, array in world.bundle.parameters.items():
        np.testing.assert_array_equal(same.parameters[name], array)
        assert same.parameters[name].dtype == array.dtype


def test_growing_in_two_steps_equals_growing_at_once(world, larger):
    halfway = world.columns.take(np.arange(len(world.columns) - 30))
    middle = grown(
        world.bundle, grown_space(world.bundle.space, halfway, world.metadata), world.metadata
    )
    space = grown_space(middle.space, world.columns, world.metadata)
    twice = grown(middle, space, world.metadata)
    for name, array in larger.parameters.items():
        np.testing.assert_array_equal(twice.parameters[name], array)


def test_an_items_new_attributes_move_it_and_no_other(world, larger):
    changed = {**world.metadata.items, "i3": {"genres": ("jazz",), "year": 1990.0}}
    del changed["i5"]  # deleted: it keeps what it had
    renewed = described(larger, Metadata(changed, {}))
    p, before = renewed.parameters, larger.parameters
    moved = np.flatnonzero((p["item_vectors"] != before["item_vectors"]).any(axis=1))
    names = {larger.space.items.term(number) for number in moved.tolist()}
    # new1 and new3 list jazz beside a genre that was known: jazz counts from now on
    assert names == {"i3", "new1", "new3"}
    np.testing.assert_array_equal(p["item_embedding"], before["item_embedding"])


def test_admitted_pairs_enter_at_zero_beside_those_with_a_weight(world):
    p = world.bundle.parameters
    present = set(pairs(world.bundle))
    everything = np.arange(len(world.old))
    wanted = admitted(world.old, everything, dataclasses.replace(CONFIG, cross_min_count=2))
    wider = with_crosses(world.bundle, wanted)
    weights = dict(zip(pairs(wider), wider.parameters["wide_weights"].tolist(), strict=True))
    old = dict(zip(pairs(world.bundle), p["wide_weights"].tolist(), strict=True))
    assert len(weights) > len(old)
    assert {pair: weight for pair, weight in weights.items() if pair in present} == old
    assert {weight for pair, weight in weights.items() if pair not in present} == {0.0}
    which = np.arange(0, len(world.old), 11)
    queries = world.old.queries(which)
    np.testing.assert_array_equal(scores(wider, queries), scores(world.bundle, queries))


def pairs(bundle):
    p = bundle.parameters
    rows = np.repeat(np.arange(bundle.space.n_rows), np.diff(p["wide_indptr"]))
    return list(zip(rows.tolist(), p["wide_items"].tolist(), strict=True))


@given(cells=st.sets(st.tuples(st.integers(0, 60), st.integers(1, 40)), max_size=40))
def test_a_table_with_more_pairs_holds_each_pair_once_in_order(world, cells):
    ordered = sorted(cells)
    n_rows = world.bundle.space.n_rows
    indptr = np.searchsorted([row for row, _ in ordered], np.arange(n_rows + 1))
    items = np.array([item for _, item in ordered], np.int32)
    table = CrossTable(indptr.astype(np.int64), items, np.zeros(len(items), np.float32))
    found = pairs(with_crosses(world.bundle, table))
    assert found == sorted(set(pairs(world.bundle)) | cells)
