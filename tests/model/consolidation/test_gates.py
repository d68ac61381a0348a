"""The verdicts: what passes, what is refused, and what the data cannot settle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.consolidation.config import NightConfig
from model.consolidation.gates import Measured, judge, paired_change
from model.errors import BadInputError

POLICY = NightConfig()


def change(served, shift, *, users=200, per_user=5, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    n = users * per_user
    before = np.full(n, served)
    after = before + shift + noise * rng.standard_normal(n)
    return paired_change(before, after, np.repeat(np.arange(users), per_user), rng)


def verdicts(quality=None, retained=None, loss=None, retained_loss=None, coverage=1.0):
    measured = Measured(quality, retained, loss, retained_loss, None, None, coverage)
    return {v.name: v for v in judge(measured, POLICY)}


GOOD = {
    "quality": change(0.1, 0.01),
    "retained": change(0.1, 0.0),
    "loss": change(0.6, -0.01),
    "retained_loss": change(0.6, 0.0),
}


def test_a_candidate_that_is_better_everywhere_passes_every_gate():
    assert all(v.passed for v in verdicts(**GOOD).values())


@pytest.mark.parametrize(
    ("part", "gate", "worse"),
    [
        ("quality", "quality", change(0.1, -0.02)),
        ("retained", "forgetting", change(0.1, -0.02)),
        ("loss", "calibration", change(0.6, 0.1)),
        ("retained_loss", "old_calibration", change(0.6, 0.1)),
    ],
)
def test_a_loss_beyond_the_bound_and_beyond_chance_fails_its_own_gate(part, gate, worse):
    found = verdicts(**{**GOOD, part: worse})
    assert [name for name, verdict in found.items() if not verdict.passed] == [gate]
    assert "beyond chance" in found[gate].reason


def test_a_fall_within_the_bound_passes():
    assert verdicts(**{**GOOD, "quality": change(0.1, -0.001)})["quality"].passed


def test_a_fall_that_may_be_chance_passes_only_where_other_events_vouch():
    unsure = change(0.1, -0.01, noise=1.0)
    assert unsure.interval[1] > 0
    assert verdicts(**{**GOOD, "quality": unsure})["quality"].passed
    bad_past = change(0.1, -0.05)
    assert not verdicts(**{**GOOD, "quality": unsure, "retained": bad_past})["quality"].passed


def test_what_a_handful_of_users_did_is_not_beyond_chance():
    few = change(0.1, -0.02, users=8)
    assert few.interval[1] < 0
    assert verdicts(**{**GOOD, "quality": few})["quality"].passed
    bad_past = change(0.1, -0.05)
    assert not verdicts(**{**GOOD, "quality": few, "retained": bad_past})["quality"].passed


def test_nothing_to_compare_passes_only_where_other_events_vouch():
    assert verdicts(retained=GOOD["retained"])["quality"].passed
    assert not verdicts()["quality"].passed


def test_lists_that_collapsed_to_a_few_items_are_refused():
    assert not verdicts(**GOOD, coverage=0.4)["coverage"].passed


def test_users_with_little_history_and_rare_items_have_gates_of_their_own():
    worse = change(0.6, 0.1)

    def measured(cold, tail):
        return Measured(**GOOD, cold_loss=cold, tail_loss=tail, coverage=1.0)

    for gate, slices in (("calibration_cold", (worse, None)), ("calibration_tail", (None, worse))):
        found = {v.name: v for v in judge(measured(*slices), POLICY)}
        assert [name for name, verdict in found.items() if not verdict.passed] == [gate]


def test_a_change_is_the_difference_of_means_over_the_served_mean():
    found = paired_change(
        np.array([0.2, 0.4]), np.array([0.3, 0.6]), np.array([0, 1]), np.random.default_rng(0)
    )
    assert found is not None
    assert (found.served, found.candidate) == pytest.approx((0.3, 0.45))
    assert found.relative == pytest.approx(0.5)
    assert (found.events, found.users) == (2, 2)


def test_the_interval_of_a_known_noise_is_what_theory_says():
    found = change(1.0, 0.0, users=400, per_user=1, noise=1.0)
    assert found is not None
    half_width = (found.interval[1] - found.interval[0]) / 2
    assert half_width == pytest.approx(2.576 / np.sqrt(400), rel=0.15)


@given(seed=st.integers(0, 500))
def test_equal_models_never_fail(seed):
    values = np.random.default_rng(seed).random(60)
    users = np.arange(60) % 12
    same = paired_change(values, values, users, np.random.default_rng(seed))
    assert all(v.passed for v in verdicts(same, same, same, same).values())


def test_no_events_give_no_change():
    none = np.empty(0)
    assert paired_change(none, none, none.astype(int), np.random.default_rng(0)) is None


def test_values_of_different_events_are_refused():
    with pytest.raises(BadInputError, match="same events, got 2"):
        paired_change(np.zeros(2), np.zeros(3), np.zeros(2, int), np.random.default_rng(0))
