"""Platt scaling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.metrics import expected_calibration_error, log_loss
from model.slow.calibration import fit_calibration


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def test_a_known_distortion_is_found():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=50_000)
    labels = (rng.random(50_000) < sigmoid(truth)).astype(float)
    distorted = (truth - 0.7) / 0.4
    found = fit_calibration(distorted, labels)
    assert found is not None
    assert found.scale == pytest.approx(0.4, abs=0.02)
    assert found.offset == pytest.approx(0.7, abs=0.02)
    honest = sigmoid(found.scale * distorted + found.offset)
    assert expected_calibration_error(honest, labels) < 0.01


@given(seed=st.integers(0, 1000))
def test_calibrating_never_raises_the_loss_it_was_fitted_to(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3.0, size=200)
    labels = (rng.random(200) < 0.3).astype(float)
    found = fit_calibration(logits, labels)
    assert found is not None
    after = log_loss(sigmoid(found.scale * logits + found.offset), labels)
    # Platt's smoothed labels cost a trace of the fit on the raw ones
    assert after <= log_loss(sigmoid(logits), labels) + 0.01


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_alone_cannot_be_calibrated(label):
    assert fit_calibration(np.zeros(5), np.full(5, label)) is None


def test_separated_classes_stay_finite():
    found = fit_calibration(np.array([-9.0, -8.0, 8.0, 9.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert found is not None
    assert np.isfinite([found.scale, found.offset]).all()


def test_equal_logits_give_the_base_rate():
    labels = np.array([1.0] * 30 + [0.0] * 70)
    found = fit_calibration(np.zeros(100), labels)
    assert found is not None
    assert sigmoid(found.offset) == pytest.approx(0.3, abs=0.02)
