"""The search for settings that depend on the data."""

from dataclasses import replace

import numpy as np
import pytest

from model.slow.bootstrap import train_from_scratch
from model.slow.config import SlowConfig
from model.slow.tuning import PASSES, TUNED, as_tuned, changes, search, trial_size
from tests.tiny_model import CONFIG, tiny_world_columns
from tests.worlds import SCHEMA

SEARCHING = SlowConfig(tuning_share=0.5)
EVENTS = np.arange(50_000)


def world_that_likes(better, worse=()):
    """A trial whose tail ranks .1 higher for settings that have one of the better values."""
    asked = []

    def trial(config, which, passes):
        asked.append((config, len(which), passes))
        noise = np.random.default_rng(1).random(400)
        gain = sum(getattr(config, name) == value for name, value in better)
        loss = sum(getattr(config, name) == value for name, value in worse)
        return noise + 0.1 * (gain - loss)

    return trial, asked


def test_a_change_that_ranks_better_is_kept_and_the_next_one_is_tried_on_top_of_it():
    doubled = 2.0 * SEARCHING.deep_learning_rate
    trial, asked = world_that_likes(
        better=[("similarity", "cosine"), ("deep_learning_rate", doubled)],
        worse=[("wide_l1", SEARCHING.wide_l1 / 10.0)],
    )
    found = search(SEARCHING, EVENTS, trial)
    expected = replace(SEARCHING, similarity="cosine", deep_learning_rate=doubled)
    assert found.config == expected
    assert [one["kept"] for one in found.tried] == [True, True, True, False, False]
    assert asked[-1][0].similarity == "cosine"
    assert found.chosen == {name: getattr(expected, name) for name in TUNED}


def test_a_change_within_a_standard_error_is_not_kept():
    rng = np.random.default_rng(0)
    assert search(SEARCHING, EVENTS, lambda *_: np.full(50, 0.5)).config == SEARCHING
    outcomes = iter([np.zeros(100), *(rng.normal(0.01, 1.0, 100) for _ in range(4))])
    assert search(SEARCHING, EVENTS, lambda *_: next(outcomes)).config == SEARCHING


def test_all_trials_together_read_what_the_share_allows_and_the_newest_events():
    seen = []

    def trial(_config, which, passes):
        seen.append((which, passes))
        return np.zeros(10)

    search(SEARCHING, EVENTS, trial)
    read = sum(len(which) * passes for which, passes in seen)
    allowed = SEARCHING.tuning_share * SEARCHING.max_epochs * len(EVENTS)
    assert 0.95 * allowed < read <= allowed
    assert all(which[-1] == EVENTS[-1] and passes == PASSES for which, passes in seen)
    assert len(seen) == 1 + len(changes(SEARCHING))


def test_without_a_share_or_with_too_few_events_nothing_is_tried():
    def trial(*_):
        raise AssertionError("nothing was to be tried")

    assert search(SlowConfig(), EVENTS, trial).tried == []
    assert search(SEARCHING, EVENTS[:500], trial).config == SEARCHING
    assert trial_size(10**9, SEARCHING) <= SEARCHING.search_events


def test_a_night_goes_on_with_what_was_chosen_and_with_nothing_else():
    chosen = {"similarity": "cosine", "deep_learning_rate": 0.5, "dimensions": 3}
    tuned = as_tuned(SlowConfig(), chosen)
    assert tuned == replace(SlowConfig(), similarity="cosine", deep_learning_rate=0.5)
    assert as_tuned(SlowConfig(), {}) == SlowConfig()


@pytest.mark.tf
def test_training_with_a_search_takes_what_it_chose_and_says_what_it_tried():
    columns, metadata = tiny_world_columns()
    # trials as long as training itself, for the world is small
    config = replace(CONFIG, tuning_share=20.0, max_epochs=1, deep_learning_rate=1e-6)
    trained = train_from_scratch(columns, metadata, SCHEMA, config, seed=0)
    assert len(trained.training["tuning"]) == 1 + len(changes(config))
    kept = [one["change"] for one in trained.training["tuning"] if one["kept"]]
    expected = config
    for change in kept:
        expected = replace(expected, **change)
    assert trained.tuned == {name: getattr(expected, name) for name in TUNED}
    plain = train_from_scratch(columns, metadata, SCHEMA, CONFIG, seed=0)
    assert plain.tuned == {}
    assert "tuning" not in plain.training
