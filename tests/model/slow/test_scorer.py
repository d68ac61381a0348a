"""The serving arithmetic against loops over the formulas."""

import dataclasses

import numpy as np
import pytest

from model.errors import CorruptBundleError
from model.slow.bundle import load_bundle, make_bundle, write_bundle
from model.slow.scorer import SlowScorer, row_by_row
from tests.tiny_model import CONFIG, tiny_model

COSINE = dataclasses.replace(CONFIG, similarity="cosine")


@pytest.fixture(scope="module", params=[CONFIG, COSINE], ids=["dot", "cosine"])
def model(request):
    return tiny_model(config=request.param)


def pooled_by_hand(vectors, items, decay):
    weights = [np.exp(decay[place]) for place, item in enumerate(items) if item >= 0]
    chosen = [vectors[item] for item in items if item >= 0]
    if not chosen:
        return np.zeros(vectors.shape[1])
    return sum(w * v for w, v in zip(weights, chosen, strict=True)) / sum(weights)


def item_vector_by_hand(p, item):
    vector = p["item_embedding"][item].astype(float)
    for at in range(p["item_slot_indptr"][item], p["item_slot_indptr"][item + 1]):
        embedded = p["item_attribute_embedding"][p["item_slots"][at]]
        vector = vector + p["item_slot_weights"][at] * embedded
    return vector / np.linalg.norm(vector) if p["query_scale"][0] else vector


def score_by_hand(p, space, batch, row):
    """The formulas of the architecture, one request and one item at a time."""
    n_items = space.items.size
    vectors = np.array([item_vector_by_hand(p, item) for item in range(n_items)])
    present = [slot for slot in batch.attributes[row] if slot >= 0]
    last = batch.last[row]
    history = [
        pooled_by_hand(vectors, batch.liked[row], p["liked_decay"]),
        pooled_by_hand(vectors, batch.disliked[row], p["disliked_decay"]),
        vectors[last] if last >= 0 else np.zeros(vectors.shape[1]),
    ]
    inputs = np.concatenate(
        [
            p["user_embedding"][batch.user[row]],
            *history,
            [np.log1p((batch.liked[row] >= 0).sum()), np.log1p((batch.disliked[row] >= 0).sum())],
            sum(p["query_attribute_embedding"][slot].astype(float) for slot in present),
        ]
    )
    layer = np.maximum(inputs @ p["hidden_kernel"] + p["hidden_bias"], 0)
    hidden = np.concatenate([layer, *history])
    query = hidden @ p["query_kernel"] + p["query_bias"]
    if p["query_scale"][0]:
        query = p["query_scale"][0] * query / np.linalg.norm(query)
    wide = np.zeros(n_items)
    for active in space.wide_rows(batch)[row]:
        if active >= 0:
            for at in range(p["wide_indptr"][active], p["wide_indptr"][active + 1]):
                wide[p["wide_items"][at]] += p["wide_weights"][at]
    length = space.wide_history
    met = [*batch.liked[row, :length], *batch.disliked[row, :length], last]
    for place, item in enumerate(met):
        wide[item] += p["repeat_weights"][place] if item >= 0 else 0.0
    outcome_query = hidden @ p["outcome_kernel"] + p["outcome_query_bias"]
    own = (hidden @ p["outcome_user_kernel"])[0]
    outcome = vectors @ outcome_query + own + p["outcome_item_bias"]
    return wide, vectors @ query, outcome


def test_scores_equal_the_formulas_worked_out_by_hand(model):
    scorer = SlowScorer(model.bundle)
    which = np.array([0, 5, 400, 900, 1199])
    batch = model.examples.queries(which)
    slow = scorer.score(batch)
    everything = np.tile(np.arange(model.bundle.space.items.size), (len(which), 1))
    outcome = scorer.outcome_logits(slow.hidden, scorer.vectors, everything)
    for row in range(len(which)):
        expected = score_by_hand(model.bundle.parameters, model.bundle.space, batch, row)
        np.testing.assert_allclose(slow.wide[row], expected[0], atol=1e-5)
        np.testing.assert_allclose(slow.deep[row], expected[1], atol=1e-5)
        np.testing.assert_allclose(outcome[row], expected[2], atol=1e-5)


def test_a_query_begins_as_the_likeness_to_what_was_liked_and_what_came_last(model):
    p, batch = dict(model.bundle.parameters), model.examples.queries(np.array([900]))
    p["query_kernel"] = p["query_kernel"].copy()
    p["query_kernel"][: len(p["hidden_bias"])] = 0.0
    p["query_bias"] = np.zeros_like(p["query_bias"])
    vectors, last = p["item_vectors"], batch.last[0]
    assert last >= 0
    query = pooled_by_hand(vectors, batch.liked[0], p["liked_decay"]) + vectors[last]
    if scale := p["query_scale"][0]:
        query *= scale / np.linalg.norm(query)
    said = SlowScorer(make_bundle(model.bundle.space, p, None)).score(batch).deep[0]
    np.testing.assert_allclose(said, vectors @ query, atol=1e-5)


@pytest.mark.parametrize("size", [2, 7, 16])
def test_what_is_said_of_a_request_is_the_same_to_the_bit_whatever_is_asked_beside_it(model, size):
    scorer = SlowScorer(model.bundle)
    which = np.arange(300, 300 + 40 * size, 40)

    def said(rows):
        batch = model.examples.queries(rows)
        hidden = scorer.hidden(scorer.history_inputs(batch, scorer.vectors), batch.attributes)
        odds = scorer.outcome_logits(hidden, scorer.vectors, model.examples.item[rows][:, None])
        wide = scorer.wide(scorer.space.wide_rows(batch), len(scorer.bias))
        return hidden, odds, wide, row_by_row(scorer.queries(hidden), scorer.vectors.T)

    together = said(which)
    for place, one in enumerate(which):
        for alone, beside in zip(said(np.array([one])), together, strict=True):
            np.testing.assert_array_equal(alone[0], beside[place])


def test_a_batch_equals_its_requests_one_by_one(model):
    scorer = SlowScorer(model.bundle)
    which = np.arange(0, 1200, 37)
    together = scorer.score(model.examples.queries(which))
    for place, one in enumerate(which):
        alone = scorer.score(model.examples.queries(np.array([one])))
        np.testing.assert_allclose(alone.wide[0], together.wide[place], atol=1e-6)
        np.testing.assert_allclose(alone.deep[0], together.deep[place], rtol=1e-6, atol=1e-6)


def test_the_named_crosses_add_up_to_the_wide_score(model):
    scorer = SlowScorer(model.bundle)
    batch = model.examples.queries(np.array([900]))
    rows = model.bundle.space.wide_rows(batch)
    wide = scorer.wide(rows, model.bundle.space.items.size)[0]
    assert np.count_nonzero(wide) > 5
    for item in range(1, model.bundle.space.items.size):
        crosses = scorer.crosses(rows, item)
        assert sum(weight for _, weight in crosses) == pytest.approx(float(wide[item]), abs=1e-5)


def test_probabilities_are_calibrated_log_odds(model):
    scorer = SlowScorer(model.bundle)
    slow = scorer.score(model.examples.queries(np.array([3])))
    items = np.array([[1, 2]])
    z = scorer.outcome_logits(slow.hidden, scorer.vectors, items)
    expected = 1 / (1 + np.exp(-(0.9 * z + 0.1)))
    probabilities = scorer.probabilities(slow.hidden, scorer.vectors, items)
    assert probabilities is not None
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)


def test_an_unseen_item_gets_the_unknown_id_plus_its_attributes(model):
    scorer = SlowScorer(model.bundle)
    space, p = model.bundle.space, model.bundle.parameters
    slots, weights = space.item_attributes.weighted_slots({"genres": ("even",), "year": 1990.0})
    expected = p["item_embedding"][0] + sum(
        w * p["item_attribute_embedding"][s] for s, w in zip(slots, weights, strict=True)
    )
    if p["query_scale"][0]:
        expected = expected / np.linalg.norm(expected)
    np.testing.assert_allclose(scorer.vector_of(slots, weights), expected, atol=1e-6)


def test_a_bundle_scores_the_same_after_a_round_trip_through_files(model, tmp_path):
    write_bundle(model.bundle, tmp_path)
    stored = load_bundle(tmp_path)
    batch = model.examples.queries(np.arange(0, 1200, 100))
    before, after = SlowScorer(model.bundle).score(batch), SlowScorer(stored).score(batch)
    np.testing.assert_array_equal(before.wide, after.wide)
    np.testing.assert_array_equal(before.deep, after.deep)
    assert stored.calibration == model.bundle.calibration


def test_stored_arrays_cannot_be_written_to(model, tmp_path):
    write_bundle(model.bundle, tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        load_bundle(tmp_path).parameters["item_bias"][0] = 1.0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "bundle.json").write_text("{"), "cannot be read"),
        (
            lambda folder: (folder / "bundle.json").write_text('{"format": "x/9"}'),
            "expected format",
        ),
        (lambda folder: (folder / "item_bias.npy").unlink(), "item_bias"),
        (lambda folder: (folder / "item_bias.npy").write_bytes(b"\x93NUMPY"), "cannot be read"),
        (
            lambda folder: np.save(folder / "item_bias.npy", np.zeros(3, np.float32)),
            "item_bias must have 41 rows",
        ),
    ],
)
def test_a_damaged_bundle_is_refused_with_what_is_wrong(model, tmp_path, damage, message):
    write_bundle(model.bundle, tmp_path)
    damage(tmp_path)
    with pytest.raises(CorruptBundleError, match=message):
        load_bundle(tmp_path)


def test_an_array_holding_objects_is_never_unpickled(model, tmp_path):
    write_bundle(model.bundle, tmp_path)
    np.save(tmp_path / "item_bias.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(CorruptBundleError, match="cannot be read"):
        load_bundle(tmp_path)
