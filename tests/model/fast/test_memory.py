"""The shared state is a function of the log: exact, and without what was undone."""

import io
import itertools
import json
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.fast.config import MemoryConfig
from model.fast.crosses import context_row, liked_row
from model.fast.memory import FastMemory
from model.interactions import EventRules, LogRow, actor_of

N_ITEMS = 8
SLOTS = (0, 1)
NOW_MS = 10_000_000


class Items:
    """Items `i1` to `i7`, each expected as often as the others."""

    share = np.full(N_ITEMS, 1 / N_ITEMS, np.float32)

    def __len__(self):
        return N_ITEMS

    def number(self, item_id):
        return int(item_id[1:]) if item_id else 0


class Reading:
    """The details say the slot; users are of segment 0 or 1, items of attribute 0 or 1."""

    def context(self, details, _timestamp_ms):
        return [json.loads(details or "{}")["slot"]]

    def segments(self, details):
        return (int(json.loads(details or "{}")["segment"]),)

    def attributes(self, item):
        return [item % 2]

    def chances(self, segments, item):
        return [0.5 + 0.1 * segment - 0.02 * item for segment in segments]


class Drawn(NamedTuple):
    actor: str
    item: int
    kind: str
    time: int
    slot: int
    retracts: int | None


def row(seq, drawn):
    details = {"slot": drawn.slot}
    if drawn.retracts is not None:
        details["retracts"] = f"e{drawn.retracts}"
    return LogRow(
        seq,
        0,
        f"e{seq}",
        drawn.kind,
        drawn.actor,
        f"i{drawn.item}",
        None,
        drawn.time,
        0,
        None,
        json.dumps(details),
    )


def described(seq, user, segment):
    details = json.dumps({"segment": segment})
    return LogRow(seq, 2, None, None, user, None, None, 0, 0, None, details)


drawn_events = st.lists(
    st.builds(
        Drawn,
        st.sampled_from("ab"),
        st.integers(1, N_ITEMS - 1),
        st.sampled_from(["click", "view", "dislike", "purchase"]),
        st.integers(0, NOW_MS),
        st.sampled_from(SLOTS),
        st.one_of(st.none(), st.integers(1, 15)),
    ),
    max_size=15,
)


def memory_of(rows, cuts=(), through=1_000_000, **config):
    """The memory after the first of these rows; it may look up any, also one to come.

    With `through` None it has not even begun.
    """

    def actor_rows(actor, through):
        return [r for r in rows if actor_of(r) == actor and r.seq <= through]

    found = FastMemory(
        MemoryConfig(**config),
        EventRules(),
        actor_rows,
        lambda event_id: next((r for r in rows if r.event_id == event_id), None),
        Reading(),
    )
    if through is None:
        return found
    told = rows[:through]
    users = [described(seq - 2, user, seq) for seq, user in enumerate("ab")]
    found.add(users, Items())
    borders = sorted({0, *(cut for cut in cuts if cut < len(told)), len(told)})
    for start, end in itertools.pairwise(borders):
        found.add(told[start:end], Items())
    return found


ROWS = [liked_row(item) for item in range(N_ITEMS)] + [context_row(slot) for slot in SLOTS]


def state(memory):
    """[rows, half-lives, items] all that is shared, decayed to one moment."""
    now = NOW_MS + 1_000_000
    levels, shares = memory.trending.levels(Items.share, now)
    everyone = [memory.trending.row(levels, np.eye(6)[place], N_ITEMS) for place in range(6)]
    crosses = np.zeros((len(ROWS), 3, N_ITEMS))
    cells = memory.crosses.cells(ROWS, now, lambda which: np.full((2, len(which)), 1e-3))
    crosses[cells.slot, :, cells.item] = np.vstack([cells.residual, cells.lift]).T
    lessons = np.zeros((2, 2, 2))
    slot, attribute, sums, _ = memory.lessons.slots.rows([0, 1], now)
    lessons[:, slot, attribute - 1] = sums
    return np.concatenate(
        [np.ravel(everyone), *shares.values(), np.ravel(crosses), np.ravel(lessons)]
    )


@given(drawn=drawn_events, cuts=st.lists(st.integers(0, 15), max_size=4))
def test_live_state_equals_a_rebuild_to_the_bit_however_the_tail_was_cut(drawn, cuts):
    rows = [row(seq, event) for seq, event in enumerate(drawn, 1)]
    np.testing.assert_array_equal(state(memory_of(rows, cuts)), state(memory_of(rows)))


@given(drawn=drawn_events, cuts=st.lists(st.integers(0, 15), min_size=1, max_size=3))
def test_a_snapshot_and_the_tail_equal_a_rebuild_to_the_bit(drawn, cuts):
    """Also where each of several workers begins with what the one before has kept."""
    rows = [row(seq, event) for seq, event in enumerate(drawn, 1)]
    first, *later = sorted(min(cut, len(rows)) for cut in cuts)
    found = memory_of(rows, through=first)
    for end in (*later, len(rows)):
        kept = written(found.state())
        found = memory_of(rows, through=None)
        found.restore(kept)
        assert found.as_of == (first or -1)
        found.add(rows[first:end], Items())
        first = end
    whole = memory_of(rows)
    np.testing.assert_array_equal(state(found), state(whole))
    for actor in "ab":
        assert found.user(actor).episodes == whole.user(actor).episodes


def written(arrays):
    """The arrays as they come back from a file."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        return dict(loaded)


def test_chores_fall_due_at_places_of_the_log_and_not_of_the_calls():
    rng = np.random.default_rng(0)
    rows = [
        row(
            seq,
            Drawn(f"u{rng.integers(40)}", int(rng.integers(1, 8)), "click", seq * 1000, 0, None),
        )
        for seq in range(1, 3_000)
    ]
    np.testing.assert_array_equal(
        state(memory_of(rows, cuts=range(0, 3_000, 7))), state(memory_of(rows, cuts=(1500,)))
    )


@given(drawn=drawn_events)
@settings(max_examples=200)
def test_what_was_retracted_is_as_if_it_had_never_been(drawn):
    rows = [row(seq, event) for seq, event in enumerate(drawn, 1)]
    gone = {f"e{event.retracts}" for event in drawn if event.retracts is not None}
    never = [
        r
        for r, event in zip(rows, drawn, strict=True)
        if event.retracts is None and r.event_id not in gone
    ]
    np.testing.assert_allclose(state(memory_of(rows)), state(memory_of(never)), atol=1e-5)


@given(drawn=drawn_events, seed=st.randoms(use_true_random=False))
def test_events_that_come_in_another_order_end_in_the_same_state(drawn, seed):
    # an item that an actor meets twice counts as the log has it first; so each only once
    met = {(event.actor, event.item): event._replace(retracts=None) for event in drawn}
    ordered = list(met.values())
    shuffled = list(ordered)
    seed.shuffle(shuffled)
    one, other = (
        memory_of([row(seq, event) for seq, event in enumerate(events, 1)])
        for events in (ordered, shuffled)
    )
    np.testing.assert_allclose(state(one), state(other), atol=1e-5)


def test_failures_move_nothing_that_others_are_served_from():
    rows = [row(n, Drawn("a", n, "dislike", 0, 0, None)) for n in range(1, 5)]
    assert not state(memory_of(rows))[: 6 * N_ITEMS].any()


def test_a_purchase_counts_no_more_for_others_than_a_click():
    bought, clicked = (
        memory_of([row(n, Drawn(f"u{n}", 3, kind, 0, 0, None)) for n in range(1, 5)])
        for kind in ("purchase", "click")
    )
    np.testing.assert_array_equal(state(bought), state(clicked))


@given(times=st.lists(st.integers(0, NOW_MS), min_size=1, max_size=300))
@settings(max_examples=20)
def test_one_actor_alone_never_lifts_an_item_in_the_row_everyone(times):
    """However often and whatever: the bound for one account is exactly nothing."""
    rows = [
        row(seq, Drawn("a", 1 + seq % (N_ITEMS - 1), "click", time, 0, None))
        for seq, time in enumerate(times, 1)
    ]
    levels, _ = memory_of(rows).trending.levels(Items.share, NOW_MS)
    assert all(len(level.where) == 0 for level in levels)


@given(n=st.integers(1, 400))
@settings(max_examples=20)
def test_what_one_actor_adds_to_a_cross_is_bounded(n):
    rows = [
        row(seq, Drawn("a", 1 + seq % 3, "click", seq * 1000, 0, None)) for seq in range(1, n + 1)
    ]
    config, share = MemoryConfig(), 1e-3
    cells = memory_of(rows).crosses.cells(ROWS, 0, lambda which: np.full((2, len(which)), share))
    most = np.log((1 + config.cross_prior) / config.cross_prior)
    assert cells.residual.max(initial=0.0) <= most + 1e-9
    assert cells.lift.max(initial=0.0) <= 1 / (1 + config.lift_prior) / share + 1e-9


def test_a_retraction_that_lags_behind_its_event_in_the_database_is_not_looked_ahead_of():
    """A worker that lags finds the event to be retracted already in the database."""
    drawn = [
        Drawn("a", 1, "click", 0, 0, 2),
        Drawn("a", 2, "click", 5, 0, None),
        Drawn("b", 2, "click", 5, 0, None),
        Drawn("a", 3, "click", 9, 0, None),
    ]
    rows = [row(seq, event) for seq, event in enumerate(drawn, 1)]
    one_by_one = memory_of(rows, cuts=range(5))
    np.testing.assert_array_equal(state(one_by_one), state(memory_of(rows)))
    np.testing.assert_allclose(state(one_by_one), state(memory_of(rows[2:])), atol=1e-6)
