"""Joint training: parity, determinism, learning, and what each half does."""

import dataclasses
import itertools

import numpy as np
import pytest

from model.errors import BadInputError, ParityError
from model.slow.batches import Batches, rows_of
from model.slow.bootstrap import train_from_scratch
from model.slow.bundle import Bundle
from model.slow.config import SlowConfig
from model.slow.crosses import entries
from model.slow.engine import tf
from model.slow.evaluation import evaluate
from model.slow.scorer import SlowScorer
from model.slow.training import Plan, Trainer, check_parity, fit
from model.slow.wide_deep import WideDeep
from tests.tiny_model import CONFIG, halves_alone, tiny_model, tiny_world_columns
from tests.worlds import SCHEMA

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def trained():
    columns, metadata = tiny_world_columns()
    return train_from_scratch(columns, metadata, SCHEMA, CONFIG, seed=3)


def test_the_numpy_scorer_equals_tensorflow(model):
    assert check_parity(model.bundle, model.examples, np.arange(0, 1200, 5)) <= 1e-5


def test_the_numpy_scorer_equals_tensorflow_by_cosine(model):
    cosine = tiny_model(config=dataclasses.replace(CONFIG, similarity="cosine"))
    assert check_parity(cosine.bundle, cosine.examples, np.arange(0, 1200, 5)) <= 1e-5
    scores = [SlowScorer(m.bundle).score(m.examples.queries(np.arange(9))) for m in (model, cosine)]
    assert np.abs(scores[0].deep - scores[1].deep).max() > 0.1


@pytest.mark.parametrize(
    ("halves", "similarity", "part"),
    [("wide", "dot", "deep"), ("wide", "cosine", "deep"), ("deep", "dot", "wide")],
)
def test_a_half_that_is_left_out_adds_exactly_nothing(halves, similarity, part):
    columns, metadata = tiny_world_columns()
    config = dataclasses.replace(CONFIG, halves=halves, similarity=similarity, max_epochs=2)
    trained = train_from_scratch(columns, metadata, SCHEMA, config, seed=3)
    slow = SlowScorer(trained.bundle).score(trained.examples.queries(np.arange(0, 1200, 9)))
    assert (getattr(slow, part) == 0.0).all()
    assert np.abs(getattr(slow, halves)).max() > 0.1
    assert check_parity(trained.bundle, trained.examples, np.arange(0, 1200, 9)) <= 1e-5


def test_what_is_never_met_twice_is_learned_not_to_be_repeated(trained):
    # of the test world's users nobody rates an item twice
    assert trained.bundle.parameters["repeat_weights"][: CONFIG.wide_history].max() < -0.05


def test_the_trained_bundle_passes_parity(trained):
    assert check_parity(trained.bundle, trained.examples, np.arange(1200)) <= 1e-5


def test_a_bundle_whose_item_vectors_are_stale_fails_parity(model):
    stale = dict(model.bundle.parameters)
    stale["item_vectors"] = stale["item_vectors"] + np.float32(1e-3)
    broken = Bundle(model.bundle.space, stale, model.bundle.calibration)
    with pytest.raises(ParityError, match="must equal TensorFlow within 1e-05"):
        check_parity(broken, model.examples, np.arange(50))


def test_a_bundle_with_a_number_missing_fails_parity(model):
    broken = dict(model.bundle.parameters)
    broken["item_bias"] = np.full_like(broken["item_bias"], np.nan)
    with pytest.raises(ParityError):
        check_parity(Bundle(model.bundle.space, broken, None), model.examples, np.arange(50))


def test_the_loss_equals_the_formula_worked_out_by_hand(model):
    parameters = model.bundle.parameters
    config = SlowConfig(**{**vars(CONFIG), "outcome_weight": 0.5})
    which = np.arange(100, 140)
    ranked, other = (
        which[s] for s in (model.examples.success[which], ~model.examples.success[which])
    )
    batches = Batches(model.examples, which, parameters, config)
    batch = batches.batch(rows_of(ranked), rows_of(other), np.random.default_rng(0))
    loss = float(WideDeep(parameters, config).compute_loss(batch, training=False))
    scorer = SlowScorer(model.bundle)
    slow = scorer.score(model.examples.queries(which))
    scores = (slow.wide + slow.deep + scorer.bias)[:, 1:].astype(float)
    log_softmax = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    item, success = model.examples.item[which], model.examples.success[which]
    retrieval = -np.mean([log_softmax[n, item[n] - 1] for n in np.flatnonzero(success)])
    z = scorer.outcome_logits(slow.hidden, scorer.vectors, item[:, None])[:, 0].astype(float)
    outcome = np.mean(np.logaddexp(0, z) - success * z)
    assert loss == pytest.approx(retrieval + 0.5 * outcome, rel=1e-5)


def joint_loss_and_wide_gradient(model, config, which):
    """Loss and wide gradient as training sees them, and the batch behind."""
    parameters = model.bundle.parameters
    batches = Batches(model.examples, which, parameters, config)
    batch = batches.batch(rows_of(which), rows_of(which[:0]), np.random.default_rng(2))
    engine = WideDeep(parameters, config)
    with tf.GradientTape() as tape:
        loss = engine.compute_loss(batch, training=False)
    return float(loss), tape.gradient(loss, engine.wide.weights_by_pair).numpy(), batch


def scores_by_scorer(model, which):
    slow = SlowScorer(model.bundle).score(model.examples.queries(which))
    return (slow.wide + slow.deep + model.bundle.parameters["item_bias"]).astype(float)


def test_the_sampled_loss_equals_the_formula_worked_out_by_hand(model):
    which = np.flatnonzero(model.examples.success)[100:140]
    config = dataclasses.replace(
        CONFIG, full_softmax_items=5, sampled_candidates=9, outcome_weight=0.0
    )
    loss, _, batch = joint_loss_and_wide_gradient(model, config, which)
    candidates, correction = batch["candidates"], batch["correction"].astype(float)
    assert 20 < (candidates > 0).sum() < 40
    expected = []
    for scores, target in zip(scores_by_scorer(model, which), batch["target"], strict=True):
        total = sum(
            np.exp(scores[item]) / (1.0 if item == target else np.exp(chance))
            for item, chance in zip(candidates, correction, strict=True)
            if item > 0
        )
        expected.append(np.log(total) - scores[target])
    assert loss == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_sampled_loss_and_gradient_come_near_the_full_ones_on_average(model):
    which = np.flatnonzero(model.examples.success)[100:140]
    full = dataclasses.replace(CONFIG, outcome_weight=0.0)
    loss, gradient, _ = joint_loss_and_wide_gradient(model, full, which)
    many = dataclasses.replace(full, full_softmax_items=5, sampled_candidates=2000)
    sampled_loss, sampled_gradient, _ = joint_loss_and_wide_gradient(model, many, which)
    assert sampled_loss == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(sampled_gradient, gradient, atol=1e-5)


def test_the_wide_gradient_equals_the_formula_worked_out_by_hand(model):
    which = np.flatnonzero(model.examples.success)[100:140]
    config = dataclasses.replace(CONFIG, outcome_weight=0.0)
    _, gradient, _ = joint_loss_and_wide_gradient(model, config, which)
    scores = scores_by_scorer(model, which)[:, 1:]
    errors = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    errors[np.arange(len(which)), model.examples.item[which] - 1] -= 1.0
    p = model.bundle.parameters
    positions, slot = entries(
        p["wide_indptr"], rows := model.bundle.space.wide_rows(model.examples.queries(which))
    )
    expected = np.zeros(len(p["wide_items"]))
    felt = errors[slot // rows.shape[1], p["wide_items"][positions] - 1] / len(which)
    np.add.at(expected, positions, felt)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def share_of_own_taste(bundle, examples):
    """How many of the ten best items are of the kind that the user loves."""
    which = np.arange(600, 1200)
    scorer, space = SlowScorer(bundle), bundle.space
    slow = scorer.score(examples.queries(which))
    scores = (slow.wide + slow.deep + scorer.bias)[:, 1:]
    best = np.argsort(-scores, axis=1)[:, :10] + 1
    item_parity = np.array([0, *(int(item[1:]) % 2 for item in space.items.terms)])
    user_parity = np.array([0, *(int(user[1:]) % 2 for user in space.users.terms)])
    own = user_parity[examples.queries(which).user]
    return float((item_parity[best] == own[:, None]).mean())


def test_training_learns_the_two_tastes(trained, model):
    assert share_of_own_taste(model.bundle, model.examples) < 0.6
    assert share_of_own_taste(trained.bundle, trained.examples) > 0.75
    # its counts hold what the trained one has not seen
    untrained = halves_alone(model.bundle)
    before = evaluate(untrained, model.examples, np.arange(1080, 1200)).ndcg.mean()
    assert trained.metrics["ndcg@10"] > before
    assert trained.metrics["auc"] > 0.75


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(trained):
    columns, metadata = tiny_world_columns()
    again = train_from_scratch(columns, metadata, SCHEMA, CONFIG, seed=3)
    other = train_from_scratch(columns, metadata, SCHEMA, CONFIG, seed=4)
    for name, array in trained.bundle.parameters.items():
        np.testing.assert_array_equal(array, again.bundle.parameters[name], err_msg=name)
    vectors = trained.bundle.parameters["item_vectors"]
    assert not np.array_equal(vectors, other.bundle.parameters["item_vectors"])


def test_both_halves_move_in_one_step(model):
    parameters = dict(model.bundle.parameters)
    parameters["wide_weights"] = np.zeros_like(parameters["wide_weights"])
    fitted = fit(parameters, model.examples, np.arange(640), CONFIG, Plan(seed=0, epochs=1))
    for name in (
        "wide_weights",
        "item_embedding",
        "hidden_kernel",
        "outcome_kernel",
        "liked_decay",
    ):
        assert np.abs(fitted.parameters[name] - parameters[name]).max() > 1e-5, name


def test_more_l1_leaves_fewer_crosses(model):
    parameters = dict(model.bundle.parameters)
    parameters["wide_weights"] = np.zeros_like(parameters["wide_weights"])

    def alive(l1):
        config = SlowConfig(**{**vars(CONFIG), "wide_l1": l1})
        plan = Plan(seed=0, epochs=1)
        fitted = fit(parameters, model.examples, np.arange(1200), config, plan)
        return int(np.count_nonzero(fitted.parameters["wide_weights"]))

    assert alive(0.0) > alive(0.02) > alive(0.2)
    assert alive(1e3) == 0


def test_early_stopping_keeps_the_best_epoch(model):
    columns, _ = tiny_world_columns()
    assert len(columns) == 1200
    config = SlowConfig(**{**vars(CONFIG), "patience": 2, "deep_learning_rate": 0.05})
    plan = Plan(seed=0, epochs=12, validation=np.arange(1080, 1200))
    parameters = dict(model.bundle.parameters)
    fitted = fit(parameters, model.examples, np.arange(1080), config, plan)
    best = int(np.argmin(fitted.validation)) + 1
    assert fitted.epochs == best
    assert len(fitted.validation) in (best + 2, 12)


def test_progress_is_told_after_every_step(model):
    told = []
    plan = Plan(seed=0, epochs=2, on_progress=lambda done, total, _: told.append((done, total)))
    fit(dict(model.bundle.parameters), model.examples, np.arange(130), CONFIG, plan)
    assert told == [(step, 6) for step in range(1, 7)]


def test_too_few_successes_are_refused_with_the_count():
    columns, metadata = tiny_world_columns()
    few = columns.take(np.arange(10))
    with pytest.raises(BadInputError, match=r"at least 20 successes.*got [0-9]+ in 10 events"):
        train_from_scratch(few, metadata, SCHEMA, CONFIG, seed=0)


def test_data_with_successes_alone_trains_without_a_probability():
    columns, metadata = tiny_world_columns()
    liked = columns.take(np.flatnonzero(columns.outcome > 0))
    trained = train_from_scratch(liked, metadata, SCHEMA, CONFIG, seed=0)
    assert trained.bundle.calibration is None
    assert "logloss" not in trained.metrics


def test_paced_steps_are_those_of_an_adam_that_has_trained_long(model):
    batches = Batches(model.examples, np.arange(640), model.bundle.parameters, CONFIG)
    warm, cold = (WideDeep(model.bundle.parameters, CONFIG) for _ in range(2))
    for one in (warm, cold):
        one.optimise()
    rng = np.random.default_rng(0)
    first, second, third = itertools.islice(batches.epoch(rng), 3)
    warm.pace([first, second])

    def gradient(batch):
        with tf.GradientTape() as tape:
            loss = cold.compute_loss(batch, training=True)
        return tape.gradient(loss, cold.deep.p["hidden_kernel"]).numpy()

    usual = (gradient(first) ** 2 + gradient(second) ** 2) / 2
    usual = np.maximum(usual, usual.mean())
    felt = gradient(third)
    before = cold.deep.p["hidden_kernel"].numpy()
    # Kingma and Ba 2015, algorithm 1, long after its start, with decay as in AdamW
    step = 0.1 * felt / (np.sqrt(0.999 * usual + 0.001 * felt**2) + 1e-7)
    decayed = before * (1.0 - CONFIG.deep_learning_rate * CONFIG.deep_weight_decay)
    expected = decayed - CONFIG.deep_learning_rate * step
    warm.train_step(third)
    cold.train_step(third)
    np.testing.assert_allclose(warm.deep.p["hidden_kernel"].numpy(), expected, atol=1e-6)
    moved = [np.abs(one.deep.p["hidden_kernel"].numpy() - before).mean() for one in (warm, cold)]
    assert moved[0] < 0.5 * moved[1]


def test_a_trainer_begins_every_fit_where_it_began_the_first(model):
    parameters = dict(model.bundle.parameters)
    plans = [Plan(seed, 1, paced_by=np.arange(640)) for seed in (0, 1, 0)]
    trainer = Trainer(parameters, model.examples, CONFIG, plans[0])
    first, other, again = (trainer.fit(np.arange(640, 1200), plan) for plan in plans)
    alone = fit(parameters, model.examples, np.arange(640, 1200), CONFIG, plans[0])
    for name, array in first.parameters.items():
        np.testing.assert_array_equal(array, again.parameters[name], err_msg=name)
        np.testing.assert_array_equal(array, alone.parameters[name], err_msg=name)
    assert first.losses == again.losses != other.losses


def test_without_batches_to_pace_by_nothing_changes(model):
    one = WideDeep(model.bundle.parameters, CONFIG)
    one.optimise()
    one.pace([])
    fitted = [
        fit(model.bundle.parameters, model.examples, np.arange(640), CONFIG, Plan(0, 1, paced_by=p))
        for p in (None, np.arange(0), np.arange(640))
    ]
    kernels = [f.parameters["hidden_kernel"] for f in fitted]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_parity_is_a_share_of_large_scores_and_not_of_small_ones(model):
    large = dict(model.bundle.parameters)
    large["item_bias"] = large["item_bias"] + np.float32(1e4)
    bundle = Bundle(model.bundle.space, large, model.bundle.calibration)
    # of ten thousand, single precision tells no more than a thousandth apart
    assert check_parity(bundle, model.examples, np.arange(50)) <= 1e-5
    stale = {**large, "item_vectors": large["item_vectors"] + np.float32(0.3)}
    with pytest.raises(ParityError):
        check_parity(Bundle(model.bundle.space, stale, None), model.examples, np.arange(50))
