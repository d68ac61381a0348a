"""Verdicts on the candidate itself."""

import json
from dataclasses import replace

import numpy as np
import pytest

from model.consolidation.config import NightConfig
from model.consolidation.drift import Drift
from model.consolidation.gates import paired_change
from model.consolidation.safety import (
    awake,
    dormant_share,
    drifted,
    finite,
    parity,
    plastic,
    small,
    work,
)
from model.slow.bundle import Bundle
from tests.tiny_model import tiny_model

POLICY = NightConfig()
MOVED = Drift(nats=0.03, backward=0.03, symmetric=0.01, churn=0.2, requests=500)


def taught(shift, noise=0.1, users=100):
    rng = np.random.default_rng(0)
    before = 3.0 + rng.random(users * 5)
    after = before + shift + noise * rng.standard_normal(len(before))
    return paired_change(before, after, np.repeat(np.arange(users), 5), rng)


def test_a_number_that_is_not_finite_is_named():
    assert finite(()).passed
    verdict = finite(("item_bias",))
    assert not verdict.passed
    assert "item_bias" in verdict.reason


def test_parity_holds_up_to_its_limit():
    assert parity(1e-5, 1e-5).passed
    assert not parity(2e-5, 1e-5).passed
    assert not parity(None, 1e-5).passed


@pytest.mark.parametrize(("floor", "passed"), [(0.003, True), (0.0029, False), (0.03, True)])
def test_drift_may_be_ten_times_what_another_seed_makes(floor, passed):
    verdict = drifted(MOVED, floor, POLICY)
    assert verdict.passed == passed
    assert verdict.limit == pytest.approx(10 * floor)


def test_drift_that_nothing_bounds_is_told_and_passes():
    assert drifted(MOVED, None, POLICY).value == 0.03
    assert drifted(None, None, POLICY).passed


def test_a_candidate_whose_surprise_at_its_lessons_did_not_fall_is_refused():
    assert plastic(taught(-0.1)).passed
    assert not plastic(taught(0.1)).passed
    assert not plastic(taught(0.0, noise=0.0)).passed


def test_a_handful_of_lessons_settles_nothing():
    assert plastic(None).passed
    assert plastic(taught(0.1, users=3)).passed


def test_units_that_fall_asleep_are_counted_and_refused():
    bundle, examples = tiny_model()
    which = np.arange(200)
    before = dormant_share(bundle, examples, which)
    bias = bundle.parameters["hidden_bias"].copy()
    bias[:8] = -100.0
    asleep = Bundle(bundle.space, {**bundle.parameters, "hidden_bias": bias}, bundle.calibration)
    after = dormant_share(asleep, examples, which)
    assert after >= 0.5 > before
    assert not awake(before, after, POLICY).passed
    assert awake(before, before + 0.1, POLICY).passed


def test_a_candidate_twice_as_large_passes_and_a_larger_one_does_not():
    assert small(2.0, POLICY).passed
    assert not small(2.01, POLICY).passed
    bundle, _ = tiny_model()
    p = bundle.parameters
    assert work(bundle) == p["item_vectors"].size + p["wide_items"].size


def test_every_verdict_is_plain_json():
    for verdict in (finite(()), drifted(MOVED, 0.01, POLICY), plastic(taught(-0.1))):
        assert json.loads(json.dumps(verdict.as_json(), allow_nan=False))["name"] == verdict.name


def test_the_policy_decides():
    strict = replace(POLICY, max_drift=1.0, max_growth=1.0, max_dormant_rise=0.0)
    assert not drifted(MOVED, 0.02, strict).passed
    assert not small(1.1, strict).passed
    assert not awake(0.0, 0.01, strict).passed
