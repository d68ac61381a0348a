"""How far own outcomes and lessons move chances is what past outcomes say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.fast.outcomes import Outcomes, fit_shifts, outcome_loss


def outcomes(truth, n=4_000, seed=0):
    rng = np.random.default_rng(seed)
    odds, shifts = rng.normal(size=n), rng.normal(size=(n, len(truth)))
    chances = 1.0 / (1.0 + np.exp(-(odds + shifts @ np.array(truth))))
    return Outcomes(odds, shifts, (rng.random(n) < chances).astype(float))


def test_the_loss_is_the_mean_of_minus_log_the_chance_of_what_happened():
    said = Outcomes(np.array([0.0, 1.0]), np.array([[1.0], [2.0]]), np.array([1.0, 0.0]))
    chances = 1.0 / (1.0 + np.exp(-np.array([0.5, 2.0])))
    expected = -(np.log(chances[0]) + np.log(1.0 - chances[1])) / 2.0
    assert outcome_loss(said, np.array([0.5])) == pytest.approx(expected, rel=1e-12)


def test_the_fit_is_the_best_point_of_a_grid():
    said, start = outcomes([1.3, 0.2], n=300), np.array([1.0, 1.0])
    found = fit_shifts(said, start, strength=4.0)

    def total(at):
        return outcome_loss(said, at) + 4.0 / 300 * np.square(at - start).sum()

    grid = [np.array([a, b]) for a in np.arange(0, 3, 0.02) for b in np.arange(0, 3, 0.02)]
    best = min(grid, key=total)
    np.testing.assert_allclose(found, best, atol=0.02)
    assert total(found) <= total(best) + 1e-12


def test_what_misleads_is_left_out():
    found = fit_shifts(outcomes([1.0, -0.5]), np.ones(2), strength=4.0)
    assert found[1] == 0.0
    assert found[0] == pytest.approx(1.0, abs=0.15)


@settings(max_examples=30, deadline=None)
@given(
    truth=st.lists(st.floats(0.0, 2.0), min_size=2, max_size=2),
    start=st.lists(st.floats(0.0, 2.0), min_size=2, max_size=2),
    seed=st.integers(0, 1_000),
)
def test_a_stronger_pull_ends_nearer_to_the_start_and_never_fits_worse_than_it(truth, start, seed):
    said, at = outcomes(truth, n=200, seed=seed), np.array(start)
    weak, strong = (fit_shifts(said, at, strength=s) for s in (1.0, 100.0))
    assert np.linalg.norm(strong - at) <= np.linalg.norm(weak - at) + 1e-6
    assert outcome_loss(said, weak) <= outcome_loss(said, strong) + 1e-6
    assert outcome_loss(said, strong) <= outcome_loss(said, at) + 1e-9
    assert (weak >= 0.0).all()
