"""A recommender that follows the log against one that is built on it, in any order of events."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model.fast.config import MemoryConfig
from model.fast.popularity import WINDOWS_S
from model.interactions import Event, EventRules, ItemChange, UserChange
from model.neighbours import popular
from model.recommender import Recommender
from model.request import Query
from model.slow.scorer import SlowScorer
from model.storage.event_log import open_log
from tests.tiny_model import tiny_model
from tests.worlds import metadata, ratings

MODEL = tiny_model()
WORLD = ratings(np.random.default_rng(0))[:300]
NOW_MS = WORLD[-1].timestamp_ms + 60_000
MEMORY_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (quick, and gone)
USERS = st.sampled_from(["u1", "u2", "stranger"])
ITEMS = st.sampled_from(["i1", "i2", "i30", "new 1", "new 2"])


class MemoryMachine(RuleBasedStateMachine):
    """Events come, late or early, are taken back and erased; the memory follows now and then."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY_DISK))
        self.log = open_log(self.folder / "events.db")
        self.log.append([*metadata(), *WORLD], NOW_MS)
        self.sent = 0
        self.live = self.built()

    def built(self):
        memory = MemoryConfig(cached_users=2)
        return Recommender(SlowScorer(MODEL.bundle), "v1", self.log, EventRules(), memory)

    @rule(
        user=USERS,
        item=ITEMS,
        kind=st.sampled_from(["click", "like", "hide", "view", "purchase"]),
        late_ms=st.integers(0, 10**9),
        follow=st.booleans(),
    )
    def something_happens(self, user, item, kind, late_ms, follow):
        self.sent += 1
        event = Event(f"e{self.sent}", kind, NOW_MS - late_ms, user_id=user, item_id=item)
        self.log.append([event, event], NOW_MS)
        if follow:
            self.live.recommend(Query(user_id=user, now_ms=NOW_MS))

    @rule(user=USERS, which=st.integers(0, 20))
    def something_is_taken_back(self, user, which):
        which %= self.sent + 1
        self.sent += 1
        back = Event(f"e{self.sent}", "like", NOW_MS, user_id=user, retracts=f"e{which}")
        self.log.append([back], NOW_MS)

    @rule(item=ITEMS, hidden=st.booleans(), gone=st.booleans())
    def an_item_changes(self, item, hidden, gone):
        self.log.append([ItemChange(item, None if gone else {"year": 1990.0}, hidden)], NOW_MS)

    @rule(user=USERS)
    def a_user_is_described(self, user):
        self.log.append([UserChange(user, {"occupation": "baker"})], NOW_MS)

    @rule(user=USERS)
    def a_user_is_erased(self, user):
        self.log.erase_user(user, NOW_MS)
        self.live.catch_up()
        assert self.live.memory.user(user).episodes == []
        # what others share of the user's memory goes when it is built again
        self.live = self.built()

    @invariant()
    def the_followed_memory_answers_as_the_built_one(self):
        fresh = self.built()
        for user in ("u1", "stranger", None):
            query = Query(user_id=user, n=60, now_ms=NOW_MS, explain="brief")
            mine, its = self.live.recommend(query), fresh.recommend(query)
            assert (mine.item_ids, mine.scores) == (its.item_ids, its.scores)
            assert (mine.fallback, mine.memory_as_of) == (its.fallback, its.memory_as_of)
            assert mine.because == its.because
        for window in WINDOWS_S:
            mine, its = (popular(each, window, 60, NOW_MS) for each in (self.live, fresh))
            np.testing.assert_allclose(mine.scores, its.scores, atol=1e-9)

    def teardown(self):
        self.log.close()
        shutil.rmtree(self.folder)


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(
    max_examples=(settings.default or settings()).max_examples // 5,
    stateful_step_count=15,
    deadline=None,
)
