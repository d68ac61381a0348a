"""Ranks and lists against the protocol's words, done the slow way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluation.ranking import LIST_LENGTH, Pending, ranked
from tests.pipelines.evaluation.streams import small_stream


def question(row, moment, own, candidates):
    met = None if candidates == "all" else np.array(own, np.int64)
    return Pending(None, np.array([row]), moment, met)


def by_definition(scores, competes, target):
    """Rank, number of candidates and list of one question."""
    left = [item for item in range(len(scores)) if competes[item]]
    better = [item for item in left if not scores[item] < scores[target]]
    rank = len(better) if competes[target] else len(scores) + 1
    named = [item for item in left if scores[item] > -np.inf]
    return rank, len(left), sorted(named, key=lambda item: (-scores[item], item))[:LIST_LENGTH]


@given(
    candidates=st.sampled_from(["all", "unseen", "seen"]),
    # below, at and well above the number of groups in which the best are looked for
    n_items=st.sampled_from([3, 40, 256, 700, 3_000]),
    levels=st.sampled_from([1, 2, 9, 1_000_000]),
    seed=st.integers(0, 1_000),
)
def test_ranks_and_lists_are_those_of_the_protocol_with_ties_and_scores_that_are_none(
    candidates, n_items, levels, seed
):
    rng = np.random.default_rng(seed)
    stream = small_stream(seed, n_items=max(n_items, 9), candidates=candidates)
    n_items = len(stream.items)
    scores = rng.integers(0, levels, (4, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    scores[rng.random(scores.shape) < 0.05] = np.nan
    known_from = rng.integers(-1, 600, n_items)
    own = [rng.integers(0, n_items, 5).tolist() for _ in scores]
    pending = [
        question(row, moment, met, candidates)
        for row, moment, met in zip((310, 400, 500, 590), (300, 400, 400, 600), own, strict=True)
    ]
    before = scores.copy()
    found = ranked(stream, known_from, pending, scores)

    np.testing.assert_array_equal(scores, before)
    for place, asked in enumerate(pending):
        competes = known_from < asked.moment
        if candidates == "unseen":
            competes[own[place]] = False
        elif candidates == "seen":
            competes &= np.isin(np.arange(n_items), own[place])
        target = int(stream.events.item[asked.rows[0]])
        rank, n_candidates, best = by_definition(scores[place], competes, target)
        assert (found.rank[place], found.n_candidates[place]) == (rank, n_candidates)
        assert found.top[place].tolist() == best + [-1] * (LIST_LENGTH - len(best))
        np.testing.assert_array_equal(found.competes[place], competes)


@pytest.mark.parametrize("n_items", [40, 3_000])
def test_equal_scores_give_the_items_with_the_lowest_numbers(n_items):
    stream = small_stream(n_items=n_items, candidates="all")
    known = np.full(n_items, -1)
    found = ranked(
        stream, known, [question(300, 300, [], "all")], np.zeros((1, n_items), np.float32)
    )

    assert found.top[0].tolist() == list(range(LIST_LENGTH))
    assert found.rank.tolist() == [n_items]
