import math

import numpy as np
import pytest

from pipelines.baselines.popularity import DecayedPopularity, Popularity
from pipelines.baselines.tuning import Trial, Tuned, choose, prequential
from pipelines.evaluation.arm import Setting
from tests.pipelines.baselines.histories import drawn, events, scores, setting

GRID = [{"half_life_s": s} for s in (1e6, 5.0, 1e5)]


def decayed(setting: Setting, options) -> DecayedPopularity:
    return DecayedPopularity(setting, **options)


def fashions(n: int, n_items: int) -> list[tuple[int, int]]:
    """Every item has its ten seconds, and every actor comes once."""
    return [(actor, actor // 10 % n_items) for actor in range(n)]


def test_the_tail_decides_for_the_half_life_that_the_stream_has():
    history = events(fashions(1000, 40))

    chosen = choose(decayed, GRID, setting(40, n_actors=1000), history, Trial())

    assert chosen == {"half_life_s": 5.0}


def test_the_first_of_equals_is_chosen():
    assert choose(decayed, GRID, setting(3), events([(0, 1)] * 20), Trial()) == GRID[0]


def test_a_tuned_arm_is_the_chosen_arm_on_the_whole_history():
    history = events(fashions(1000, 40))
    tuned = Tuned(setting(40, n_actors=1000), decayed, GRID)
    tuned.start(history)
    plain = DecayedPopularity(setting(40, n_actors=1000), half_life_s=5.0)
    plain.start(history)

    assert (tuned.trials, tuned.chosen) == (3, {"half_life_s": 5.0})
    assert np.array_equal(scores(tuned, 0), scores(plain, 0))


def test_a_trial_asks_before_it_learns_and_lets_what_was_met_not_compete():
    # the history: item 0 twice, item 1 once; then three questions
    history = events([(0, 0), (1, 0), (2, 1), (3, 2), (4, 0), (5, 1), (3, 0), (3, 2)])
    trial = Trial(tail=0.5, nights=0)
    value = prequential(Popularity(setting(4)), setting(4), history, trial)
    # actor 4: item 0 leads. actor 5: item 1 ties with item 2, which counts against it.
    # actor 3 has met item 2, so item 0 leads; item 2 again is no question
    expected = np.mean([1.0, 1.0 / math.log2(4.0), 1.0])

    assert value == pytest.approx(expected)


def test_a_trial_does_not_let_events_of_one_moment_know_each_other():
    seconds = [0.0, 1.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0]
    rows = [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1)]
    trial = Trial(tail=0.5, nights=0)

    together = prequential(Popularity(setting(3)), setting(3), events(rows, seconds=seconds), trial)
    apart = prequential(Popularity(setting(3)), setting(3), events(rows), trial)

    assert together == pytest.approx(1.0 / math.log2(3.0))
    assert apart > together


def test_where_items_come_again_they_are_asked_again():
    history = events([(0, 0), (0, 1), (0, 0), (0, 0)])
    trial = Trial(tail=0.5, nights=0)

    assert prequential(Popularity(setting(2)), setting(2), history, trial) == 0.0
    repeating = setting(2, repeats=True)
    assert prequential(Popularity(repeating), repeating, history, trial) > 0.0


def test_a_trial_uses_no_more_than_the_recent_events():
    history = drawn(400, 10)
    trial = Trial(recent=100)
    recent = history.take(slice(300, 400))

    values = [
        prequential(Popularity(setting(10)), setting(10), e, trial) for e in (history, recent)
    ]
    assert values[0] == values[1] > 0.0


def test_a_night_falls_in_the_tail_as_often_as_told():
    class Counting(Popularity):
        nights = 0

        def night(self):
            self.nights += 1

    arm = Counting(setting(10))
    prequential(arm, setting(10), drawn(100, 10), Trial(nights=3))

    assert arm.nights == 3
