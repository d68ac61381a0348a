"""What the night has learned is not said twice: the memory is made again behind it."""

from contextlib import closing

import numpy as np
import pytest

from model.interactions import Event
from model.recommender import Recommender
from model.request import Query
from model.storage.event_log import open_log
from model.storage.registry import Registry
from model.workspace import load_config
from pipelines.continuity import jump
from tests.nights import LATER_MS, N_ITEMS, append, honest, make_home, night
from tests.worlds import DAY_MS

pytestmark = [pytest.mark.tf, pytest.mark.slow]

NOW_MS = LATER_MS + 21 * DAY_MS
HOT = f"i{N_ITEMS - 1}"
QUIET = [f"u{n}" for n in range(100, 140)]


def surge():
    """An honest day, at whose end two in three users like the least popular item."""
    day = [event for event in honest(0) if event.user_id not in QUIET]
    users = sorted({event.user_id or "" for event in day})
    last = day[-1].timestamp_ms
    # spread over the day, so that the head and the held-out tail both hold some
    times = np.linspace(day[0].timestamp_ms, last, len(users)).astype(int).tolist()
    hot = [
        Event(f"hot-{user}", "rating", at, user, HOT, 5.0)
        for n, (user, at) in enumerate(zip(users, times, strict=True))
        if n % 3
    ]
    day = [event for event in day if event.item_id != HOT]
    return sorted([*day, *hot], key=lambda event: event.timestamp_ms)


@pytest.fixture(scope="module")
def swapped(tmp_path_factory):
    """Both versions, with their memories of the same log."""
    home = tmp_path_factory.mktemp("handover") / "home"
    workspace = make_home(home)
    append(home, surge())
    report = night(home, "empty log", 0)
    assert report["verdict"] == "published", report["reasons"]
    registry, config = Registry(workspace.models), load_config(workspace.config_path)
    with closing(open_log(workspace.log_path)) as log:
        yield [
            Recommender.open(
                registry.open(version),
                registry.manifest(version),
                log,
                config.events,
                config.memory,
            )
            for version in (report["served"], report["version"])
        ]


def parts_of(recommender, item):
    """Mean parts of an item's score above the mean item's, over the quiet users."""
    number = recommender.catalogue.number(item)
    total, fast = [], []
    for user in QUIET:
        prepared = recommender.prepare(Query(user_id=user, now_ms=NOW_MS))
        scores = np.asarray(recommender.scores([prepared])[0], float)
        shown = np.isfinite(scores)
        total.append(scores[number] - scores[shown].mean())
        fast.append(prepared.fast[number] - prepared.fast[shown].mean())
    return float(np.mean(total)), float(np.mean(fast))


def surge_in_truth():
    """The hot item's log share of the day's successes above the mean item's."""
    chosen = [event.item_id for event in surge() if event.value == 5.0]
    counts = np.array([chosen.count(f"i{n}") for n in range(N_ITEMS)]) + 1.0
    shares = np.log(counts / counts.sum())
    return float(shares[N_ITEMS - 1] - shares.mean())


def test_what_the_night_has_learned_is_not_said_twice(swapped):
    (_, fast_before), (after, fast_after) = (parts_of(one, HOT) for one in swapped)
    assert fast_before > 0.5, "the memory carried the surge before the night"
    assert fast_after < 0.75 * fast_before, "a part of it is expected now"
    said_twice = after - fast_after + fast_before
    truth = surge_in_truth()
    assert after < truth + 0.5
    assert abs(after - truth) < abs(said_twice - truth)


def test_lists_of_users_without_new_events_do_not_jump(swapped):
    before, after = swapped
    found = jump(before, after, QUIET, NOW_MS)
    assert found is not None
    assert found.users == len(QUIET)
    assert found.churn <= 0.5
    nothing = jump(before, before, QUIET, NOW_MS)
    assert nothing is not None
    assert (nothing.churn, nothing.scores) == (0.0, 0.0)
    assert jump(before, after, [], NOW_MS) is None
