"""Factors: as JSON, and as what is learned."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CorruptBundleError
from model.fast.factors import Factors
from model.fast.mixing import SHARES, Mixing

FIELDS = ["device", "hour"]
N_PARTS = 1 + 6 + 1 + 2 * 3 + 2 * len(FIELDS) + 2
N_LIFTS = 2 * 3 + 1
factors = st.builds(
    Factors,
    *(
        st.lists(st.floats(0, 3, width=32), min_size=n, max_size=n).map(np.array)
        for n in (N_PARTS, N_LIFTS)
    ),
)


@given(factors=factors)
def test_factors_lead_to_a_mixing_and_back(factors):
    found = Mixing.from_factors(factors, FIELDS).as_factors(FIELDS)
    np.testing.assert_allclose(found.of_parts, factors.of_parts, atol=1e-9)
    np.testing.assert_array_equal(found.of_lifts, factors.of_lifts)


@given(factors=factors)
def test_a_mixing_survives_its_json(factors):
    mixing = Mixing.from_factors(factors, FIELDS)
    assert Mixing.from_json(mixing.as_json()) == mixing
    assert Mixing.from_json(Mixing().as_json()) == Mixing()


def test_the_share_at_a_half_life_brings_all_longer_residuals_with_it():
    parts = np.zeros(N_PARTS)
    parts[SHARES.start + 2] = 1.0
    mixing = Mixing.from_factors(Factors(parts, np.zeros(N_LIFTS)), FIELDS)
    assert mixing.trending == (0.0, 0.0, 1.0, 1.0, 1.0, 1.0)
    assert mixing.bias == 1.0


def test_an_attribute_that_nobody_learned_takes_the_factor_of_others():
    found = Mixing(context={"hour": (1.0, 2.0)}, other_context=(0.3, 0.4)).as_factors(FIELDS)
    assert found.of_parts[-6:-2].tolist() == [0.3, 0.4, 1.0, 2.0]


@pytest.mark.parametrize(
    "change",
    [
        {"trending": [1.0]},
        {"liked": [[1.0, 1.0]]},
        {"nearby": [0.1, 0.1]},
        {"again": None},
        {"slow": "much"},
        {"context": [1.0]},
        {"fast": None},
    ],
)
def test_damaged_factors_are_an_error(change):
    with pytest.raises(CorruptBundleError, match="factors"):
        Mixing.from_json(Mixing().as_json() | change)


def test_a_missing_factor_is_an_error():
    stored = Mixing().as_json()
    del stored["bias"]
    with pytest.raises(CorruptBundleError, match="factors"):
        Mixing.from_json(stored)
