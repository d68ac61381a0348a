"""Training batches: every event once, one shape, and a sample that stands for the whole."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.slow.batches import (
    NO_CANDIDATE,
    Batches,
    Crosses,
    Sampler,
    batch_size,
    padded_length,
    rows_of,
)
from model.slow.config import SlowConfig
from model.slow.crosses import entries
from tests.tiny_model import CONFIG, tiny_model

SHARE = np.array([0.0, 0.4, 0.3, 0.1, 0.1, 0.05, 0.05])


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def batches_of(model, which, **settings):
    config = dataclasses.replace(CONFIG, **settings)
    return Batches(model.examples, which, model.bundle.parameters, config)


def test_a_pass_holds_every_event_once_in_batches_of_one_shape(model):
    which = np.arange(0, 1001)
    drawn = list(batches_of(model, which).epoch(np.random.default_rng(1)))
    assert len(drawn) == -(-1001 // CONFIG.batch_size)
    shapes = {name: {batch[name].shape[0] for batch in drawn} for name in ("user", "goal", "label")}
    assert {len(found) for found in shapes.values()} == {1}
    successes = model.examples.success[which]
    assert sum((batch["weight"] > 0).sum() for batch in drawn) == successes.sum()
    assert sum(batch["labelled"].sum() for batch in drawn) == len(which)
    targets = np.concatenate([batch["goal"][batch["weight"] > 0] for batch in drawn])
    expected = model.examples.item[which][successes]
    assert sorted(targets.tolist()) == sorted(expected.tolist())


def test_the_ranked_rows_come_first_and_the_label_says_so(model):
    batch = next(batches_of(model, np.arange(640)).epoch(np.random.default_rng(1)))
    n_ranked = len(batch["goal"])
    assert batch["label"][:n_ranked].min() == 1.0
    assert batch["label"][n_ranked:].max() == 0.0


def test_touched_crosses_equal_the_tables_own_entries(model):
    p = model.bundle.parameters
    rows = model.bundle.space.wide_rows(model.examples.queries(np.arange(0, 1200, 17)))
    crosses = Crosses(p["wide_indptr"].astype(np.int32), p["wide_items"])
    pair, first = crosses.touched(rows, 1000)
    expected, slot = entries(p["wide_indptr"], rows)
    np.testing.assert_array_equal(pair, expected)
    np.testing.assert_array_equal(first, slot // rows.shape[1] * 1000)


@given(n_events=st.integers(1, 10**7))
def test_batches_grow_so_that_an_epoch_has_a_bounded_number_of_steps(n_events):
    config = SlowConfig(batch_size=64, max_batch_size=4096, max_steps=100)
    size = batch_size(n_events, config)
    assert 64 <= size <= 4096
    assert size == 64 or n_events > size // 2 * 100
    assert size == 4096 or n_events <= size * 100


@given(length=st.integers(0, 10**7))
def test_padded_lengths_are_few_and_hardly_longer(length):
    padded = padded_length(length)
    assert padded >= length
    assert padded <= max(1.25 * length + 64, 256)
    assert padded_length(padded) == padded


def test_an_items_correction_is_the_chance_that_it_competes():
    n_targets = 4
    sampler = Sampler(SHARE, 3, n_targets)
    rng = np.random.default_rng(0)
    present = np.zeros(len(SHARE))
    n = 20_000
    corrections: dict[int, float] = {}
    for _ in range(n):
        # the targets of the other rows
        targets = rng.choice(len(SHARE), n_targets - 1, p=SHARE).astype(np.int32)
        drawn = sampler.draw(targets, rng)
        present[drawn.items[drawn.items > 0]] += 1
        assert drawn.correction[drawn.items == 0].min(initial=NO_CANDIDATE) == NO_CANDIDATE
        corrections |= dict(zip(drawn.items.tolist(), drawn.correction.tolist(), strict=True))
    assert set(corrections) == set(range(len(SHARE)))
    for item, correction in corrections.items():
        if item:
            assert np.exp(correction) == pytest.approx(present[item] / n, abs=0.015)


def test_the_sampled_sum_is_the_whole_catalogues_on_average():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=len(SHARE))
    own = 2
    whole = np.exp(scores[1:]).sum()
    sampler = Sampler(SHARE, 3, 4)
    sums = []
    for _ in range(20_000):
        targets = rng.choice(len(SHARE), 4, p=SHARE).astype(np.int32)
        targets[0] = own
        drawn = sampler.draw(targets, rng)
        weights = np.exp(-drawn.correction.astype(float))
        weights[drawn.items == own] = 1.0
        sums.append((weights * np.exp(scores[drawn.items])).sum())
    assert np.mean(sums) == pytest.approx(whole, rel=0.02)


def test_a_sampled_batch_lets_its_own_targets_compete_and_each_item_once(model):
    batches = batches_of(model, np.arange(640), full_softmax_items=5, sampled_candidates=7)
    assert batches.sampled
    batch = next(batches.epoch(np.random.default_rng(1)))
    items = batch["candidates"]
    known = items[items > 0]
    assert len(np.unique(known)) == len(known)
    ranked = batch["target"][: len(batch["goal"])]
    np.testing.assert_array_equal(items[batch["goal"]], ranked)
    table = model.bundle.parameters["wide_items"]
    pairs, logits = batch["pairs"], batch["logits"]
    crosses = (pairs >= 0) & (pairs < len(table))
    np.testing.assert_array_equal(items[logits[crosses] % len(items)], table[pairs[crosses]])


def test_an_event_of_an_unknown_item_teaches_no_ranking(model):
    examples = model.examples
    which = np.flatnonzero(examples.success)[:5]
    examples.item[which[0]], kept = 0, examples.item[which[0]]
    try:
        batches = batches_of(model, which)
        batch = batches.batch(rows_of(which), rows_of(which[:0]), np.random.default_rng(0))
    finally:
        examples.item[which[0]] = kept
    assert batch["weight"][0] == 0.0
    assert (batch["weight"][1:] > 0).all()
