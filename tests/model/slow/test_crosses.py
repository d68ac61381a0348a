"""Which pairs are admitted, and how requests find them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.slow.crosses import CrossTable, admit, entries, without_zeros

N_ROWS, N_ITEMS = 4, 5

examples = st.lists(
    st.tuples(st.lists(st.integers(-1, N_ROWS - 1), min_size=3, max_size=3), st.integers(0, 4)),
    min_size=1,
    max_size=40,
)


def admitted(drawn, min_count=1, per_row=100):
    rows = np.array([rows for rows, _ in drawn], np.int32)
    targets = np.array([target for _, target in drawn], np.int32)

    def batches():
        for start in range(0, len(rows), 7):
            yield rows[start : start + 7], targets[start : start + 7]

    return admit(batches, N_ROWS, N_ITEMS, min_count=min_count, per_row=per_row)


def pairs_of(table):
    rows = np.repeat(np.arange(N_ROWS), np.diff(table.indptr))
    return list(zip(rows.tolist(), table.items.tolist(), strict=True))


@given(drawn=examples, min_count=st.integers(1, 3))
def test_admission_equals_counting_by_hand(drawn, min_count):
    table = admitted(drawn, min_count)
    expected = []
    for row in range(N_ROWS):
        for item in range(1, N_ITEMS):
            count = sum(rows.count(row) for rows, target in drawn if target == item)
            row_count = sum(rows.count(row) for rows, target in drawn if target > 0)
            share = sum(target == item for _, target in drawn) / len(drawn)
            if count >= min_count and count > row_count * share * (1 + 1e-12):
                expected.append((row, item))
    assert pairs_of(table) == expected


@given(drawn=examples, per_row=st.integers(1, 2))
def test_no_row_holds_more_than_it_may(drawn, per_row):
    table = admitted(drawn, per_row=per_row)
    assert np.diff(table.indptr).max() <= per_row
    assert set(pairs_of(table)) <= set(pairs_of(admitted(drawn)))


def test_a_full_row_keeps_the_pairs_that_say_most():
    often = [([0, -1, -1], 1)] * 8 + [([0, -1, -1], 2)] * 4 + [([1, -1, -1], 3)] * 20
    assert pairs_of(admitted(often, per_row=1)) == [(0, 1), (1, 3)]


def test_nothing_to_admit_gives_an_empty_table():
    table = admitted([([-1, -1, -1], 0)])
    assert len(table.items) == 0
    assert table.indptr.tolist() == [0] * (N_ROWS + 1)


@given(
    lengths=st.lists(st.integers(0, 3), min_size=N_ROWS, max_size=N_ROWS),
    rows=st.lists(
        st.lists(st.integers(-1, N_ROWS - 1), min_size=2, max_size=2), min_size=1, max_size=4
    ),
)
def test_entries_equal_a_loop_over_rows(lengths, rows):
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    positions, slot = entries(indptr, np.array(rows, np.int32))
    expected = [
        (position, 2 * place + column)
        for place, row in enumerate(rows)
        for column, active in enumerate(row)
        if active >= 0
        for position in range(indptr[active], indptr[active + 1])
    ]
    assert list(zip(positions.tolist(), slot.tolist(), strict=True)) == expected


def test_weights_of_zero_are_left_out_and_the_rest_stay_where_they_were():
    table = CrossTable(
        np.array([0, 2, 2, 3]),
        np.array([1, 2, 3], np.int32),
        np.array([0.0, 0.5, -0.25], np.float32),
    )
    kept = without_zeros(table)
    assert kept.indptr.tolist() == [0, 1, 1, 2]
    assert kept.items.tolist() == [2, 3]
    assert kept.weights.tolist() == [0.5, -0.25]
