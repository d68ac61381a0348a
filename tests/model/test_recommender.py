"""The recommend path on a real log: parts, exclusions, read-your-writes, fallbacks."""

import numpy as np
import pytest

from model.catalogue import Filter
from model.errors import BadInputError
from model.fast.config import MemoryConfig
from model.fast.mixing import Mixing
from model.interactions import Event, EventRules, ItemChange, Kind, UserChange
from model.request import PARTS, Query
from model.slow.columns import Metadata, event_columns
from model.slow.examples import Examples
from model.slow.scorer import SlowScorer
from model.storage.event_log import open_log
from tests.recommending import EVENTS, MODEL, NOW_MS, ask, event, recommender_on
from tests.worlds import metadata


@pytest.fixture
def recommender(log):
    return recommender_on(log)


def seen_by(user):
    return {e.item_id for e in EVENTS if e.user_id == user}


def test_the_list_equals_scoring_every_item_and_sorting(recommender):
    reply = ask(recommender, n=7, explain="brief")
    everything = ask(recommender, n=500)
    assert everything.item_ids[:7] == reply.item_ids
    assert everything.scores == sorted(everything.scores, reverse=True)
    assert set(everything.item_ids) == {f"i{n}" for n in range(40)} - seen_by("u1")


def example_of_a_moment(log):
    """The log with one event more, and its queries as training reads them."""
    examples = MODEL.examples
    probe = Event("probe", "click", NOW_MS, user_id="u5", item_id="i3")
    log.append([probe], received_ms=NOW_MS)
    rows = [row for row in log.tail(0) if row.kind == Kind.EVENT]
    users = {"u5": log.user("u5")}
    trained = Examples(event_columns(rows, EventRules()), examples.space, Metadata({}, users))
    return trained.queries(np.flatnonzero(trained.seq == log.head()))


def test_a_request_scores_as_the_training_example_of_the_same_moment_does(log):
    """What is served is what was trained: features from live memory equal those from the log."""
    scorer, queries = SlowScorer(MODEL.bundle), example_of_a_moment(log)
    slow = scorer.score(queries)
    wide = slow.wide[0] + scorer.lifted(queries.liked, len(scorer.bias))[0]
    before = recommender_on_prefix(log)
    reply = before.recommend(Query(user_id="u5", now_ms=NOW_MS, n=40, explain="brief"))
    for place, item_id in enumerate(reply.item_ids):
        number = scorer.space.items.number(item_id)
        assert reply.parts["slow_deep"][place] == pytest.approx(slow.deep[0, number], abs=1e-5)
        assert reply.parts["slow_wide"][place] == pytest.approx(wide[number], abs=1e-5)


def test_without_the_memory_the_score_is_the_slow_models_own(log):
    scorer, queries = SlowScorer(MODEL.bundle), example_of_a_moment(log)
    expected = scorer.scores(queries)[0]
    assert not np.allclose(expected, scorer.trust * (scorer.bias + scorer.score(queries).deep[0]))
    off = MemoryConfig(trending_weight=0, cross_weight=0, fast_weight=0, lesson_weight=0)
    # how far the slow model is to be trusted beside the memory is of no matter then
    alone = recommender_on_prefix(log, off, Mixing(slow=0.3, bias=0.4, slow_nearby=0.5))
    reply = alone.recommend(Query(user_id="u5", now_ms=NOW_MS, n=40))
    assert len(reply.item_ids) > 10
    for item_id, score in zip(reply.item_ids, reply.scores, strict=True):
        assert score == pytest.approx(expected[scorer.space.items.number(item_id)], abs=1e-5)


def test_chances_of_the_slow_model_and_of_the_memory_add_up_and_do_not_multiply(log):
    """log(1 + slow + fast), of which the slow half is said to have given log(1 + slow)."""
    half = recommender_on(log, mixing=Mixing(slow_nearby=0.5))
    none = recommender_on(log, mixing=Mixing(slow_nearby=0.0))
    query = Query(user_id="u1", now_ms=NOW_MS, n=40, exclude_seen=False)
    parts, lifts = half.parts(query)
    assert (lifts[:-1].any(axis=0) & (lifts[-1] > 0)).any()
    for recommender, mixing in ((half, Mixing(slow_nearby=0.5)), (none, Mixing(slow_nearby=0.0))):
        factors = mixing.as_factors(recommender.context_fields)
        expected = factors.scores(parts.T.astype(float), lifts.T.astype(float))
        reply = recommender.recommend(query)
        for item_id, score in zip(reply.item_ids, reply.scores, strict=True):
            number = recommender.catalogue.number(item_id)
            assert score == pytest.approx(expected[number], abs=1e-4)


def recommender_on_prefix(log, memory=MemoryConfig(), mixing=Mixing()):  # noqa: B008 - frozen
    """A recommender on the log without its last event."""

    class Prefix:
        def __getattr__(self, name):
            return getattr(log, name)

        def head(self):
            return log.head() - 1

    return recommender_on(Prefix(), memory, mixing)


def test_the_parts_add_up_to_the_score(recommender):
    reply = ask(recommender, n=20, explain="full")
    assert tuple(reply.parts) == PARTS
    total = np.sum(list(reply.parts.values()), axis=0)
    np.testing.assert_allclose(total, reply.scores, atol=1e-4)
    assert any(reply.parts["fast_wide"])


def test_named_crosses_and_trending_are_what_the_parts_say(recommender):
    reply = ask(recommender, n=5, explain="brief")
    for place, causes in enumerate(reply.because):
        trending = [c.contribution for c in causes if c.kind == "trending"]
        assert trending in ([], [pytest.approx(reply.parts["fast_wide"][place])])


@pytest.mark.usefixtures("every_cause")
def test_leaving_an_event_out_changes_the_deep_score_by_what_was_stated(log, tmp_path):
    reply = ask(recommender_on(log), n=20, explain="full", exclude_seen=False)
    stated = [
        (place, cause)
        for place, causes in enumerate(reply.because)
        for cause in causes
        # the user's dislikes fill the history, where an older one would take the free place
        if cause.kind == "history" and cause.text.startswith("you liked")
    ]
    where, cause = stated[0]
    other = open_log(tmp_path / "without.db")
    left_out = [e for e in EVENTS if not (e.user_id == "u1" and e.item_id == cause.item_id)]
    other.append(metadata(), received_ms=NOW_MS)
    other.append(left_out, received_ms=NOW_MS)
    again = ask(recommender_on(other), n=40, explain="brief", exclude_seen=False)
    place = again.item_ids.index(reply.item_ids[where])
    moved = reply.parts["slow_deep"][where] - again.parts["slow_deep"][place]
    last = max((e for e in EVENTS if e.user_id == "u1"), key=lambda e: e.timestamp_ms)
    # leaving out the last event also changes the `last` input, which is stated apart
    if last.item_id != cause.item_id:
        assert moved == pytest.approx(cause.contribution, abs=1e-4)
    other.close()


def test_an_event_is_reflected_by_the_next_request(log, recommender):
    first = ask(recommender)
    chosen = first.item_ids[0]
    log.append([event("new", item=chosen)], received_ms=NOW_MS)
    second = ask(recommender)
    assert chosen not in second.item_ids
    assert second.memory_as_of == first.memory_as_of + 1
    assert second.scores != first.scores[1:]


def test_a_dislike_removes_the_item_even_where_seen_items_may_return(log, recommender):
    chosen = ask(recommender, exclude_seen=False).item_ids[0]
    log.append([event("no", item=chosen, kind="dislike")], received_ms=NOW_MS)
    assert chosen not in ask(recommender, n=500, exclude_seen=False).item_ids


def test_a_retraction_restores_the_list(log, recommender):
    before = ask(recommender, explain="brief")
    log.append([event("oops", item=before.item_ids[0])], received_ms=NOW_MS)
    assert ask(recommender).item_ids != before.item_ids
    log.append([event("undo", item=None, retracts="oops")], received_ms=NOW_MS)
    after = ask(recommender, explain="brief")
    assert after.item_ids == before.item_ids
    np.testing.assert_allclose(after.scores, before.scores, atol=1e-5)


def test_an_unknown_user_is_served_and_named_a_fallback(recommender):
    reply = ask(recommender, user="never heard of")
    assert len(reply.item_ids) == 10
    assert reply.fallback == "popular"
    assert recommender.recommend(Query(now_ms=NOW_MS)).item_ids == reply.item_ids


def test_the_first_event_of_an_unknown_user_personalises_the_list(log, recommender):
    before = ask(recommender, user="new")
    log.append([event("first", user="new", item="i7")], received_ms=NOW_MS)
    after = ask(recommender, user="new")
    assert after.fallback is None
    assert after.scores != before.scores


def test_seed_items_act_as_the_events_would(log):
    seeded = ask(recommender_on(log), user=None, seed_items=("i4", "i7"))
    log.append(
        [event("s1", user="x", item="i4"), event("s2", user="x", item="i7", at=NOW_MS + 1)],
        received_ms=NOW_MS,
    )
    # only what happened moves fast weights and what is trending
    history = MemoryConfig(trending_weight=0.0, fast_weight=0.0)
    lived = recommender_on(log, history)
    asked = lived.recommend(Query(user_id="x", now_ms=NOW_MS))
    dry = recommender_on(log, history)
    again = dry.recommend(Query(seed_items=("i4", "i7"), now_ms=NOW_MS))
    assert again.item_ids == asked.item_ids
    np.testing.assert_allclose(again.scores, asked.scores, atol=1e-6)
    assert seeded.fallback is None
    assert not {"i4", "i7"} & set(seeded.item_ids)


def test_a_session_is_remembered_like_a_user(log, recommender):
    log.append([Event("e", "click", NOW_MS, session_id="s9", item_id="i3")], received_ms=NOW_MS)
    reply = recommender.recommend(Query(session_id="s9", now_ms=NOW_MS, n=500))
    assert "i3" not in reply.item_ids
    assert reply.fallback is None


def test_unknown_ids_in_a_request_are_harmless(recommender):
    plain = ask(recommender)
    odd = ask(recommender, exclude_items=("ghost",), seed_items=("ghost",))
    assert odd.item_ids == plain.item_ids


def test_excluded_items_are_left_out(recommender):
    first = ask(recommender).item_ids
    assert not set(first[:3]) & set(ask(recommender, exclude_items=tuple(first[:3])).item_ids)


def test_filters_hold_for_every_item(recommender):
    reply = ask(recommender, n=500, filters=(Filter("genres", "eq", "odd"),))
    assert reply.item_ids
    assert all(int(item[1:]) % 2 for item in reply.item_ids)


def test_a_filter_on_an_unknown_attribute_is_bad_input(recommender):
    with pytest.raises(BadInputError, match="filters"):
        ask(recommender, filters=(Filter("colour", "eq", "red"),))


def test_when_all_was_seen_the_seen_comes_back_and_says_so(log, recommender):
    everything = [event(f"all{n}", item=f"i{n}") for n in range(40)]
    log.append(everything, received_ms=NOW_MS)
    reply = ask(recommender)
    assert len(reply.item_ids) == 10
    assert reply.fallback == "seen"


def test_an_empty_catalogue_gives_an_empty_list(tmp_path):
    empty = open_log(tmp_path / "empty.db")
    assert recommender_on(empty).recommend(Query(now_ms=NOW_MS)).item_ids == []
    empty.close()


def test_a_new_item_comes_first_within_minutes_and_goes_within_the_hour_when_it_cools(log):
    news = Mixing(slow=0.2, trending=(1.0,) * 6)
    recommender = recommender_on(log, mixing=news)
    log.append([ItemChange("fresh", {"genres": ("odd",)})], received_ms=NOW_MS)
    assert "fresh" in ask(recommender, n=500).item_ids
    burst = [event(f"b{n}", user=f"fan{n}", item="fresh", at=NOW_MS + n) for n in range(300)]
    log.append(burst, received_ms=NOW_MS)
    assert ask(recommender, user="bystander").item_ids[0] == "fresh"
    next_hour = NOW_MS + 3_600_000
    others = [
        event(f"o{n}", user=f"reader{n}", item=f"i{n % 3}", at=next_hour + n) for n in range(150)
    ]
    log.append(others, received_ms=next_hour)
    later = recommender.recommend(Query(user_id="bystander", now_ms=next_hour + 60_000))
    assert later.item_ids.index("fresh") >= 3


def test_deleted_and_hidden_items_leave_the_lists(log, recommender):
    first = ask(recommender).item_ids
    log.append(
        [ItemChange(first[0], None), ItemChange(first[1], {}, hidden=True)], received_ms=NOW_MS
    )
    assert not set(first[:2]) & set(ask(recommender, n=500).item_ids)


def test_changed_user_attributes_are_used_at_once(log, recommender):
    before = ask(recommender, explain="brief")
    log.append([UserChange("u1", {"occupation": "writer"})], received_ms=NOW_MS)
    assert ask(recommender, explain="brief").parts["slow_deep"] != before.parts["slow_deep"]


def test_two_workers_that_read_in_different_steps_agree_to_the_bit(log):
    eager = recommender_on(log)
    for n in range(30):
        log.append([event(f"w{n}", user=f"u{n % 7}", item=f"i{n}", at=NOW_MS + n)], NOW_MS)
        eager.catch_up()
        if n % 3 == 0:
            ask(eager, user=f"u{n % 7}")
    fresh = recommender_on(log)
    for user in [f"u{n}" for n in range(10)]:
        assert ask(eager, user=user, explain="full") == ask(fresh, user=user, explain="full")


def test_a_small_cache_changes_no_answer(log):
    small, large = recommender_on(log, MemoryConfig(cached_users=1)), recommender_on(log)
    for user in ("u1", "u2", "u1", "u3", "u2"):
        assert ask(small, user=user) == ask(large, user=user)
        log.append([event(f"c{log.head()}", user=user, item="i9")], received_ms=NOW_MS)


def test_any_length_gives_the_best_of_the_whole(recommender):
    whole = ask(recommender, user="new", n=500)
    for n in range(1, 61):
        assert ask(recommender, user="new", n=n).item_ids == whole.item_ids[:n]


def test_requests_prepared_at_different_moments_score_together_as_they_would_have_alone(log):
    recommender = recommender_on(log)
    queries = [
        Query(user_id=user, now_ms=NOW_MS, context=context)
        for user, context in [("u1", {}), ("u2", {"device": "phone"}), (None, {})]
    ]
    alone = []
    prepared = []
    for place, query in enumerate(queries):
        prepared.append(recommender.prepare(query))
        alone.append(recommender.scores(prepared[-1:])[0])
        log.append([event(f"later-{place}", item=f"new-{place}")], received_ms=NOW_MS)
    together = recommender.scores(prepared)
    for row, scores in zip(together, alone, strict=True):
        np.testing.assert_allclose(row[: len(scores)], scores, atol=1e-5)
        assert np.all(row[len(scores) :] == -np.inf)


def test_the_scores_of_everything_are_those_of_the_list(recommender):
    query = Query(user_id="u1", now_ms=NOW_MS, n=10)
    reply = recommender.recommend(query)
    request = recommender.prepare(query)
    numbers = np.array([[recommender.catalogue.number(item) for item in reply.item_ids]])
    np.testing.assert_allclose(recommender.scores([request])[0, numbers[0]], reply.scores)
    np.testing.assert_allclose(
        recommender.probabilities([request], numbers)[0], reply.probabilities, atol=1e-6
    )
