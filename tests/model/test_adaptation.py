"""What the slow model did not expect of one user, worked out step by step or at once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.adaptation import Adaptation, Chance, History, Person, request
from model.catalogue import Catalogue
from model.fast.config import MemoryConfig
from model.fast.exemplars import UserMemory
from model.interactions import EventRules, ItemChange, LogRow
from model.moments import Moments
from model.slow.scorer import SlowScorer
from tests.tiny_model import tiny_model
from tests.worlds import metadata

SCORER = SlowScorer(tiny_model().bundle)
CATALOGUE = Catalogue(SCORER)
CATALOGUE.put(change for change in metadata() if isinstance(change, ItemChange))
NOBODY = Person(0, [], described=False)


def row(seq, item, value=5.0, time=None, kind="rating"):
    at_ms = seq * 60_000 if time is None else time
    return LogRow(seq, 0, f"e{seq}", kind, "ann", f"i{item}", value, at_ms, 0, None, None)


def adaptation(**config):
    moments = Moments(SCORER.space)
    return Adaptation(SCORER, CATALOGUE, MemoryConfig(**config), moments.of_event)


def memory_of(rows):
    memory = UserMemory(EventRules())
    memory.add(rows)
    return memory


def personal(rows):
    return adaptation().of("ann", memory_of(rows), NOBODY)


def bits(found):
    weights, chance = found.weights, found.chance
    return weights.value.tobytes(), weights.momentum.tobytes(), chance.residual, chance.information


drawn_rows = st.lists(
    st.tuples(st.integers(0, 39), st.sampled_from([1.0, 3.0, 5.0]), st.integers(0, 30)),
    min_size=1,
    max_size=12,
)


@given(drawn=drawn_rows, cuts=st.lists(st.integers(0, 12), max_size=4))
@settings(max_examples=30)
def test_following_a_user_ends_to_the_bit_where_starting_anew_does(drawn, cuts):
    rows = [row(seq, item, value, time) for seq, (item, value, time) in enumerate(drawn, 1)]
    follower, memory = adaptation(), memory_of([])
    borders = sorted({0, *(cut for cut in cuts if cut < len(rows)), len(rows)})
    found = follower.nobody()
    for start, end in pairwise(borders):
        memory.add(rows[start:end])
        found = follower.of("ann", memory, NOBODY)
    assert bits(found) == bits(personal(rows))


def test_a_long_history_is_followed_in_blocks_to_the_same_bits():
    rows = [row(seq, seq % 40, 5.0 if seq % 3 else 1.0) for seq in range(1, 140)]
    follower, memory = adaptation(), memory_of([])
    found = follower.nobody()
    for each in rows:
        memory.add([each])
        found = follower.of("ann", memory, NOBODY)
    assert bits(found) == bits(personal(rows))


def test_a_success_lifts_its_item_and_the_surprise_of_the_same_taste_falls():
    rows = [row(seq, item) for seq, item in enumerate((4, 4, 4, 4), 1)]
    weights = personal(rows[:1]).weights
    assert CATALOGUE.vectors[CATALOGUE.number("i4")] @ weights.value > 0
    still = adaptation(step=0.0).judged(memory_of(rows), NOBODY)
    moving = adaptation(step=1.0).judged(memory_of(rows), NOBODY)
    assert moving[0].surprise.nats == still[0].surprise.nats
    assert moving[3].surprise.nats < still[3].surprise.nats


def test_a_failure_lowers_its_item():
    weights = personal([row(1, 4, 1.0)]).weights
    assert CATALOGUE.vectors[CATALOGUE.number("i4")] @ weights.value < 0


def test_surprise_is_that_of_a_softmax_over_the_catalogue():
    rows = [row(1, 4), row(2, 7)]
    judged = adaptation(step=0.0).judged(memory_of(rows), NOBODY)[1]
    seven = CATALOGUE.number("i7")
    moments = Moments(SCORER.space)
    batch = request(
        SCORER.space,
        NOBODY,
        History([CATALOGUE.number("i4")], [], CATALOGUE.number("i4")),
        moments.of_event(None, rows[1].timestamp_ms),
    )
    scores = SCORER.scores(batch)[0].astype(np.float64)
    chances = np.exp(scores[1:]) / np.exp(scores[1:]).sum()
    assert judged.surprise.nats == pytest.approx(-np.log(chances[seven - 1]), rel=1e-4)


def test_events_of_one_moment_are_all_met_before_any_is_learned():
    tied = [row(1, 4, time=5), row(2, 4, time=5), row(3, 4, time=5)]
    nats = [one.surprise.nats for one in adaptation(step=1.0).judged(memory_of(tied), NOBODY)]
    assert nats[0] == nats[1] == nats[2]


def test_what_is_neither_success_nor_failure_teaches_no_taste():
    assert not personal([row(1, 4, None, kind="impression")]).weights.value.any()
    middling = personal([row(1, 4, 3.0)])
    assert not middling.weights.value.any()
    assert middling.chance.residual < 0


def test_an_item_that_came_after_the_model_can_be_met():
    CATALOGUE.put([ItemChange("later", {})])
    rows = [row(1, 4)._replace(item_id="later"), row(2, 5)]
    assert np.isfinite(personal(rows).weights.value).all()


def test_chances_are_shifted_by_the_mean_residual_shrunk():
    chance = Chance(half_life_s=1000.0)
    for _ in range(20):
        chance.add(1.0, 0.5, 0)
    assert chance.shift(0) == pytest.approx(10.0 / (5.0 + 4.0))
    assert chance.score_test == pytest.approx(10.0 / np.sqrt(5.0))
    assert chance.shift(1_000_000) == pytest.approx(5.0 / (2.5 + 4.0))


def test_the_score_test_says_nothing_before_there_is_information():
    chance = Chance(half_life_s=1000.0)
    chance.add(1.0, 0.5, 0)
    assert chance.score_test == 0.0


def test_a_retraction_starts_the_user_anew():
    rows = [row(1, 4), row(2, 5), row(3, 6)]
    follower, memory = adaptation(), memory_of(rows)
    follower.of("ann", memory, NOBODY)
    memory.add([rows[1]._replace(seq=4, details='{"retracts":"e2"}', event_id="e4", item_id=None)])
    assert bits(follower.of("ann", memory, NOBODY)) == bits(personal([rows[0], rows[2]]))
