"""Fast crosses: residuals by hand, and what the gate keeps."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BadInputError
from model.fast.config import MemoryConfig
from model.fast.crosses import Crosses, context_keys, context_row, liked_row, pair_keys

PRIOR = 2.0


def shares(which):
    """[half-lives, items] all items alike, one in a thousand."""
    return np.full((2, len(which)), 0.001)


def crosses(counts, **settings):
    """Crosses in which each (row, item) succeeded so often, all at one moment."""
    made = Crosses(MemoryConfig(cross_prior=PRIOR, **settings))
    keys = [row << 32 | item for (row, item), n in counts.items() for _ in range(n)]
    made.add(keys, np.zeros(len(keys), np.int64), np.ones(len(keys)))
    return made


def residual(made, row, item):
    cells = made.cells([row], 0, shares)
    return dict(zip(cells.item.tolist(), cells.residual.T.tolist(), strict=True)).get(item)


def test_a_cross_says_how_much_more_often_than_expected():
    row = liked_row(7)
    made = crosses({(row, 1): 30, (row, 2): 10})
    expected = math.log((30 + PRIOR) / (40 * 0.001 + PRIOR))
    assert residual(made, row, 1) == [pytest.approx(expected)] * 2


def test_one_event_is_not_a_fact():
    row = liked_row(7)
    assert residual(crosses({(row, 1): 1}), row, 1)[0] < math.log(1.5)


def test_less_than_expected_says_nothing():
    row = liked_row(7)
    made = crosses({(row, 1): 1, (row, 2): 1000})
    assert residual(made, row, 1) == [0.0, 0.0]


def test_factors_weigh_the_half_lives_of_each_row():
    one, other = liked_row(1), context_row(1)
    made = crosses({(one, 5): 9, (other, 5): 9})
    alone = residual(made, one, 5)[0]
    factors = np.array([[1.0, 0.0], [0.5, 2.0]], np.float32)
    found = made.found([one, other], factors, np.zeros(2, np.float32), 0, shares)
    assert found.added.tolist() == pytest.approx([1.5 * alone, 2.0 * alone])
    assert found.slot.tolist() == [0, 1]


def test_the_lift_of_a_cross_is_its_share_of_the_row_against_its_share_of_everything():
    made = crosses({(liked_row(7), 1): 30, (liked_row(7), 2): 10}, lift_prior=5.0)
    cells = made.cells([liked_row(7)], 0, shares)
    lifts = dict(zip(cells.item.tolist(), cells.lift.tolist(), strict=True))
    assert lifts == {1: pytest.approx(30 / 45 / 0.001), 2: pytest.approx(10 / 45 / 0.001)}


def test_lifts_of_several_rows_are_chances_that_add_up_and_residuals_are_log_odds_that_do():
    one, other = liked_row(1), liked_row(2)
    made = crosses({(one, 5): 9, (other, 5): 3, (other, 6): 4}, lift_prior=6.0)
    factors, chances = np.full((2, 2), 0.5, np.float32), np.array([0.1, 0.2], np.float32)
    found = made.found([one, other], factors, chances, 0, shares)
    residuals = [sum(0.5 * residual(made, row, 5)[0] for _ in "ab") for row in (one, other)]
    by_hand = sum(residuals) + math.log1p((0.1 * 9 / 15 + 0.2 * 3 / 13) / 0.001)
    assert found.of_items(8)[5] == pytest.approx(by_hand, rel=1e-5)
    assert found.of_items(8)[[0, 1, 7]].tolist() == [0.0, 0.0, 0.0]


@given(
    counts=st.dictionaries(
        st.tuples(st.integers(1, 4), st.integers(1, 5)), st.integers(1, 40), min_size=1
    ),
    left_out=st.integers(1, 4),
)
def test_without_a_named_row_scores_fall_by_what_was_said(counts, left_out):
    made = crosses({(liked_row(row), item): n for (row, item), n in counts.items()})
    rows = [1, 2, 3, 4]

    def said(which):
        factors = np.full((2, len(which)), 0.4, np.float32)
        chances = np.full(len(which), 0.05, np.float32)
        return made.found([liked_row(row) for row in which], factors, chances, 0, shares)

    everything, rest = said(rows), said([row for row in rows if row != left_out])
    for item in range(1, 6):
        falls = dict(everything.of_item(item)).get(rows.index(left_out), 0.0)
        fell = everything.of_items(6)[item] - rest.of_items(6)[item]
        assert falls == pytest.approx(fell, abs=1e-4)


def test_rows_of_items_and_of_moments_do_not_meet():
    rows = [liked_row(n) for n in range(50)] + [context_row(n) for n in range(50)]
    assert len(set(rows)) == 100
    forth, back = pair_keys(np.array([3, 4]), np.array([9, 8]))
    assert forth.tolist() == [liked_row(3) << 32 | 9, liked_row(4) << 32 | 8]
    assert back.tolist() == [liked_row(9) << 32 | 3, liked_row(8) << 32 | 4]
    assert context_keys(np.array([3]), np.array([9])).tolist() == [context_row(3) << 32 | 9]


def gated(counts, seed=0, **settings):
    made = crosses(counts, **settings)
    made.gate(seed, shares)
    return made


# enough cells for the gate to open: each row has one telling item and many that are expected
TELLING = {(liked_row(row), 1): 20 for row in range(200)}
EXPECTED = {(liked_row(row), 2 + n): 1 for row in range(200) for n in range(100)}


def test_the_gate_keeps_what_is_surprising():
    made = gated(TELLING | EXPECTED, gate_nats=5.0)
    found = made.cells([liked_row(row) for row in range(200)], 0, shares)
    assert sorted(found.item.tolist()) == [1] * 200


def test_what_was_let_go_still_counts_in_its_row():
    before = residual(crosses(TELLING | EXPECTED), liked_row(3), 1)
    assert residual(gated(TELLING | EXPECTED, gate_nats=5.0), liked_row(3), 1) == before


def test_no_row_keeps_more_than_its_share():
    made = gated(TELLING | EXPECTED, gate_nats=0.0, crosses_per_row=3)
    found = made.cells([liked_row(3)], 0, shares)
    assert len(found.item) == 3
    assert 1 in found.item


def test_the_memory_stays_inside_its_budget():
    wide = {(liked_row(row), 1 + n): 2 for row in range(500) for n in range(100)}
    made = gated(wide, gate_nats=0.0, cross_megabytes=1)
    assert 900_000 < made.n_bytes < 1_000_000 + 500 * 24


def test_a_gate_by_lot_keeps_as_many_and_others():
    by_surprise = gated(TELLING | EXPECTED, gate_nats=5.0)
    by_lot = gated(TELLING | EXPECTED, gate_nats=5.0, gate="random")
    assert abs(len(by_lot) - len(by_surprise)) <= 200
    found = by_lot.cells([liked_row(row) for row in range(200)], 0, shares)
    assert np.count_nonzero(found.item == 1) < 50


def test_lots_are_a_function_of_the_seed():
    kept = [
        gated(TELLING | EXPECTED, seed, gate_nats=5.0, gate="random")
        .cells([liked_row(row) for row in range(200)], 0, shares)
        .item.tolist()
        for seed in (1, 1, 2)
    ]
    assert kept[0] == kept[1] != kept[2]


def test_without_a_gate_everything_is_kept():
    assert len(gated(TELLING | EXPECTED, gate="all", gate_nats=5.0)) == 20_200


def test_an_unknown_gate_is_refused():
    with pytest.raises(BadInputError, match=r"memory\.gate must be one of surprise, random, all"):
        MemoryConfig(gate="open")
