"""What a night changed, for people."""

import json

import numpy as np
import pytest

from model.consolidation.changes import changes
from model.consolidation.continuation import Cut, open_night
from model.slow.bundle import make_bundle
from tests.tiny_model import tiny_model, tiny_world_columns

pytestmark = pytest.mark.tf  # the night lives beside the training engine


@pytest.fixture(scope="module")
def night():
    columns, metadata = tiny_world_columns()
    return open_night(tiny_model().bundle, columns, metadata, Cut(800, 1_000))


def changed(night, **arrays):
    parameters = {n: a for n, a in night.served.parameters.items() if n != "item_vectors"} | arrays
    return make_bundle(night.served.space, parameters, night.served.calibration)


def test_an_equal_model_has_changed_nothing(night):
    found = changes(night, night.served)
    assert (found["n_learned"], found["n_let_go"], found["lists"]) == (0, 0, [])
    assert all(item["change"] == 0.0 for item in found["risen"])


def test_crosses_that_became_zero_are_let_go_and_new_ones_are_learned(night):
    weights = night.served.parameters["wide_weights"].copy()
    strongest = int(np.abs(weights).argmax())
    poorer = weights.copy()
    poorer[strongest] = 0.0
    found = changes(night, changed(night, wide_weights=poorer))
    assert (found["n_learned"], found["n_let_go"]) == (0, 1)
    [gone] = found["let_go"]
    assert gone["weight"] == pytest.approx(float(weights[strongest]))
    back = changes(night, changed(night, wide_weights=weights))
    assert (back["n_learned"], back["n_let_go"]) == (0, 0)


def test_an_item_that_became_popular_rises_because_of_its_bias(night):
    bias = night.served.parameters["item_bias"].copy()
    bias[4] += 5.0
    trust = float(night.served.parameters["trust"][0])
    found = changes(night, changed(night, item_bias=bias))
    top = found["risen"][0]
    assert (top["item_id"], top["because"]) == (night.served.space.items.term(4), "bias")
    # what every item gains is not counted
    n_items = len(bias) - 1
    assert top["change"] == pytest.approx(trust * 5.0 * (1 - 1 / n_items), rel=1e-5)
    assert found["lists"]
    assert all(one["because"] == "bias" for one in found["lists"])
    assert all(top["item_id"] in one["entered"] for one in found["lists"])
    json.dumps(found, allow_nan=False)
