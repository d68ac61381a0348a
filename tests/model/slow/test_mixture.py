"""How far the halves are trusted and how much chances of what is near say."""

import numpy as np
import pytest
from scipy.optimize import minimize

from model.slow.bundle import make_bundle
from model.slow.evaluation import evaluate
from model.slow.mixture import MIXTURE, Odds, fit_mixture, no_mixture
from model.slow.nearby import PLACES
from model.slow.scorer import SlowScorer
from tests.tiny_model import halves_alone, tiny_model

MODEL = tiny_model()
TAIL = np.arange(600, 1_200)


def mixed(arrays):
    return make_bundle(MODEL.bundle.space, {**MODEL.bundle.parameters, **arrays}, None)


def loss(arrays, which):
    """Mean surprise at the successes among what could have been shown, event by event."""
    examples, scorer = MODEL.examples, SlowScorer(mixed(arrays))
    successes = which[examples.success[which]]
    scores = scorer.scores(examples.queries(successes)).astype(np.float64)
    nats = []
    for row, at in enumerate(successes.tolist()):
        target, (_, own) = int(examples.item[at]), examples.seen(np.array([at]))
        there = set(examples.item[: at + 1].tolist()) - {0}
        competing = sorted(there - set(own.tolist()) | {target})
        nats.append(np.log(np.exp(scores[row, competing]).sum()) - scores[row, target])
    return float(np.mean(nats))


def test_no_weights_near_those_that_are_found_surprise_less():
    found = fit_mixture(MODEL.bundle, MODEL.examples, TAIL)
    assert set(found) == set(MIXTURE)
    reached = loss(found, TAIL)
    assert reached < loss(no_mixture(), TAIL) - 0.05
    moving = np.flatnonzero(found["nearby_weights"])
    assert len(moving) > 1

    def moved(logs):
        weights = found["nearby_weights"].copy()
        weights[moving] *= np.exp(logs)
        return loss(found | {"nearby_weights": weights.astype(np.float32)}, TAIL)

    best = minimize(moved, np.zeros(len(moving)), method="Powell", options={"maxiter": 2})
    assert best.fun > reached - 1e-3
    less = found | {"trust": found["trust"] - np.float32(0.1)}
    assert loss(less, TAIL) > reached


def test_the_better_mixture_ranks_what_comes_later_better():
    found = fit_mixture(MODEL.bundle, MODEL.examples, TAIL[:300])
    after = TAIL[300:]
    alone = evaluate(halves_alone(MODEL.bundle), MODEL.examples, after)
    with_chances = evaluate(mixed(found), MODEL.examples, after)
    assert with_chances.surprises.mean() < alone.surprises.mean()


def test_where_nobody_comes_back_a_return_has_no_chance():
    found = fit_mixture(MODEL.bundle, MODEL.examples, TAIL)
    assert not found["return_weights"].any()


def test_a_mixture_needs_questions_and_counts():
    none = no_mixture()
    few = fit_mixture(MODEL.bundle, MODEL.examples, TAIL[:20])
    empty = {"nearby_items": np.empty(0, np.int32), "nearby_counts": np.empty(0, np.float32)}
    empty["nearby_indptr"] = np.zeros_like(MODEL.bundle.parameters["nearby_indptr"])
    uncounted = fit_mixture(mixed(empty), MODEL.examples, TAIL)
    for found in (few, uncounted):
        for name in MIXTURE:
            np.testing.assert_array_equal(found[name], none[name])


def test_the_loss_of_odds_is_that_of_the_sum_over_all_that_compete():
    # two items at odds of 1 and 3 to the target's 1, the first lifted 2 and the target 4 times
    odds = Odds(np.array([5.0]), np.array([[2.0 + 4.0]]), np.array([[4.0]]))
    weights = np.array([0.5])
    together = 1.0 * (1 + 0.5 * 2.0) + 3.0 + 1.0 * (1 + 0.5 * 4.0)
    assert odds.loss(weights) == pytest.approx(np.log(together / (1 + 0.5 * 4.0)))


def test_there_is_a_weight_for_every_place():
    found = fit_mixture(MODEL.bundle, MODEL.examples, TAIL)
    assert {name: len(array) for name, array in found.items()} == {
        "trust": 1,
        "nearby_weights": PLACES,
        "return_weights": PLACES,
    }
    assert all(array.dtype == np.float32 and (array >= 0).all() for array in found.values())
