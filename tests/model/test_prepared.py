"""The best of many scores: whatever their number, the same as sorting them all."""

import numpy as np
import pytest

from model.prepared import Part, best, sources


@pytest.mark.parametrize("n_scores", [1, 100, 8_191, 8_192, 20_000, 100_003])
@pytest.mark.parametrize("different", [3, 1_000_000])
def test_the_best_are_the_first_of_all_sorted_and_ties_go_to_the_lower_number(n_scores, different):
    rng = np.random.default_rng(n_scores)
    scores = rng.integers(different, size=n_scores).astype(np.float32)
    scores[rng.random(n_scores) < 0.3] = -np.inf
    in_order = np.argsort(-scores, kind="stable")
    for n in (1, 10, 100, 5_000):
        shown = in_order[:n]
        np.testing.assert_array_equal(best(scores, n), shown[scores[shown] > -np.inf])


def test_among_scores_of_nothing_there_is_no_best():
    assert len(best(np.full(50_000, -np.inf, np.float32), 10)) == 0


def test_few_that_may_be_shown_among_many_are_all_found():
    scores = np.full(50_000, -np.inf, np.float32)
    scores[[7, 49_999, 30_000]] = [1.0, 3.0, 2.0]
    assert best(scores, 10).tolist() == [49_999, 30_000, 7]


def test_a_source_is_the_part_that_lifts_most_above_the_average_item():
    top = np.array([0, 1])
    parts = {
        "even": Part.of(np.array([3.0, 3.0, 3.0], np.float32), top),
        "first": Part.of(np.array([1.0, 0.0, -1.0], np.float32), top),
        "second": Part(np.array([0.5, 0.5], np.float32), 0.0),
    }
    assert sources(parts) == ["first", "second"]
