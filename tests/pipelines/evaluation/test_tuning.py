import dataclasses

import numpy as np
import pytest

from pipelines.evaluation.tuning import tuning_stream
from tests.pipelines.evaluation.streams import small_stream
from tests.pipelines.evaluation.test_replay import shown_stream


@pytest.mark.parametrize("candidates", ["unseen", "seen", "all"])
def test_tuning_replays_the_end_of_the_history_and_never_the_protocols_own_part(candidates):
    stream = small_stream(n_events=4_000, candidates=candidates)
    tuning = tuning_stream(stream)
    assert len(tuning) == stream.bootstrap
    assert stream.bootstrap * 0.8 < tuning.bootstrap < stream.bootstrap
    starts = [tuning.bootstrap, *tuning.nights.tolist()]
    assert len(starts) == 4
    assert all(tuning.group[row] > tuning.group[row - 1] for row in starts)
    assert tuning.asked.any()
    assert not tuning.asked[: tuning.bootstrap].any()
    assert (tuning.events.outcome[tuning.asked] > 0).all()


def test_what_a_user_has_met_is_not_asked_about_where_the_protocol_leaves_it_out():
    tuning = tuning_stream(small_stream(n_events=4_000))
    pairs = list(zip(tuning.events.actor.tolist(), tuning.events.item.tolist(), strict=True))
    for row in np.flatnonzero(tuning.asked):
        assert pairs[row] not in pairs[:row]


def test_the_first_event_of_a_session_is_not_asked_about():
    tuning = tuning_stream(
        small_stream(n_events=4_000, n_actors=900, candidates="all", sessions=True)
    )
    actors = tuning.events.actor.tolist()
    assert tuning.asked.any()
    assert all(actors[row] in actors[:row] for row in np.flatnonzero(tuning.asked))


def test_shown_lists_stay_whole():
    stream = shown_stream()
    stream = dataclasses.replace(stream, bootstrap=150, asked=np.arange(200) >= 150)
    tuning = tuning_stream(stream)
    for group in np.unique(tuning.group[tuning.asked]):
        assert tuning.asked[tuning.group == group].all()
