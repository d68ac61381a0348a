"""Fast weights: surprise, and the Titans rule by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fast.config import MemoryConfig
from model.fast.weights import FastWeights, surprise

CONFIG = MemoryConfig(step=1.0, momentum=0.5, momentum_s=100.0, forgetting_s=1000.0, clip=100.0)
EAST, NORTH = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def pushed(*steps, config=CONFIG):
    weights = FastWeights(config, 2, 1.0)
    for gradient, vector, at_ms in steps:
        weights.push(gradient, vector, at_ms, 1.0)
    return weights


def test_surprise_is_the_negative_log_of_the_chance():
    found = surprise(np.zeros(3), np.zeros((3, 2)), 0.0, EAST)
    assert found.nats == pytest.approx(math.log(4))


def test_what_is_left_out_is_not_compared():
    scores = np.array([0.0, -np.inf])
    assert surprise(scores, np.zeros((2, 2)), 0.0, EAST).nats == pytest.approx(math.log(2))


@given(seed=st.integers(0, 1000))
def test_the_gradient_is_that_of_the_surprise(seed):
    rng = np.random.default_rng(seed)
    vectors, vector = rng.normal(size=(5, 3)), rng.normal(size=3)
    scores, score = rng.normal(size=5), rng.normal()

    def nats(own):
        return surprise(scores + vectors @ own, vectors, score + vector @ own, vector).nats

    found = surprise(scores, vectors, score, vector).gradient
    for axis, direction in enumerate(np.eye(3)):
        slope = (nats(1e-5 * direction) - nats(-1e-5 * direction)) / 2e-5
        assert found[axis] == pytest.approx(slope, abs=1e-4)


def test_a_first_surprise_moves_the_weights_by_its_step_against_the_gradient():
    assert pushed((-EAST, EAST, 0)).value.tolist() == [1.0, 0.0]


def test_momentum_goes_on_with_the_next_of_the_same_taste():
    # S = 1, then η·1 + 1 with η = 0.5·e^(-10/100); m adds both, forgotten by 2^(-10/1000)
    weights = pushed((-EAST, EAST, 0), (-EAST, EAST, 10_000))
    carried = 0.5 * math.exp(-0.1)
    assert weights.value[0] == pytest.approx(2**-0.01 + carried + 1.0)


def test_momentum_dies_where_the_taste_turns():
    weights = pushed((-EAST, EAST, 0), (-NORTH, NORTH, 0))
    assert weights.value.tolist() == [1.0, 1.0]
    assert weights.momentum.tolist() == [0.0, 1.0]


def test_momentum_dies_with_time():
    weights = pushed((-EAST, EAST, 0), (-EAST, EAST, 100_000_000))
    assert weights.momentum[0] == pytest.approx(1.0, abs=1e-9)


def test_weights_are_forgotten_by_the_clock():
    weights = pushed((-EAST, EAST, 0))
    assert weights.at(1_000_000).tolist() == [0.5, 0.0]
    assert weights.at(-5).tolist() == [1.0, 0.0]


def test_what_the_weights_may_add_is_clipped():
    config = MemoryConfig(step=1.0, momentum=0.0, clip=2.0)
    weights = pushed(*[(-EAST, EAST, n) for n in range(10)], config=config)
    assert np.linalg.norm(weights.value) == pytest.approx(2.0)


def test_steps_are_relative_to_the_length_of_vectors():
    weights = FastWeights(CONFIG, 2, 10.0)
    weights.push(-10 * EAST, 10 * EAST, 0, 1.0)
    assert (10 * EAST) @ weights.value == pytest.approx(1.0)


def test_a_failure_moves_away():
    weights = FastWeights(CONFIG, 2, 1.0)
    weights.push(-EAST, EAST, 0, -0.5)
    assert weights.value.tolist() == [-0.5, 0.0]
