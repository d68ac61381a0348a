import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.baselines.popularity import DecayedPopularity, Popularity
from tests.pipelines.baselines.histories import events, question, scores, setting


def test_popularity_counts_the_successes_so_far():
    arm = Popularity(setting(3))
    arm.start(events([(0, 1), (1, 1), (0, 2)]))
    arm.learn(events([(2, 1)]))

    assert scores(arm, 5).tolist() == [[0.0, 3.0, 1.0]]


def test_a_success_is_worth_half_after_the_half_life():
    arm = DecayedPopularity(setting(3), half_life_s=10.0)
    arm.start(events([(0, 0), (0, 1)], seconds=[0.0, 10.0]))
    arm.learn(events([(0, 0)], seconds=[20.0]))
    worths = 2.0 ** arm.answer([arm.ask(question(0, 20.0))])[0]

    assert worths == pytest.approx([1.25, 0.5, 0.0])


def test_worths_neither_overflow_nor_vanish_however_long_the_stream():
    arm = DecayedPopularity(setting(3), half_life_s=1.0)
    arm.start(events([(0, 0), (0, 0), (0, 1)], seconds=[0.0, 0.0, 0.5]))
    arm.learn(events([(0, 2)], seconds=[1e7]))
    old = arm.answer([arm.ask(question(0, 1e7))])[0]

    assert np.isfinite(old).all()
    assert old[2] > old[0] > old[1]


@pytest.mark.parametrize("half_life_s", [0.0, -1.0, float("inf"), float("nan")])
def test_a_half_life_that_is_none_is_refused(half_life_s):
    with pytest.raises(BadInputError, match="positive and finite"):
        DecayedPopularity(setting(3), half_life_s=half_life_s)
