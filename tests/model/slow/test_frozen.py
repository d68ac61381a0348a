"""Which events nothing is taught of."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.interactions import Event
from model.slow.bootstrap import train_from_scratch
from model.slow.frozen import LARGEST_SHARE, MOST_EVENTS, frozen
from tests.tiny_model import CONFIG, columns_of
from tests.worlds import SCHEMA, ratings


def test_three_in_a_hundred_of_a_short_log_are_frozen():
    n = 50_000
    share = frozen(np.arange(1, n + 1)).mean()
    deviation = (LARGEST_SHARE * (1 - LARGEST_SHARE) / n) ** 0.5
    assert abs(share - LARGEST_SHARE) < 4 * deviation


def test_a_long_log_freezes_a_bounded_number():
    assert abs(frozen(np.arange(1, 2_000_001)).sum() - MOST_EVENTS) < 4 * MOST_EVENTS**0.5


@given(
    seq=st.lists(st.integers(1, 2**20), unique=True, min_size=1, max_size=300),
    more=st.integers(0, 300_000),
)
def test_a_growing_log_freezes_nothing_that_was_taught(seq, more):
    before = np.array(sorted(seq))
    after = np.concatenate([before, before[-1] + 1 + np.arange(more)])
    assert not (frozen(after)[: len(before)] & ~frozen(before)).any()


def test_neighbours_are_frozen_independently():
    chosen = frozen(np.arange(1, 100_001))
    both = (chosen[1:] & chosen[:-1]).mean()
    assert both < 4 * LARGEST_SHARE**2


def test_no_events_are_none_frozen():
    assert frozen(np.empty(0, np.int64)).shape == (0,)


def world_with_strangers(told):
    """The test world with a stranger after every tenth event, who rates one item.

    Args:
      told: Whose ratings name another item: `frozen` ones, `taught` ones, or nobody's.
    """
    events: list[Event] = []
    for event in ratings(np.random.default_rng(0)):
        events.append(event)
        if len(events) % 10 == 0:
            seq = len(events) + 1
            events.append(Event(f"s{seq}", "rating", event.timestamp_ms, f"s{seq}", "i1", 5.0))
    positions = np.arange(1, len(events) + 1)
    early = positions < 1_000
    is_frozen = frozen(positions) & early
    is_stranger = np.array([(e.user_id or "").startswith("s") for e in events])
    changed = {"frozen": is_frozen, "taught": ~is_frozen & early}.get(told, ~early & early)
    for at in np.flatnonzero(changed & is_stranger):
        events[at] = replace(events[at], item_id="i2")
    assert (is_frozen & is_stranger).sum() >= 2
    return columns_of(events)


@pytest.mark.tf
def test_no_array_of_a_trained_model_depends_on_what_a_frozen_event_chose():
    def trained(told):
        columns, metadata = world_with_strangers(told)
        config = replace(CONFIG, max_epochs=1)
        return train_from_scratch(columns, metadata, SCHEMA, config, seed=0).bundle.parameters

    honest, untaught, taught = trained("nobody"), trained("frozen"), trained("taught")
    assert all(np.array_equal(honest[name], untaught[name]) for name in honest)
    assert not np.array_equal(honest["item_embedding"], taught["item_embedding"])
