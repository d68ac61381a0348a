import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BadInputError
from pipelines.baselines.error_memory import ErrorMemory

DIMS, N_ITEMS = 4, 6


def entries(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    keys = rng.normal(size=(n, DIMS))
    return keys, rng.integers(0, N_ITEMS, n), rng.random(n), rng.integers(0, 2, n).astype(float)


def dense(found, readers):
    """[readers, items] corrections."""
    table = np.zeros((readers, N_ITEMS))
    table[found.reader, found.item] = found.value
    return table


def by_definition(written, query, *, neighbours, temperature):
    """[items] correction from the entries that a reader sees."""
    keys, items, p, y = written
    unit = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    cosine = unit @ (query / np.linalg.norm(query))
    near = np.argsort(-cosine, kind="stable")[:neighbours]
    a = np.exp(cosine[near] / temperature)
    a /= a.sum()
    errors = np.zeros(N_ITEMS)
    for weight, j in zip(a, near, strict=True):
        errors[items[j]] += weight * (y[j] - p[j])
    return errors


@given(
    n=st.integers(1, 40),
    capacity=st.integers(1, 15),
    neighbours=st.integers(1, 20),
    temperature=st.sampled_from([0.05, 0.3, 2.0]),
    seed=st.integers(0, 1_000),
)
def test_a_reader_sees_the_last_entries_before_its_mark_and_nothing_else(
    n, capacity, neighbours, temperature, seed
):
    written = entries(n, seed)
    memory = ErrorMemory(DIMS, capacity, slack=50)
    for row in range(n):
        memory.write(*(column[row : row + 1] for column in written))
    queries = np.random.default_rng(seed + 1).normal(size=(3, DIMS))
    marks = np.array([1, (n + 1) // 2, n])

    options = {"neighbours": neighbours, "temperature": temperature}
    found = dense(memory.correction(queries, marks, **options), 3)
    for query, mark, correction in zip(queries, marks, found, strict=True):
        seen = tuple(column[max(mark - capacity, 0) : mark] for column in written)
        expected = by_definition(seen, query, **options)
        np.testing.assert_allclose(correction, expected, atol=1e-5)


def test_entries_written_together_or_one_by_one_are_the_same():
    written = entries(30)
    together, one_by_one = ErrorMemory(DIMS, 8, slack=2), ErrorMemory(DIMS, 8, slack=2)
    together.write(*written)
    for row in range(30):
        one_by_one.write(*(column[row : row + 1] for column in written))
    queries = np.eye(DIMS)
    marks = np.full(DIMS, 30)

    assert together.mark == one_by_one.mark == 30
    for here, there in zip(
        together.correction(queries, marks), one_by_one.correction(queries, marks), strict=True
    ):
        np.testing.assert_array_equal(here, there)


def test_of_entries_that_are_equally_near_the_newer_ones_are_read():
    memory = ErrorMemory(2, capacity=10)
    memory.write(np.ones((6, 2)), np.array([3, 4, 5, 0, 1, 2]), np.zeros(6), np.ones(6))

    found = memory.correction(np.ones((2, 2)), np.array([6, 3]), neighbours=2)

    assert np.flatnonzero(dense(found, 2)[0]).tolist() == [1, 2]
    assert np.flatnonzero(dense(found, 2)[1]).tolist() == [4, 5]


def test_a_missed_success_raises_its_item_and_no_other():
    memory = ErrorMemory(2, capacity=10)
    memory.write(np.array([[1.0, 0.0]]), np.array([3]), np.array([0.1]), np.array([1.0]))
    found = dense(memory.correction(np.array([[2.0, 0.0]]), np.array([1])), 1)

    assert found[0] == pytest.approx([0.0, 0.0, 0.0, 0.9, 0.0, 0.0])


def test_the_nearer_entry_counts_more():
    memory = ErrorMemory(2, capacity=10)
    keys = np.array([[1.0, 0.0], [0.0, 1.0]])
    memory.write(keys, np.array([0, 1]), np.zeros(2), np.ones(2))
    read = memory.correction(np.array([[1.0, 0.2]]), np.array([2]), neighbours=2, temperature=0.5)
    found = dense(read, 1)[0]

    assert found[0] > found[1] > 0.0
    assert found.sum() == pytest.approx(1.0)


def test_an_empty_memory_corrects_nothing():
    memory = ErrorMemory(DIMS, capacity=5)
    marks = np.zeros(2, np.int64)

    assert not len(memory.correction(np.ones((2, DIMS)), marks).value)
    memory.write(*entries(3))
    # these readers came before the first entry
    assert not len(memory.correction(np.ones((2, DIMS)), marks).value)


def test_what_was_cleared_is_forgotten_and_what_follows_is_remembered():
    memory = ErrorMemory(DIMS, capacity=5)
    memory.write(*entries(4))
    memory.clear()
    query = np.ones((1, DIMS))
    assert not len(memory.correction(query, np.array([memory.mark])).value)
    memory.write(query, np.array([2]), np.array([0.0]), np.array([1.0]))

    found = dense(memory.correction(query, np.array([memory.mark])), 1)
    assert found[0] == pytest.approx([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])


def test_reading_too_late_is_an_error_and_never_a_wrong_answer():
    memory = ErrorMemory(DIMS, capacity=4, slack=3)
    memory.write(*entries(10))
    query = np.ones((1, DIMS))
    memory.correction(query, np.array([7]))

    with pytest.raises(BadInputError, match="read it sooner"):
        memory.correction(query, np.array([6]))


def test_a_key_of_length_zero_is_like_nothing_in_particular():
    memory = ErrorMemory(2, capacity=4)
    memory.write(np.zeros((1, 2)), np.array([0]), np.array([0.5]), np.array([0.0]))

    found = dense(memory.correction(np.zeros((1, 2)), np.array([1])), 1)
    assert found[0, 0] == pytest.approx(-0.5)


@pytest.mark.parametrize("sizes", [(0, 5, 0), (4, 0, 0), (4, 5, -1)])
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(BadInputError, match="at least"):
        ErrorMemory(*sizes)
