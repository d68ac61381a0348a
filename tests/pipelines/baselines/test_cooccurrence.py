from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from pipelines.baselines.cooccurrence import WINDOW, SessionCooccurrence
from pipelines.baselines.histories import successes
from pipelines.evaluation.stream import Events
from tests.pipelines.baselines.histories import drawn, events, scores, setting

OPTIONS: dict[str, Any] = {"near": 0.5, "back": 0.25, "half_life": 40.0, "again": 0.3}
N_ITEMS = 12


def by_definition(history: Events, actor: int) -> np.ndarray:
    """[items] scores, from all pairs of the history at once."""
    own: dict[int, list[int]] = defaultdict(list)
    pairs: Counter[tuple[int, int]] = Counter()
    happened = list(zip(*successes(history), strict=True))
    for place, (who, item) in enumerate(happened):
        worth = 0.5 ** ((len(happened) - place) / OPTIONS["half_life"])
        for distance, other in enumerate(reversed(own[who][-WINDOW:])):
            if other != item:
                near = worth * OPTIONS["near"] ** distance
                pairs[other, item] += near
                pairs[item, other] += near * OPTIONS["back"]
        own[who].append(item)
    values = np.zeros(N_ITEMS)
    for distance, last in enumerate(reversed(own[actor][-WINDOW:])):
        total = sum(worth for (first, _), worth in pairs.items() if first == last)
        row = np.array([pairs[last, item] for item in range(N_ITEMS)])
        row /= total + 1.0
        row[last] += OPTIONS["again"]
        values += OPTIONS["near"] ** distance * row
    return values


@pytest.mark.parametrize("live_part", [0, 40])
def test_scores_are_those_of_the_definition(live_part):
    history = drawn(240, N_ITEMS, n_actors=8)
    arm = SessionCooccurrence(setting(N_ITEMS), **OPTIONS)
    arm.start(history.take(slice(0, 240 - live_part)))
    arm.learn(history.take(slice(240 - live_part, 240)))
    found = scores(arm, *range(8))
    if live_part:
        # by day the pairs of the history have not faded yet beside the one that is unseen
        arm.night()
        found = scores(arm, *range(8))

    expected = [by_definition(history, actor) for actor in range(8)]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3)


def test_what_followed_is_known_at_once_where_it_is_live_and_after_the_night_where_it_is_not():
    found = {}
    for live in (True, False):
        arm = SessionCooccurrence(setting(4), **OPTIONS, live=live)
        arm.start(events([]))
        arm.learn(events([(0, 1), (0, 2), (9, 1)]))
        evening = scores(arm, 9)[0, 2]
        arm.night()
        found[live] = evening, scores(arm, 9)[0, 2]

    assert found[True][0] > 0.3
    assert found[False][0] == 0.0
    assert found[False][1] == pytest.approx(found[True][1])


def test_the_way_back_counts_less():
    arm = SessionCooccurrence(setting(3), near=0.5, back=0.25, half_life=1e9)
    arm.start(events([(0, 1), (0, 2)]))
    arm.learn(events([(7, 1), (8, 2)]))
    forth, back = scores(arm, 7)[0, 2], scores(arm, 8)[0, 1]

    assert forth == pytest.approx(1.0 / 2.0, abs=1e-5)
    assert back == pytest.approx(0.25 / 1.25, abs=1e-5)
