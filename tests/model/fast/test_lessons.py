"""Lessons: what a slot says beyond chance, shrunk, and not for ever."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fast.lessons import HALF_LIFE_S, Judged, Lessons

HALF_LIFE_MS = int(HALF_LIFE_S * 1000)


def judged(label, chance=0.5, segment=3, attribute=7, at_ms=0):
    return Judged(at_ms, [segment], [attribute], label, [chance])


def lessons(outcomes):
    found = Lessons()
    found.add([(outcome, 1) for outcome in outcomes])
    return found


def test_a_pattern_of_failures_is_a_lesson_of_its_slot():
    found = lessons([judged(0.0)] * 40).of([3], 0)
    assert [(lesson.segment, lesson.attribute) for lesson in found] == [(3, 7)]
    # forty residuals of -1/2, an information of 10, shrunk by 5
    assert found[0].shift == pytest.approx(-20 / (10 + 5))
    assert found[0].support == pytest.approx(10.0)
    assert found[0].score_test == pytest.approx(-20 / math.sqrt(10))


def test_what_works_is_a_lesson_too():
    assert lessons([judged(1.0)] * 40).of([3], 0)[0].shift > 0


def test_one_failure_is_no_lesson():
    assert lessons([judged(0.0, chance=0.9)]).of([3], 0) == []


def test_what_the_slow_model_expects_is_no_lesson():
    assert lessons([judged(float(n % 4 == 0), chance=0.25) for n in range(400)]).of([3], 0) == []


def test_a_lesson_applies_to_its_segment_alone():
    assert lessons([judged(0.0)] * 40).of([4], 0) == []
    assert Lessons().of([3], 0) == []
    assert lessons([judged(0.0)] * 40).of([], 0) == []


def test_a_lesson_ends_when_little_of_it_is_left():
    found = lessons([judged(0.0)] * 40)
    assert abs(found.of([3], HALF_LIFE_MS)[0].score_test) < abs(found.of([3], 0)[0].score_test)
    assert found.of([3], 4 * HALF_LIFE_MS) == []


def test_what_is_taken_back_is_as_if_it_had_never_been():
    found = lessons([judged(0.0)] * 40 + [judged(1.0)] * 5)
    found.add([(judged(1.0), -1)] * 5)
    expected = lessons([judged(0.0)] * 40).of([3], 0)[0]
    assert found.of([3], 0)[0].shift == pytest.approx(expected.shift)


@given(
    outcomes=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans(), st.floats(0.05, 0.95)),
        min_size=1,
        max_size=60,
    )
)
def test_lessons_are_those_that_counting_by_hand_finds(outcomes):
    found = lessons([judged(float(y), p, s, a) for s, a, y, p in outcomes]).of([0, 1, 2], 0)
    expected = {}
    for segment in range(3):
        for attribute in range(3):
            inside = [(y, p) for s, a, y, p in outcomes if (s, a) == (segment, attribute)]
            residual = sum(y - p for y, p in inside)
            information = sum(p * (1 - p) for _, p in inside)
            if information >= 1.0 + 1e-9 and abs(residual) / math.sqrt(information) >= 2.0 + 1e-9:
                expected[segment, attribute] = residual / (information + 5.0)
    shifts = {(lesson.segment, lesson.attribute): lesson.shift for lesson in found}
    assert expected.keys() <= shifts.keys()
    for slot, shift in expected.items():
        assert shifts[slot] == pytest.approx(shift)


def test_the_shift_is_close_to_the_most_probable_one():
    """400 events with a true shift of 0.7: one step against the exact solution."""
    rng = np.random.default_rng(0)
    base = rng.normal(scale=1.0, size=400) - 1.0
    chances = 1 / (1 + np.exp(-base))
    labels = rng.random(400) < 1 / (1 + np.exp(-(base + 0.7)))
    pairs = zip(labels.tolist(), chances.tolist(), strict=True)
    found = lessons([judged(float(y), p) for y, p in pairs]).of([3], 0)[0]
    grid = np.linspace(-2, 2, 4001)
    logits = base[:, None] + grid
    likelihood = (labels[:, None] * logits - np.logaddexp(0, logits)).sum(axis=0)
    exact = grid[np.argmax(likelihood - 0.5 * 5.0 * grid**2)]
    assert found.shift == pytest.approx(exact, abs=0.15)
