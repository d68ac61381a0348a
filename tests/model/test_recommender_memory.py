"""The recommend path with a memory: what others may do to a list, explanation, recollection."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from model.fast.config import MemoryConfig
from model.fast.mixing import PLACES, Mixing
from model.interactions import ItemChange, Kind
from model.request import Query
from tests.recommending import NOW_MS, ask, event, recommender_on


def test_a_thousand_events_of_one_account_bring_no_item_into_the_lists_of_others(log):
    """The bound for one account: the row everyone not at all, each cross once."""
    mixing = Mixing(trending=(1.0,) * 6, nearby=(0.1, 0.1, 0.1))
    recommender = recommender_on(log, mixing=mixing)
    log.append([ItemChange("pushed", {"genres": ("odd",)})], received_ms=NOW_MS)
    people = ["new", *(f"u{n}" for n in range(10))]
    before = {user: ask(recommender, user=user, n=500, explain="brief") for user in people}
    flood = [
        event(f"f{n}", user="bot", item="pushed" if n % 2 else f"i{n % 40}", at=NOW_MS - n)
        for n in range(1000)
    ]
    log.append(flood, received_ms=NOW_MS)
    config, lengths = MemoryConfig(), [end - start for start, end in PLACES]
    most = sum(max(row) * n for row, n in zip(mixing.liked, lengths, strict=True))
    of_residuals = 2 * most * np.log((1 + config.cross_prior) / config.cross_prior)
    most = sum(chance * n for chance, n in zip(mixing.nearby, lengths, strict=True))
    least_share = recommender.memory.trending.levels(recommender.catalogue.share, NOW_MS)[1][5]
    of_lifts = np.log1p(most / (1 + config.lift_prior) / least_share[1:].min())
    bound = of_residuals + of_lifts
    for user in people:
        after = ask(recommender, user=user, n=500, explain="brief")
        assert "pushed" not in after.item_ids[:10]
        moved = scores_by_item(after)
        for item, score in scores_by_item(before[user]).items():
            assert abs(moved[item] - score) <= bound


def scores_by_item(reply):
    """What the memory adds to each item."""
    return dict(zip(reply.item_ids, reply.parts["fast_wide"], strict=True))


def test_with_every_part_of_the_memory_off_a_score_is_the_slow_models(log):
    off = MemoryConfig(trending_weight=0.0, cross_weight=0.0, fast_weight=0.0, lesson_weight=0.0)
    reply = ask(recommender_on(log, off, Mixing(slow=0.1, bias=0.2)), explain="brief")
    slow = [
        sum(reply.parts[part][n] for part in ("slow_wide", "slow_deep", "bias")) for n in (0, 1)
    ]
    assert reply.scores[:2] == pytest.approx(slow, abs=1e-5)


@pytest.mark.parametrize(
    "without",
    [
        MemoryConfig(trending_weight=0.0),
        MemoryConfig(cross_weight=0.0),
        MemoryConfig(fast_weight=0.0),
        MemoryConfig(lesson_weight=0.0),
    ],
)
def test_each_part_of_the_memory_can_be_switched_off(log, without):
    query = Query(user_id="u1", now_ms=NOW_MS, n=500, explain="brief")
    whole = recommender_on(log).recommend(query)
    part = recommender_on(log, without).recommend(query)
    assert whole.scores != part.scores


def said(causes, *kinds):
    return sum(cause.contribution for cause in causes if cause.kind in kinds)


@pytest.mark.usefixtures("every_cause")
def test_without_what_others_chose_beside_it_a_score_is_lower_by_what_was_stated(log):
    log.append([event("only", user="one-click", item="i3", at=NOW_MS - 5)], NOW_MS)
    mixing = Mixing(nearby=(0.2, 0.0, 0.0), again=(0.1, 0.0, 0.0), other_context=(0.0, 0.0))
    asked = {"user": "one-click", "n": 500, "explain": "full", "exclude_seen": False}
    whole = ask(recommender_on(log, mixing=mixing), **asked)
    rest = ask(recommender_on(log, MemoryConfig(cross_weight=0.0), mixing), **asked)
    without = dict(zip(rest.item_ids, rest.scores, strict=True))
    texts = set()
    for item, score, causes in zip(whole.item_ids, whole.scores, whole.because, strict=True):
        named = [cause for cause in causes if cause.kind == "recent"]
        if len(named) == 1:
            texts.add(named[0].text.split(" ")[0])
            assert score - without[item] == pytest.approx(named[0].contribution, abs=1e-4)
    assert "others" in texts
    assert [c.item_id for c in named_returns(whole)] == ["i3"]


def named_returns(reply):
    causes = (cause for causes in reply.because for cause in causes)
    return [cause for cause in causes if cause.text.startswith("people come back")]


@pytest.mark.usefixtures("every_cause")
def test_what_is_named_adds_up_to_the_fast_parts(log):
    """So removing what is named changes the score by what was stated."""
    log.append([event(f"o{n}", user=f"v{n}", item="i3", at=NOW_MS - n) for n in range(40)], NOW_MS)
    # lifts are chances: their logarithms do not add up
    nothing = (0.0, 0.0, 0.0)
    mixing = Mixing(lessons=0.7, nearby=nothing, again=nothing, slow_nearby=0.0)
    recommender = recommender_on(log, mixing=mixing)
    for user in ("u1", "u2", "new"):
        reply = ask(recommender, user=user, n=20, explain="full", exclude_seen=False)
        assert {"trending", "recent", "surprise", "lesson"} <= {
            cause.kind for causes in reply.because for cause in causes
        } or user == "new"
        for place, causes in enumerate(reply.because):
            wide = said(causes, "trending", "recent", "lesson")
            assert wide == pytest.approx(reply.parts["fast_wide"][place], abs=1e-4)
            deep = said(causes, "surprise")
            assert deep == pytest.approx(reply.parts["fast_deep"][place], abs=1e-4)
            assert said(causes, "cross") == pytest.approx(reply.parts["slow_wide"][place], abs=1e-4)


def test_causes_name_their_events(log):
    log.append([event("told", item="i9", at=NOW_MS - 5)], received_ms=NOW_MS)
    reply = ask(recommender_on(log), n=40, explain="full", exclude_seen=False)
    named = {cause.event_id for causes in reply.because for cause in causes}
    assert named & {f"r-1-{n}" for n in range(40)} | named & {"told"}


def test_lessons_move_chances_and_scores_of_a_segment(log):
    bakers = [f"u{n}" for n in range(60) if n % 2]
    skips = [
        event(f"s{user}-{n}", user=user, item=f"i{n}", kind="skip", at=NOW_MS - 1000 + n)
        for user in bakers
        for n in (1, 3, 5)
    ]
    before = ask(recommender_on(log), user="u1", n=500)
    log.append(skips, received_ms=NOW_MS)
    after = ask(recommender_on(log), user="u1", n=500, explain="brief")
    odd = [item for item in after.item_ids if int(item[1:]) % 2]
    was, now = (dict(zip(r.item_ids, r.probabilities, strict=True)) for r in (before, after))
    assert np.mean([now[item] for item in odd]) < np.mean([was[item] for item in odd])
    kinds = {cause.kind for causes in after.because for cause in causes}
    assert "lesson" in kinds


def test_lessons_of_one_item_count_as_the_root_of_their_number_times_their_mean(log):
    skipped = [(f"u{n}", item) for n in range(1, 60, 2) for item in range(1, 40, 2)]
    log.append(
        [
            event(f"s{user}-{n}", user=user, item=f"i{n}", kind="skip", at=NOW_MS - 1000 + n)
            for user, n in skipped
        ],
        NOW_MS,
    )
    recommender = recommender_on(log)
    prepared = recommender.prepare(Query(user_id="u1", now_ms=NOW_MS))
    lessons = recommender.memory.lessons.of(prepared.view.segments, NOW_MS)
    sizes = set()
    for number in range(1, len(recommender.catalogue)):
        slots = recommender.catalogue.attribute_slots(number)
        shifts = [lesson.shift for lesson in lessons if lesson.attribute in slots]
        sizes.add(len(shifts))
        expected = np.sqrt(len(shifts)) * np.mean(shifts) if shifts else 0.0
        assert prepared.lessons[number] == pytest.approx(expected, abs=1e-5)
    assert max(sizes) > 1


@pytest.mark.parametrize(
    "change",
    [
        [ItemChange("i0", {"genre": "b"})],
        [ItemChange("new", {"genre": "a"})],
        [event(f"m{n}", user=f"u{n}", item="i2", kind="dislike", at=NOW_MS) for n in range(21, 50)],
    ],
    ids=["an item changes", "an item comes", "outcomes come"],
)
def test_lessons_that_are_kept_ready_are_those_of_now(log, change):
    flops = [
        event(f"flop{n}", user=f"u{n % 20}", item=f"i{n % 40}", kind="dislike", at=NOW_MS - 200 + n)
        for n in range(200)
    ]
    log.append(flops, NOW_MS)
    recommender, query = recommender_on(log), Query(user_id="u1", now_ms=NOW_MS)
    before = recommender.prepare(query).lessons
    log.append(change, NOW_MS)
    after = recommender.prepare(query).lessons
    np.testing.assert_array_equal(after, recommender_on(log).prepare(query).lessons)
    assert not np.array_equal(before, after)


def test_a_memory_that_moves_nothing_is_not_worked_out_but_can_be_read(log):
    off = MemoryConfig(trending_weight=0.0, cross_weight=0.0, fast_weight=0.0, lesson_weight=0.0)
    recommender, whole = recommender_on(log, off), recommender_on(log)
    size = recommender.memory.size
    assert (size.crosses, size.lessons) == (0, 0)
    assert not recommender.memory.trending.counts(NOW_MS).any()
    for window in ("hour", "year"):
        found, expected = (
            each.memory.popularity.counts(window, NOW_MS, len(each.catalogue))
            for each in (recommender, whole)
        )
        np.testing.assert_array_equal(found, expected)
    read, other = (each.recollect("u1", NOW_MS) for each in (recommender, whole))
    assert read.strength == other.strength > 0
    assert [one.surprise_nats for one in read.exemplars] == [
        one.surprise_nats for one in other.exemplars
    ]


def test_shuffled_lessons_are_other_lessons(log):
    real = ask(recommender_on(log, mixing=Mixing(lessons=1.0)), user="u1")
    shuffled = MemoryConfig(shuffled_lessons=True)
    assert ask(recommender_on(log, shuffled, Mixing(lessons=1.0)), user="u1").scores != real.scores


def test_what_is_remembered_of_a_user_can_be_read(log):
    log.append([event("no", item="i2", kind="dislike")], received_ms=NOW_MS)
    found = recommender_on(log).recollect("u1", NOW_MS)
    assert found.exemplars[0].event_id == "no"
    assert found.exemplars[0].surprise_nats > 0
    assert 0 < found.exemplars[0].chance < 1
    assert found.strength > 0
    assert found.support > 1
    nobody = recommender_on(log).recollect("nobody", NOW_MS)
    assert (nobody.exemplars, nobody.strength, nobody.shift) == ([], 0.0, 0.0)


def test_what_became_of_an_event_can_be_read(log):
    log.append([event("a", user="x", item="i4"), event("b", user="x", item="i7", at=NOW_MS + 1)], 0)
    log.append([event("c", user="x", item="i7", at=NOW_MS + 2)], 0)
    recommender = recommender_on(log)
    second = recommender.fate("b")
    assert second.counted
    assert second.rows[:2] == ["everyone", "liked=i4"]
    assert second.surprise_nats > 0
    assert not recommender.fate("c").counted
    assert recommender.fate("unheard of") is None


def test_after_an_erasure_the_memory_is_that_of_a_log_without_the_user(log, tmp_path):
    live = recommender_on(log)
    log.append(
        [
            event("kept", user="u2", item="i5"),
            *(event(f"x{n}", user="gone", item=f"i{n}", at=NOW_MS + n) for n in range(9)),
        ],
        NOW_MS,
    )
    before = ask(live, user="u2", n=40, explain="brief", exclude_seen=False)
    with closing(sqlite3.connect(tmp_path / "events.db")) as database, database:
        database.execute("DELETE FROM log WHERE user_id = 'gone'")
        database.execute(
            "INSERT INTO log (kind, timestamp_ms, received_ms) VALUES (?, ?, ?)",
            (Kind.ERASURE, NOW_MS, NOW_MS),
        )
    after = ask(live, user="u2", n=40, explain="brief", exclude_seen=False)
    assert after.scores != before.scores
    rebuilt = ask(recommender_on(log), user="u2", n=40, explain="brief", exclude_seen=False)
    assert (after.scores, after.parts) == (rebuilt.scores, rebuilt.parts)
    assert live.as_of == log.head()


def test_numbers_are_given_in_the_order_of_the_log_wherever_reading_is_cut(log):
    eager = recommender_on(log)
    for entries in ([event("e1", item="first")], [ItemChange("second", {"genres": ("odd",)})]):
        log.append(entries, received_ms=NOW_MS)
        eager.catch_up()
    assert recommender_on(log).catalogue.ids == eager.catalogue.ids


def test_a_wide_memory_without_a_say_adds_exactly_nothing(log):
    off = MemoryConfig(trending_weight=0.0, cross_weight=0.0, lesson_weight=0.0)
    silent, heard = recommender_on(log, off), recommender_on(log)
    log.append([event("now", item="i7")], received_ms=NOW_MS)
    said, other = (ask(one, n=40, explain="brief").parts["fast_wide"] for one in (silent, heard))
    assert set(said) == {0.0}
    assert set(other) != {0.0}
