"""A taste that turns round: what is measured, and that the memory is told apart from none."""

import numpy as np
import pytest

from pipelines.console import Console
from pipelines.evaluation.reversal import (
    Plan,
    Turn,
    events_until_half,
    reversal,
    share_back,
    until_the_turn,
)
from pipelines.simulate import QUICK


def test_half_of_what_was_lost_is_back_after_the_event_that_brings_it():
    # .20 before, .40 at the turn: .30 is half of the way
    assert events_until_half(0.20, [0.40, 0.38, 0.31, 0.30, 0.22]) == 3
    assert events_until_half(0.20, [0.40, 0.39, 0.35]) is None
    assert share_back(0.20, [0.40, 0.35, 0.20, 0.15]).tolist() == pytest.approx([0, 0.25, 1, 1.25])


def test_where_nothing_was_lost_nothing_comes_back():
    assert events_until_half(0.40, [0.40, 0.20]) is None
    assert np.isnan(share_back(0.40, [0.40, 0.20])).all()


def test_a_summary_has_the_mean_over_users_and_the_share_with_its_interval():
    before = np.full(50, 0.2)
    after = np.tile([0.4, 0.38, 0.34, 0.3, 0.26, 0.24], (50, 1))
    after += np.random.default_rng(0).normal(0.0, 0.01, after.shape)
    told = Turn(before, after).as_json(np.random.default_rng(1))
    assert (told["users"], told["events_until_half"]) == (50, 3)
    share = told["share_back_after_5"]
    assert share["low"] < share["mean"] < share["high"]
    assert share["mean"] == pytest.approx(0.8, abs=0.05)


@pytest.mark.tf
@pytest.mark.slow
def test_users_of_a_small_world_are_turned_and_followed(tmp_path):
    workspace = until_the_turn(tmp_path / "home", QUICK, seed=0, console=Console(quiet=True))
    plan = Plan(users=8, events=4, told="clicks")
    found = reversal(workspace, QUICK, plan, seed=0, console=Console(quiet=True))
    assert set(found) == {"on", "own", "off"}
    for turn in found.values():
        assert turn.before.shape == (8,)
        assert turn.after.shape == (8, 5)
        assert (turn.before >= 0).all()
        # the lists are made for a taste that is gone
        assert turn.after[:, 0].mean() > turn.before.mean()
    assert (found["on"].after != found["off"].after).any()
