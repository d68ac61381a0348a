"""The memory's factors are learned from what was chosen, on events the model has not seen."""

import dataclasses

import numpy as np
import pytest

from model.factor_learning import Lesson, learn_factors
from model.fast.config import MemoryConfig
from model.fast.mixing import Mixing
from model.interactions import EventRules
from model.recommender import Recommender
from model.request import Query
from model.slow.bundle import make_bundle
from model.slow.scorer import SlowScorer
from model.storage.event_log import open_log
from model.storage.log_up_to import LogUpTo
from tests.recommending import EVENTS, MODEL, NOW_MS, event
from tests.tiny_model import halves_alone
from tests.worlds import metadata

SCORER = SlowScorer(halves_alone(MODEL.bundle))
RULES, CONFIG = EventRules(), MemoryConfig()


@pytest.fixture
def log(tmp_path):
    log = open_log(tmp_path / "events.db")
    log.append([*metadata(), *EVENTS], received_ms=NOW_MS)
    yield log
    log.close()


def news(n_hours=30, per_hour=30):
    """Each hour everybody reads one of two items, and the hour after that another two."""
    rng = np.random.default_rng(1)
    return [
        event(
            f"n{hour}-{n}",
            user=f"reader{hour}-{n}",
            item=f"i{(2 * hour + rng.integers(2)) % 40}",
            at=NOW_MS + hour * 3_600_000 + n * 60_000,
        )
        for hour in range(n_hours)
        for n in range(per_hour)
    ]


def learned(log, after_seq, seed=0, start=None, scorer=SCORER):
    lesson = Lesson(after_seq, log.head(), start or Mixing())
    return learn_factors(scorer, log, RULES, CONFIG, lesson, np.random.default_rng(seed))


def test_where_items_come_and_go_by_the_hour_the_memory_learns_to_go_by_the_hour(log):
    before = log.head()
    log.append(news(), received_ms=NOW_MS)
    found = learned(log, before)
    assert found.report["nats_after"] < found.report["nats_before"] - 0.1
    assert found.mixing.context["hour"][0] > 2 * Mixing().other_context[0]


def sessions(n_sessions=150, *, back=True):
    """Everybody chooses any item and any other, and then the first one again."""
    rng = np.random.default_rng(2)
    found = []
    for n in range(n_sessions):
        first, other = rng.choice(40, 2, replace=False).tolist()
        items = [first, other, first] if back else [first, other]
        found += [
            event(
                f"s{n}-{place}",
                user=f"shopper{n}",
                item=f"i{item}",
                at=NOW_MS + n * 600_000 + place * 20_000,
            )
            for place, item in enumerate(items)
        ]
    return found


def test_where_people_come_back_the_memory_learns_to_expect_it(log):
    before = log.head()
    log.append(sessions(), received_ms=NOW_MS)
    found, start = learned(log, before), Mixing()
    assert found.report["with_met"] is True
    # the first item of three is the second to last: one place further back than the last
    assert found.mixing.again[1] > 10 * start.again[1]
    assert found.mixing.again[1] > found.mixing.again[0]
    assert found.mixing.nearby[0] < start.nearby[0]
    assert found.report["nats_after"] < found.report["nats_before"] - 0.5


def test_where_nobody_comes_back_what_was_met_does_not_compete(log):
    before = log.head()
    log.append(sessions(back=False), received_ms=NOW_MS)
    found = learned(log, before)
    assert found.report["with_met"] is False
    np.testing.assert_allclose(found.mixing.again, Mixing().again, rtol=1e-6)


def test_how_far_chances_of_the_slow_model_count_beside_the_memory_is_learned(log):
    before = log.head()
    log.append(sessions(back=False), received_ms=NOW_MS)
    p = MODEL.bundle.parameters
    # the right items in the wrong rows, said aloud
    wrong = {
        "nearby_items": np.random.default_rng(0).permutation(p["nearby_items"]),
        "nearby_weights": 50 * p["nearby_weights"],
    }
    misled = SlowScorer(make_bundle(MODEL.bundle.space, {**p, **wrong}, None))
    assert learned(log, before, scorer=misled).mixing.slow_nearby < 0.5
    assert learned(log, before).mixing.slow_nearby == pytest.approx(1.0)


def test_what_was_learned_before_is_moved_less_than_a_guess(log):
    before = log.head()
    log.append(sessions(), received_ms=NOW_MS)
    guess = Mixing()
    known = dataclasses.replace(guess, slow=1.000_001)
    moved = [
        np.abs(np.subtract(learned(log, before, start=start).mixing.again, start.again)).sum()
        for start in (guess, known)
    ]
    assert 0.0 < moved[1] < 0.8 * moved[0]


def moods(n_users=40, each=12):
    """Half of the users rate whatever they meet well, the other half badly."""
    rng = np.random.default_rng(4)
    return [
        event(
            f"m{user}-{n}",
            user=f"critic{user}",
            item=f"i{item}",
            kind="rating",
            value=5.0 if user % 2 else 1.0,
            at=NOW_MS + user * 3_600_000 + n * 60_000,
        )
        for user in range(n_users)
        for n, item in enumerate(rng.choice(40, each, replace=False).tolist())
    ]


def test_where_moods_last_a_users_own_outcomes_count_more(log):
    before = log.head()
    log.append(moods(), received_ms=NOW_MS)
    found = learned(log, before)
    assert found.report["outcomes"] == 480
    assert found.mixing.own_outcomes > 1.2
    assert found.report["logloss_after"] < found.report["logloss_before"]


def test_chances_are_moved_by_the_learned_factors_of_outcomes(log):
    log.append(moods(4, 6), received_ms=NOW_MS)
    item = np.array([[3]])
    query = Query(user_id="critic1", now_ms=NOW_MS + 4 * 3_600_000)

    def odds(mixing):
        recommender = Recommender(SCORER, "v", log, RULES, CONFIG, mixing)
        prepared = recommender.prepare(query)
        chances = recommender.probabilities([prepared], item)
        assert chances is not None
        chance = chances[0, 0]
        return np.log(chance / (1.0 - chance)), prepared

    plain, prepared = odds(Mixing(own_outcomes=0.0, lesson_outcomes=0.0))
    assert prepared.shift == 0.0
    one, prepared = odds(Mixing(own_outcomes=1.0, lesson_outcomes=0.0))
    two, _ = odds(Mixing(own_outcomes=2.0, lesson_outcomes=0.0))
    assert prepared.shift > 0.1
    assert one - plain == pytest.approx(prepared.shift, rel=1e-5)
    assert two - plain == pytest.approx(2.0 * prepared.shift, rel=1e-5)


def test_without_failures_no_outcomes_are_asked_about(log):
    before = log.head()
    log.append(news(10), received_ms=NOW_MS)
    found = learned(log, before)
    assert found.report["outcomes"] == 0
    assert found.mixing.own_outcomes == Mixing().own_outcomes


def test_learning_is_a_function_of_log_and_seed(log):
    before = log.head()
    log.append(news(10), received_ms=NOW_MS)
    assert learned(log, before) == learned(log, before)


def test_too_few_successes_teach_nothing(log):
    before = log.head()
    log.append(news(1), received_ms=NOW_MS)
    assert learned(log, before) is None


def test_scores_are_the_parts_times_their_factors(log):
    log.append(news(5), received_ms=NOW_MS)
    mixing = Mixing(slow=0.7, bias=0.8, fast=0.9, nearby=(0.1, 0.2, 0.3), again=(0.3, 0.2, 0.1))
    recommender = Recommender(SCORER, "v", log, RULES, CONFIG, mixing)
    query = Query(user_id="u3", now_ms=NOW_MS + 6 * 3_600_000)
    parts, lifts = recommender.parts(query)
    factors = mixing.as_factors(recommender.context_fields)
    expected = factors.of_parts @ parts + np.log1p(factors.of_lifts @ lifts)
    scores = recommender.scores([recommender.prepare(query)])[0]
    shown = np.isfinite(scores)
    np.testing.assert_allclose(scores[shown], expected[shown], atol=1e-4)


def test_nothing_of_a_moment_is_known_when_it_is_asked_about(log):
    sealed = LogUpTo(log)
    sealed.end = log.head() - 3
    assert sealed.head() == log.head() - 3
    assert sealed.tail(0, limit=100_000)[-1].seq == sealed.end
    assert sealed.tail(0, through_seq=log.head(), limit=100_000)[-1].seq == sealed.end
    assert sealed.event(EVENTS[-1].event_id) is None
    assert sealed.event(EVENTS[0].event_id) is not None
    last = EVENTS[-1].user_id or ""
    assert all(row.seq <= sealed.end for row in sealed.actor_rows(last, log.head()))
    assert sealed.user("u1") == log.user("u1")


def test_old_events_stay_out_of_the_memory_that_is_asked_and_metadata_do_not(log, tmp_path):
    last = log.head()
    cut = last - 40
    shown = LogUpTo(log, events_after=cut)
    shown.end = last
    recommender = Recommender(SCORER, "", shown, RULES, CONFIG)
    short = open_log(tmp_path / "short.db")
    short.append([*metadata(), *EVENTS[-40:]], received_ms=NOW_MS)
    other = Recommender(SCORER, "", short, RULES, CONFIG)
    counts, expected = (r.memory.trending.counts(NOW_MS) for r in (recommender, other))
    np.testing.assert_array_equal(counts, expected)
    assert counts.any()
    assert recommender.as_of == last
    # a user's own events are found by index, however old
    assert len(shown.actor_rows("u1", last)) == len(log.actor_rows("u1", last)) > 0
    short.close()
