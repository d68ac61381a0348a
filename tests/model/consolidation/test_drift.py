"""How far a candidate has moved."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.consolidation.drift import drift
from model.slow.bundle import make_bundle
from model.slow.reference import AdaptiveWeight
from model.slow.scorer import SlowScorer
from tests.tiny_model import tiny_model

MODEL = tiny_model()
WHICH = np.arange(100, 160)
N_KNOWN = MODEL.bundle.space.items.size


def changed(**arrays):
    parameters = {**MODEL.bundle.parameters, **arrays}
    parameters.pop("item_vectors")
    return make_bundle(MODEL.bundle.space, parameters, MODEL.bundle.calibration)


def noisy(scale, seed=0):
    bias = MODEL.bundle.parameters["item_bias"]
    noise = np.random.default_rng(seed).normal(scale=scale, size=len(bias))
    return changed(item_bias=(bias + noise).astype(np.float32))


def measured(candidate, n_known=N_KNOWN):
    return drift(MODEL.bundle, candidate, MODEL.examples, WHICH, n_known)


def test_a_model_has_not_drifted_from_itself():
    found = measured(MODEL.bundle)
    assert found.nats == found.backward == found.churn == 0.0
    assert found.requests == len(WHICH)


def test_a_constant_added_to_every_score_is_no_drift():
    bias = MODEL.bundle.parameters["item_bias"]
    assert measured(changed(item_bias=bias + np.float32(2.0))).nats < 1e-9


def test_one_item_raised_drifts_by_the_known_amount():
    # p' is p with the odds of one item times e: KL = p'(item) - log(1 + p(item)(e - 1))
    bias = MODEL.bundle.parameters["item_bias"].copy()
    scorer = SlowScorer(MODEL.bundle)
    bias[3] += 1.0 / scorer.trust
    found = measured(changed(item_bias=bias))
    scores = scorer.scores(MODEL.examples.queries(WHICH))[:, 1:].astype(float)
    p = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))[:, 2]
    total = 1 + p * (np.e - 1)
    assert found.nats == pytest.approx(np.mean(p * np.e / total - np.log(total)), rel=1e-4)


def test_what_the_served_model_did_not_know_may_rise_unseen():
    bias = MODEL.bundle.parameters["item_bias"].copy()
    bias[N_KNOWN - 5 :] += 3.0
    raised = changed(item_bias=bias)
    assert measured(raised, N_KNOWN - 5).nats == 0.0
    assert measured(raised).nats > 0.01


@given(scale=st.floats(0.01, 3.0), seed=st.integers(0, 100))
def test_divergences_are_positive_and_the_symmetric_one_is_the_smallest(scale, seed):
    found = measured(noisy(scale, seed))
    assert 0.0 < found.symmetric <= np.log(2.0)
    assert found.symmetric <= min(found.nats, found.backward)
    assert 0.0 <= found.churn <= 1.0


def test_more_noise_is_more_drift():
    found = [measured(noisy(scale)).nats for scale in (0.05, 0.2, 0.8)]
    assert found == sorted(found)


def test_without_requests_there_is_no_drift_to_speak_of():
    assert drift(MODEL.bundle, MODEL.bundle, MODEL.examples, WHICH[:0], N_KNOWN) is None


def test_the_weight_doubles_above_the_target_halves_below_it_and_rests_near_it():
    def after(drifts):
        weight = AdaptiveWeight(target=0.1, value=1.0)
        return [weight.after(one) for one in drifts][-1]

    assert after([0.2] * 4) == 2.0
    assert after([0.2] * 8) == 4.0
    assert after([0.05] * 4) == 0.5
    assert after([0.1] * 40) == 1.0
    assert after([9.0] * 400) == 64.0


def test_drift_is_a_plain_record():
    assert set(dataclasses.asdict(measured(noisy(0.1)))) == set(measured(noisy(0.1)).as_json())
