"""The sparse table of decayed sums against a dictionary."""

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fast.cells import REST, CellTable, cell_key

HALF_LIVES_S = (100.0, 10_000.0)

events = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(1, 5),
        st.integers(0, 2_000_000),
        st.sampled_from([1.0, 0.5]),
    ),
    min_size=1,
    max_size=40,
)


def put(table, events):
    table.add(
        [cell_key(row, item) for row, item, _, _ in events],
        np.array([time for _, _, time, _ in events], np.int64),
        np.array([weight for _, _, _, weight in events], np.float64),
    )


def table_of(events, cuts=(), settle_at=()):
    table, borders = CellTable(HALF_LIVES_S), sorted({0, *cuts, len(events)})
    for start, end in pairwise(borders):
        put(table, events[start:end])
        if start in settle_at:
            table.keep(lambda rows, _items, _sums: np.ones(len(rows), bool))
    return table


def as_dict(table, rows, now_ms):
    slot, item, sums, _ = table.rows(rows, now_ms)
    keys = zip((rows[s] for s in slot.tolist()), item.tolist(), strict=True)
    return dict(zip(keys, sums.T.tolist(), strict=True))


def let_go(table, row):
    _, _, sums, totals = table.rows([row], 0)
    return (totals[:, 0] - sums.sum(axis=1)).tolist()


@given(events=events, settle=st.booleans())
def test_cells_hold_the_decayed_sum_of_what_fell_into_them(events, settle):
    table = table_of(events, settle_at=(0,) if settle else ())
    now = 2_000_000
    expected: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row, item, time, weight in events:
        for place, half_life_s in enumerate(HALF_LIVES_S):
            expected[row, item][place] += weight * 0.5 ** ((now - time) / 1000 / half_life_s)
    found = as_dict(table, list(range(5)), now)
    assert found.keys() == expected.keys()
    for key, sums in expected.items():
        assert found[key] == pytest.approx(sums, rel=1e-9, abs=1e-12)


@given(events=events, cuts=st.lists(st.integers(0, 40), max_size=4))
def test_what_is_read_is_the_same_to_the_bit_however_events_are_cut_into_calls(events, cuts):
    cuts = [cut for cut in cuts if cut <= len(events)]
    one, many = table_of(events), table_of(events, cuts)
    for left, right in zip(one.rows(range(5), 0), many.rows(range(5), 0), strict=True):
        np.testing.assert_array_equal(left, right)


@given(events=events, cuts=st.lists(st.integers(0, 40), max_size=4), limit=st.integers(1, 5))
def test_rows_that_were_read_before_are_read_as_they_have_become(events, cuts, limit):
    read, unread = CellTable(HALF_LIVES_S), CellTable(HALF_LIVES_S)
    borders = sorted({0, *(cut for cut in cuts if cut <= len(events)), len(events)})
    for start, end in pairwise(borders):
        for table in (read, unread):
            put(table, events[start:end])
            if start % 2:
                table.keep(lambda _rows, items, _sums: items <= limit)
        read.rows([0, 1, 2, 3, 4], 0)
    for left, right in zip(read.rows(range(5), 0), unread.rows(range(5), 0), strict=True):
        np.testing.assert_array_equal(left, right)


@given(events=events, limit=st.integers(1, 5))
def test_letting_cells_go_leaves_every_rows_total(events, limit):
    table, rows = table_of(events), list(range(5))
    before, totals = as_dict(table, rows, 0), table.rows(rows, 0).totals
    gone = table.keep(lambda _rows, items, _sums: items <= limit)
    after = as_dict(table, rows, 0)
    assert gone == sum(item > limit for _, item in before)
    assert {item for _, item in after} <= set(range(1, limit + 1))
    np.testing.assert_allclose(table.rows(rows, 0).totals, totals, rtol=1e-9)


def test_letting_go_twice_adds_to_the_same_rest():
    table = table_of([(1, 1, 0, 1.0), (1, 2, 0, 1.0), (1, 3, 0, 1.0)])
    table.keep(lambda _rows, items, _sums: items != 1)
    table.keep(lambda _rows, items, _sums: items != 2)
    assert as_dict(table, [1], 0) == {(1, 3): [1.0, 1.0]}
    assert let_go(table, 1) == [2.0, 2.0]


def test_a_cell_that_was_let_go_can_come_again():
    table = table_of([(1, 1, 0, 1.0)])
    table.keep(lambda _rows, items, _sums: items == REST)
    put(table, [(1, 1, 0, 1.0)])
    assert as_dict(table, [1], 0) == {(1, 1): [1.0, 1.0]}
    assert let_go(table, 1) == [1.0, 1.0]


def test_rows_that_nothing_fell_into_are_empty():
    assert len(table_of([(1, 1, 0, 1.0)]).rows([0, 2], 0).item) == 0
    assert len(CellTable(HALF_LIVES_S).rows([0], 0).item) == 0


def test_new_cells_settle_once_there_are_enough():
    table = CellTable(HALF_LIVES_S)
    put(table, [(n, 1, 0, 1.0) for n in range(1023)])
    assert not table.settle()
    put(table, [(2000, 1, 0, 1.0)])
    assert table.settle()
    assert len(table) == 1024
    assert as_dict(table, [5, 2000], 0) == {(5, 1): [1.0, 1.0], (2000, 1): [1.0, 1.0]}
