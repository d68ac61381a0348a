import numpy as np
import pytest
from river import optim, reco

from pipelines.baselines.histories import successes
from pipelines.baselines.incremental import IncrementalMF
from tests.pipelines.baselines.histories import drawn, events, scores, setting


def test_without_negatives_a_step_is_that_of_rivers_funk_mf():
    history = drawn(300, 12)
    arm = IncrementalMF(
        setting(12), rate=0.1, ridge=0.05, negatives=0, newcomer_rate=0.0, factors=5
    )
    # its loss has a factor of 2 that the paper's has not, and its ridge has not
    river = reco.FunkMF(n_factors=5, optimizer=optim.SGD(0.05), l2=0.1)
    for item, vector in enumerate(arm.items):
        river.i_latents[item] = vector.astype(np.float64)
    for actor in range(30):
        river.u_latents[actor] = arm.newcomer.astype(np.float64)
    arm.start(history)
    for actor, item in zip(*successes(history), strict=True):
        river.learn_one(actor, item, 1.0)

    expected = [[river.predict_one(actor, item) for item in range(12)] for actor in range(30)]
    np.testing.assert_allclose(scores(arm, *range(30)), expected, rtol=1e-3, atol=1e-4)


def test_the_item_that_waited_longest_stands_in_for_what_was_not_chosen():
    arm = IncrementalMF(setting(4), rate=0.5, ridge=0.0, negatives=1)
    arm.start(events([(0, 0), (1, 1), (2, 2)]))
    before = arm.items.copy()
    # 0 stood in for 1, and then for 2 because 1 had its success later: so 1 is next
    arm.learn(events([(3, 3)]))
    moved = np.flatnonzero((arm.items != before).any(axis=1))

    assert moved.tolist() == [1, 3]


def test_a_step_raises_the_chosen_item_and_lowers_the_one_that_waited():
    arm = IncrementalMF(setting(3), rate=0.2, ridge=0.0, negatives=1)
    arm.start(events([(0, 0)]))
    vectors, actor = arm.items.astype(np.float64), arm.newcomer.astype(np.float64)
    arm.learn(events([(5, 1)]))
    errors = np.array([1.0 - vectors[1] @ actor, -vectors[0] @ actor])

    assert arm.items[1] == pytest.approx(vectors[1] + 0.2 * errors[0] * actor, rel=1e-4)
    assert arm.items[0] == pytest.approx(vectors[0] + 0.2 * errors[1] * actor, rel=1e-4)
    assert arm.actors[5] == pytest.approx(
        actor + 0.2 * (errors[0] * vectors[1] + errors[1] * vectors[0]), rel=1e-4
    )


def test_a_new_actor_starts_from_what_the_others_have_in_common():
    arm = IncrementalMF(setting(6), rate=0.2, ridge=0.001, negatives=2, newcomer_rate=0.05)
    arm.start(events([(actor, 0 if actor % 4 else 1 + actor % 5) for actor in range(200)]))

    assert int(scores(arm, 999).argmax()) == 0
