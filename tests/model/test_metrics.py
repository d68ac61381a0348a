"""Metrics against answers worked out by hand and against slow, obvious versions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.metrics import (
    auc,
    expected_calibration_error,
    log_loss,
    ndcg_of_ranks,
    target_ranks,
)

scores_and_labels = st.lists(
    st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40
).filter(lambda rows: len({label for _, label in rows}) == 2)


def test_a_rank_counts_the_candidates_that_are_not_worse():
    scores = np.array([[0.1, 0.9, 0.5, 0.7]])
    nobody = np.zeros((1, 4), bool)
    assert target_ranks(scores, np.array([2]), nobody).tolist() == [3]


def test_an_excluded_item_is_no_candidate():
    scores = np.array([[0.1, 0.9, 0.5, 0.7]])
    excluded = np.array([[False, True, False, False]])
    assert target_ranks(scores, np.array([2]), excluded).tolist() == [2]


def test_a_tie_counts_against_the_target():
    scores = np.zeros((1, 5))
    assert target_ranks(scores, np.array([3]), np.zeros((1, 5), bool)).tolist() == [5]


def test_a_target_that_was_excluded_by_the_rule_is_still_ranked():
    scores = np.array([[0.2, 0.8]])
    assert target_ranks(scores, np.array([0]), np.array([[True, False]])).tolist() == [2]


def test_a_score_that_is_not_a_number_comes_last():
    scores = np.array([[np.nan, 0.1, 0.2]])
    assert target_ranks(scores, np.array([0]), np.zeros((1, 3), bool)).tolist() == [3]


def test_ndcg_is_the_discount_inside_the_cut_off_and_zero_beyond():
    assert ndcg_of_ranks(np.array([1, 3, 10, 11]), 10).tolist() == pytest.approx(
        [1.0, 0.5, 1 / math.log2(11), 0.0]
    )


def test_log_loss_is_the_mean_of_the_negative_logs():
    expected = -(math.log(0.8) + math.log(0.7)) / 2
    assert log_loss(np.array([0.8, 0.3]), np.array([1.0, 0.0])) == pytest.approx(expected)


def test_log_loss_stays_finite_for_a_wrong_certainty():
    assert math.isfinite(log_loss(np.array([0.0]), np.array([1.0])))


@given(rows=scores_and_labels)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows):
    scores = np.array([score for score, _ in rows], float)
    labels = np.array([label for _, label in rows], float)
    pairs = [
        (positive > negative) + 0.5 * (positive == negative)
        for positive in scores[labels > 0]
        for negative in scores[labels == 0]
    ]
    assert auc(scores, labels) == pytest.approx(sum(pairs) / len(pairs))


def test_auc_of_one_class_is_not_a_number():
    assert math.isnan(auc(np.array([0.1, 0.2]), np.array([1.0, 1.0])))


def test_calibration_error_is_the_mean_gap_over_equal_bins():
    probabilities = np.array([0.2, 0.2, 0.9, 0.9])
    labels = np.array([0.0, 1.0, 1.0, 1.0])
    assert expected_calibration_error(probabilities, labels, n_bins=2) == pytest.approx(
        (abs(0.2 - 0.5) + abs(0.9 - 1.0)) / 2
    )


def test_calibration_error_of_honest_probabilities_is_small():
    rng = np.random.default_rng(0)
    probabilities = rng.random(40_000)
    labels = (rng.random(40_000) < probabilities).astype(float)
    assert expected_calibration_error(probabilities, labels) < 0.02
