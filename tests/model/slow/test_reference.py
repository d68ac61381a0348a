"""Training beside a frozen reference: kept near to it, or taught by it."""

from dataclasses import replace

import numpy as np
import pytest

from model.slow.batches import Batches, rows_of
from model.slow.engine import tf
from model.slow.reference import Guidance, Probes, Teacher
from model.slow.scorer import SlowScorer
from model.slow.training import Plan, fit
from model.slow.wide_deep import WideDeep
from tests.tiny_model import CONFIG, tiny_model

pytestmark = pytest.mark.tf

SAMPLED = replace(CONFIG, full_softmax_items=10, sampled_candidates=12)


def parameters(bundle):
    return {name: a for name, a in bundle.parameters.items() if name != "item_vectors"}


def probes(bundle, target=0.01, weight=1.0):
    scorer = SlowScorer(bundle)
    return Guidance(Probes(scorer, np.arange(300, 400), bundle.space.items.size, target, weight))


def taught(examples, bundle, softness):
    share = np.full(len(examples), softness, np.float32)
    return Guidance(teacher=Teacher(SlowScorer(bundle), share, 1.0, 0.0, 0.5))


@pytest.mark.parametrize("config", [CONFIG, SAMPLED], ids=["whole", "sampled"])
def test_an_unchanged_model_has_not_drifted_on_its_probes(config):
    bundle, examples = tiny_model()
    batches = Batches(examples, np.arange(100), parameters(bundle), config, probes(bundle))
    model = WideDeep(parameters(bundle), config)
    batch = next(batches.epoch(np.random.default_rng(0)))
    tensors = tf.nest.map_structure(tf.constant, batch["probe"])
    assert abs(float(model.drifted(tensors))) < 1e-5


@pytest.mark.parametrize("config", [CONFIG, SAMPLED], ids=["whole", "sampled"])
def test_a_teacher_who_is_the_model_itself_leaves_the_lists_alone(config):
    bundle, examples = tiny_model()
    guidance = taught(examples, bundle, 0.999)
    batches = Batches(examples, np.arange(100), parameters(bundle), config, guidance)
    model = WideDeep(parameters(bundle), config)
    which = np.flatnonzero(examples.success)[:40]
    arrays = batches.batch(rows_of(which), rows_of(which[:0]), np.random.default_rng(0))
    assert np.allclose(arrays["soft"].sum(axis=1), 1.0, atol=1e-5)
    own = tf.nn.softmax(model.logits(arrays)[0]).numpy()
    assert np.allclose(own, arrays["soft"], atol=1e-5)


def test_soft_labels_lie_between_the_label_and_the_expectation():
    bundle, examples = tiny_model()
    which = np.arange(200)
    expected = taught(examples, bundle, 1.0).teacher.outcome(examples, which)
    halfway = taught(examples, bundle, 0.5).teacher.outcome(examples, which)
    assert ((expected > 0) & (expected < 1)).all()
    assert np.allclose(halfway, (examples.label[which] + expected) / 2, atol=1e-6)


def test_events_whose_outcome_the_teacher_has_seen_keep_their_labels():
    bundle, examples = tiny_model()
    softness = np.zeros(len(examples), np.float32)
    softness[50:] = 0.5
    teacher = Teacher(SlowScorer(bundle), softness, 2.0, 0.1, 0.5)
    found = teacher.outcome(examples, np.arange(100))
    assert (found[:50] == examples.label[:50]).all()
    assert (found[50:] != examples.label[50:100]).all()


def test_heat_and_smoothing_pull_towards_doubt_and_the_base_rate():
    bundle, examples = tiny_model()
    share, which = np.ones(len(examples), np.float32), np.arange(100)

    def expected(temperature, smoothing):
        teacher = Teacher(SlowScorer(bundle), share, temperature, smoothing, 0.2)
        return teacher.outcome(examples, which)

    assert np.allclose(expected(1e6, 0.0), 0.5, atol=1e-4)
    assert np.allclose(expected(1.0, 0.999999), 0.2, atol=1e-4)


def test_training_held_to_the_reference_drifts_less():
    bundle, examples = tiny_model()
    train = np.arange(300)

    def drifts(weight):
        held = probes(bundle, target=1e-6, weight=weight)
        plan = Plan(0, 3, guidance=held)
        return fit(parameters(bundle), examples, train, CONFIG, plan).drifts

    free, held = drifts(1e-9), drifts(30.0)
    assert len(free) == 15
    assert held[-1][0] < 0.5 * free[-1][0]
    assert held[-1][1] > held[0][1]  # over its target, the weight grew


def test_training_on_the_models_own_beliefs_moves_it_less_than_training_on_labels():
    bundle, examples = tiny_model()
    train = np.arange(300)

    def moved(guidance):
        end = fit(parameters(bundle), examples, train, CONFIG, Plan(0, 2, guidance=guidance))
        return np.abs(end.parameters["item_bias"] - bundle.parameters["item_bias"]).mean()

    assert moved(taught(examples, bundle, 0.9)) < moved(None)
