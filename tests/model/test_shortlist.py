"""A large catalogue: a few items are scored, and the lists are those of scoring them all."""

import numpy as np
import pytest

from benchmarks.clouds import DAY_MS, DAYS, START_MS, Clouds
from model.catalogue import Filter
from model.fast.config import MemoryConfig
from model.interactions import Event, EventRules, ItemChange
from model.recommender import Recommender
from model.request import Query
from model.shortlist import Shortlist, products
from model.slow.scorer import SlowScorer
from model.storage.event_log import open_log

NOW_MS = START_MS + DAYS * DAY_MS
N_ITEMS = 60_000
N_USERS = 30


@pytest.fixture(scope="module", params=[0.0, 0.64], ids=["no clouds", "clouds"])
def both(request, tmp_path_factory):
    """The same log and model twice: scoring all items, and few of them."""
    rng = np.random.default_rng(1)
    world = Clouds.drawn(N_ITEMS, N_USERS, request.param, rng)
    scorer = SlowScorer(world.bundle(rng))
    log = open_log(tmp_path_factory.mktemp("large") / "events.db")
    world.fill(log, rng, per_user=20)
    made = (scorer, "v1", log, EventRules(), MemoryConfig())
    yield log, Recommender(*made), Recommender(*made, exact_items=1_000)
    log.close()


def asked(recommender, user="u1", **more):
    return recommender.recommend(Query(user_id=user, now_ms=NOW_MS, **more))


def test_nearly_all_of_the_best_hundred_are_found_and_score_the_same(both):
    _, exact, few = both
    found = 0
    for number in range(N_USERS):
        best = asked(exact, f"u{number}", n=100)
        told = asked(few, f"u{number}", n=100)
        scores = dict(zip(best.item_ids, best.scores, strict=True))
        same = [place for place, item in enumerate(told.item_ids) if item in scores]
        found += len(same)
        for place in same:
            assert told.scores[place] == pytest.approx(scores[told.item_ids[place]], abs=1e-5)
    assert found >= 0.95 * 100 * N_USERS


def test_what_the_parts_say_adds_up_for_few_as_for_all(both):
    _, _, few = both
    reply = asked(few, n=20, explain="brief")
    np.testing.assert_allclose(np.sum(list(reply.parts.values()), axis=0), reply.scores, atol=1e-4)


def test_a_request_with_conditions_is_answered_from_all_items(both):
    _, exact, few = both
    conditions = (Filter("genre", "eq", "genre7"),)
    told = asked(few, n=300, filters=conditions)
    assert told.item_ids == asked(exact, n=300, filters=conditions).item_ids
    assert len(told.item_ids) == 300


def test_where_the_few_do_not_fill_a_list_all_items_do(both):
    _, exact, few = both
    assert asked(few, n=N_ITEMS).item_ids == asked(exact, n=N_ITEMS).item_ids


def test_new_items_and_those_that_all_else_lifts_are_found_at_once(both):
    log, exact, few = both
    last = asked(exact, "u5", n=N_ITEMS).item_ids[-1]
    assert last not in asked(few, "u5", n=20_000).item_ids
    log.append([ItemChange("fresh", {"genre": "genre1"})], received_ms=NOW_MS)
    log.append(
        [
            Event(f"{item}-{n}", "click", NOW_MS, user_id=f"fan{n}", item_id=item)
            for n in range(2_000)
            for item in ("fresh", last)
        ],
        received_ms=NOW_MS,
    )
    for recommender in (exact, few):
        assert {"fresh", last} <= set(asked(recommender, "u5", n=20).item_ids)


def test_the_same_items_make_the_same_lists():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3_000, 8)).astype(np.float32)
    bias, rest = np.zeros(3_000, np.float32), np.zeros(3_000, np.float32)
    one, two = (Shortlist(vectors, bias, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(one.of(vectors[5], rest), two.of(vectors[5], rest))
    # so few that all of them are looked at
    assert set(one.of(vectors[5], rest).tolist()) == set(range(3_000))


def test_products_of_some_are_those_of_all():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((9_000, 8)).astype(np.float32)
    few = rng.integers(9_000, size=5_000)
    np.testing.assert_allclose(
        products(vectors, few, vectors[3]), (vectors @ vectors[3])[few], rtol=1e-5, atol=1e-5
    )
