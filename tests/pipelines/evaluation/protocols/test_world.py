import numpy as np
import pytest

from pipelines.evaluation.protocols import world
from pipelines.evaluation.protocols.registry import open_streams
from pipelines.simulate import QUICK, REVERSAL_DAY, START_MS, simulate
from tests.pipelines.evaluation.protocols.checking import check_stream, same_streams

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def quick():
    return world.stream(quick=True, seed=0)


def test_the_stream_keeps_the_rules(quick):
    check_stream(quick)


def test_a_seed_makes_one_world(quick):
    (again,) = open_streams("world", None, quick=True, seed=0)
    same_streams(quick, again)
    assert again.truth is not None
    assert quick.truth(5).tolist() == again.truth(5).tolist()
    (other,) = open_streams("world", None, quick=True, seed=1)
    assert not np.array_equal(quick.events.item, other.events.item)


def test_rows_are_the_visits_without_their_positions(quick):
    _, visits = simulate(QUICK, 0)
    events = quick.events
    clicks = set(
        zip(
            np.repeat(visits.user, 6)[visits.clicked.ravel()].tolist(),
            visits.shown[visits.clicked].tolist(),
            strict=True,
        )
    )
    success = events.outcome == 1
    assert set(zip(events.actor[success], events.item[success], strict=True)) == clicks
    assert len(events) == visits.shown.size
    within = np.diff(quick.group) == 0
    assert (np.diff(events.item)[within] > 0).all()


def test_half_is_history_and_the_reversal_comes_in_the_replay(quick):
    assert abs(quick.bootstrap - len(quick) / 2) <= 6
    assert quick.events.timestamp_ms[quick.bootstrap] < START_MS + REVERSAL_DAY * DAY_MS


def test_the_truth_is_that_of_the_rows_user_at_the_rows_moment(quick):
    made, _ = simulate(QUICK, 0)
    for row in (0, 1_000, len(quick) - 1):
        actor, time = quick.events.actor[row], quick.events.timestamp_ms[row]
        np.testing.assert_array_equal(quick.truth(row), made.truth(int(actor), int(time)))


def test_events_since_a_turn_of_taste_are_counted_for_those_who_turn(quick):
    made, _ = simulate(QUICK, 0)
    turned = made.turned[quick.events.actor]
    assert (quick.since_turn[~turned] == -2).all()
    late = quick.events.timestamp_ms >= START_MS + REVERSAL_DAY * DAY_MS
    assert (quick.since_turn[turned & ~late] == -1).all()
    seen: dict[int, int] = {}
    for row in np.flatnonzero(turned & late):
        who, when = int(quick.events.actor[row]), quick.events.timestamp_ms[row]
        moment = (quick.events.actor == who) & (quick.events.timestamp_ms == when)
        first = np.flatnonzero(moment)[0]
        if row == first:
            seen[int(row)] = int((turned & late & (quick.events.actor == who))[:row].sum())
        assert quick.since_turn[row] == seen[int(first)]
    assert seen


def test_later_items_are_not_announced(quick):
    made, _ = simulate(QUICK, 0)
    told = np.array([item in quick.item_attributes for item in quick.items])
    np.testing.assert_array_equal(told, made.out_ms == START_MS)
    assert 0 < told.sum() < len(told)
