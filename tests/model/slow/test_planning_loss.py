"""The weighted choice of a category in the training loss, against a loss worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.slow.batches import Batches, rows_of
from model.slow.engine import tf
from model.slow.phases import PATIENCE, Planning
from model.slow.training import Plan, fit
from model.slow.wide_deep import WideDeep
from tests.tiny_model import CONFIG, tiny_model

pytestmark = pytest.mark.tf

SAMPLED = replace(CONFIG, full_softmax_items=10, sampled_candidates=12)
BUNDLE, EXAMPLES = tiny_model()
PARAMETERS = {name: a for name, a in BUNDLE.parameters.items() if name != "item_vectors"}
N_ITEMS = BUNDLE.space.items.size
NOBODY = np.empty(0, np.intp)


def planning(seed=0, weights=None, watched=NOBODY, **more):
    rng = np.random.default_rng(seed)
    if weights is None:
        weights = rng.choice([0.8, 1.0, 1.2], len(EXAMPLES)).astype(np.float32)
    categories = rng.integers(0, 5, N_ITEMS).astype(np.int32)
    return Planning(categories, weights, watched, BUNDLE.calibration, **more)


def batch_and_model(config, plan):
    batches = Batches(EXAMPLES, np.arange(100), PARAMETERS, config, None, plan)
    which = np.flatnonzero(EXAMPLES.success)[:40]
    other = np.flatnonzero(~EXAMPLES.success)[:20]
    arrays = batches.batch(rows_of(which), rows_of(other), np.random.default_rng(0))
    return tf.nest.map_structure(tf.constant, arrays), WideDeep(PARAMETERS, config), which


@pytest.mark.parametrize("config", [CONFIG, SAMPLED], ids=["whole", "sampled"])
def test_the_weighted_loss_is_the_one_worked_out_item_by_item(config):
    plan = planning()
    batch, model, which = batch_and_model(config, plan)
    plain = float(model.compute_loss(batch))
    scores = model.logits(batch)[0].numpy().astype(np.float64)
    items = batch["candidates"].numpy() if "candidates" in batch else np.arange(N_ITEMS)
    event_weight = batch["weight"].numpy()
    total = 0.0
    for row, (event, goal) in enumerate(zip(which, batch["goal"].numpy(), strict=True)):
        odds = {n: np.exp(scores[row, n]) for n in range(len(items)) if items[n] > 0}
        own = plan.categories[items[goal]]
        category = sum(o for n, o in odds.items() if plan.categories[items[n]] == own)
        log_pi = np.log(category / sum(odds.values()))
        log_q = np.log(odds[goal] / category)
        w = plan.weights[event]
        # what weighting planning makes of the plain -(log_pi + log_q)
        total += event_weight[row] * (-(w * log_pi + log_q) + (log_pi + log_q))
    model.planning_weight.assign(1.0)
    extra = float(model.compute_loss(batch)) - plain
    assert extra == pytest.approx(total / event_weight.sum(), abs=2e-6)
    assert abs(extra) > 1e-4


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_weights_of_one_give_the_plain_loss(seed):
    plan = planning(seed, np.ones(len(EXAMPLES), np.float32))
    batch, model, _ = batch_and_model(CONFIG, plan)
    plain = {name: a for name, a in batch.items() if name not in ("planning", "categories")}
    model.planning_weight.assign(1.0)
    assert float(model.compute_loss(batch)) == pytest.approx(
        float(model.compute_loss(plain)), rel=1e-6
    )


def fitted(plan, scale=1.0):
    return fit(
        PARAMETERS,
        EXAMPLES,
        np.arange(300),
        CONFIG,
        Plan(0, 4, learning_rate_scale=scale, planning=plan),
    )


def test_where_nothing_is_watched_the_second_phase_never_begins_and_training_is_plain():
    plain, phased = fitted(None), fitted(planning())
    assert plain.course is None
    assert (phased.course.switch, phased.course.checks) == (None, ())
    for name, array in plain.parameters.items():
        assert np.allclose(array, phased.parameters[name], rtol=0, atol=1e-6), name


def test_the_second_phase_begins_where_nothing_moves_and_not_while_much_is_learned():
    watched = np.arange(300, 600)
    still = fitted(planning(watched=watched), scale=1e-6).course
    assert still.switch == PATIENCE
    assert [check.step for check in still.checks] == list(range(still.steps + 1))
    learning = fitted(planning(watched=watched), scale=3.0).course
    assert learning.switch is None
    assert learning.checks[-1].execution != learning.checks[0].execution


def test_in_the_second_phase_the_weights_move_the_model_elsewhere():
    watched = np.arange(300, 600)
    # so many checks of a model that stands still, then steps of the usual length
    heavy = planning(weights=np.full(len(EXAMPLES), 1.9, np.float32), watched=watched)
    light = planning(weights=np.ones(len(EXAMPLES), np.float32), watched=watched)
    ends = [fitted(plan, scale=1e-4) for plan in (heavy, light)]
    assert [end.course.switch for end in ends] == [PATIENCE, PATIENCE]
    apart = ends[0].parameters["item_bias"] - ends[1].parameters["item_bias"]
    assert np.abs(apart).max() > 0
