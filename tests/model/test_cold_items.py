"""Items that nobody has met, and users of whom nothing is known, on a trained model."""

import numpy as np
import pytest

from model.fast.config import MemoryConfig
from model.interactions import Event, EventRules
from model.recommender import Recommender
from model.request import Query
from model.slow.bootstrap import train_from_scratch
from model.slow.columns import Metadata
from model.slow.scorer import SlowScorer
from model.storage.event_log import open_log
from tests.tiny_model import CONFIG, columns_of
from tests.worlds import SCHEMA, metadata, ratings

pytestmark = pytest.mark.tf

HELD_OUT = frozenset({"i4", "i5", "i8", "i9", "i12", "i13"})
EVENTS = [e for e in ratings(np.random.default_rng(0)) if e.item_id not in HELD_OUT]
NOW_MS = EVENTS[-1].timestamp_ms + 60_000


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serves a model trained without any event of the held-out items; the log describes them."""
    columns, described = columns_of(EVENTS)
    known = {item: found for item, found in described.items.items() if item not in HELD_OUT}
    model = train_from_scratch(columns, Metadata(known, described.users), SCHEMA, CONFIG, seed=0)
    log = open_log(tmp_path_factory.mktemp("cold") / "events.db")
    log.append(metadata(), received_ms=NOW_MS)
    log.append(EVENTS, received_ms=NOW_MS)
    yield Recommender(SlowScorer(model.bundle), "v1", log, EventRules(), MemoryConfig()), log
    log.close()


def place_of_held_out(recommender, query):
    """Mean place of the held-out even and odd items in the whole list, 0 first and 1 last."""
    listed = recommender.recommend(query).item_ids
    assert set(listed) >= HELD_OUT
    places = {item: rank / (len(listed) - 1) for rank, item in enumerate(listed)}
    return [
        np.mean([places[item] for item in HELD_OUT if int(item[1:]) % 2 == parity])
        for parity in (0, 1)
    ]


def test_an_item_that_nobody_has_met_stands_where_its_attributes_put_it(served):
    recommender, _ = served
    own, other = [], []
    for user in range(20):
        query = Query(user_id=f"u{user}", n=100, now_ms=NOW_MS, exclude_seen=False)
        places = place_of_held_out(recommender, query)
        own.append(places[user % 2])
        other.append(places[1 - user % 2])
    # items of the user's taste before those of the other, nearly always
    assert np.mean(np.array(own) < np.array(other)) >= 0.9
    assert np.mean(other) - np.mean(own) > 0.1


def test_an_unknown_user_gets_the_own_taste_after_a_few_events(served):
    recommender, log = served
    shares = []
    for n, item in enumerate([None, "i0", "i2", "i6"]):
        if item is not None:
            at = NOW_MS + n * 1000
            log.append([Event(f"new-{n}", "like", at, "stranger", item)], received_ms=at)
        query = Query(user_id="stranger", n=10, now_ms=NOW_MS + 10_000)
        listed = recommender.recommend(query).item_ids
        shares.append(np.mean([int(item[1:]) % 2 == 0 for item in listed]))
    assert shares[-1] >= shares[0] + 0.1
    assert shares[-1] > 0.6
