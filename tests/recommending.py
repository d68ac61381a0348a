"""A recommender on a real log and a tiny model, for tests of what it recommends."""

import numpy as np

from model.fast.config import MemoryConfig
from model.fast.mixing import Mixing
from model.interactions import Event, EventRules
from model.recommender import Recommender
from model.request import Query
from model.slow.scorer import SlowScorer
from tests.tiny_model import tiny_model
from tests.worlds import ratings

EVENTS = ratings(np.random.default_rng(0))
NOW_MS = EVENTS[-1].timestamp_ms + 60_000
MODEL = tiny_model()


def recommender_on(log, memory=MemoryConfig(), mixing=Mixing()):  # noqa: B008 - frozen
    return Recommender(SlowScorer(MODEL.bundle), "v1", log, EventRules(), memory, mixing)


def event(event_id, user="u1", item="i0", kind="click", at=NOW_MS, **more):
    return Event(event_id, kind, at, user_id=user, item_id=item, **more)


def ask(recommender, user="u1", **more):
    return recommender.recommend(Query(user_id=user, now_ms=NOW_MS, **more))
