"""The baselines that are fitted every night, against their definitions."""

import numpy as np
import pytest
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from model.errors import BadInputError
from pipelines.baselines.ease import Ease
from pipelines.baselines.histories import Histories, rows
from pipelines.baselines.ials import ImplicitALS
from pipelines.baselines.neighbours import ItemKNN
from pipelines.evaluation.stream import Events
from tests.pipelines.baselines.histories import drawn, events, scores, setting

N_ITEMS, N_ACTORS = 12, 30


def matrix(history: Events) -> np.ndarray:
    """[actors, items] ones where there was a success, actors by number."""
    ones = np.zeros((N_ACTORS, N_ITEMS))
    which = history.outcome > 0
    ones[history.actor[which], history.item[which]] = 1.0
    return ones


def share(history: Events) -> np.ndarray:
    counts = np.bincount(history.item[history.outcome > 0], minlength=N_ITEMS)
    return np.asarray(1e-6 * counts / counts.max())


@pytest.fixture(scope="module")
def history() -> Events:
    return drawn(250, N_ITEMS)


def test_two_items_liked_by_the_same_two_of_three_actors_have_their_cosine():
    arm = ItemKNN(setting(3), neighbours=3)
    arm.start(events([(0, 0), (1, 0), (0, 1), (1, 1), (2, 1)]))

    # item 0 has 2 actors, item 1 has 3, both share 2; item 2 has none
    expected = [1.0, 2.0 / np.sqrt(6.0), 0.0]
    arm.learn(events([(9, 0)]))
    assert scores(arm, 9)[0] == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("neighbours", [2, N_ITEMS])
def test_item_neighbours_are_those_with_the_largest_cosines(history, neighbours):
    arm = ItemKNN(setting(N_ITEMS), neighbours=neighbours)
    arm.start(history)
    ones = matrix(history)
    lengths = np.maximum(np.sqrt(ones.sum(axis=0)), 1e-12)
    cosines = (ones.T @ ones) / lengths[:, None] / lengths
    faint = -np.sort(-cosines, axis=1)[:, neighbours - 1]
    kept = np.where(cosines >= faint[:, None], cosines, 0.0)

    expected = ones @ kept + share(history)
    np.testing.assert_allclose(scores(arm, *range(N_ACTORS)), expected, atol=1e-5)


def test_ease_is_its_closed_form(history):
    arm = Ease(setting(N_ITEMS), strength=5.0)
    arm.start(history)
    ones = matrix(history)
    inverse = np.linalg.inv(ones.T @ ones + 5.0 * np.eye(N_ITEMS))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)

    expected = ones @ weights + share(history)
    np.testing.assert_allclose(scores(arm, *range(N_ACTORS)), expected, rtol=1e-4, atol=1e-5)


def test_ease_leaves_items_out_that_are_too_many(history):
    arm = Ease(setting(N_ITEMS), strength=5.0, max_items=3)
    arm.start(history)

    assert np.isfinite(scores(arm, *range(N_ACTORS))).sum(axis=1).tolist() == [3] * N_ACTORS


def test_ease_without_regularisation_is_refused():
    with pytest.raises(BadInputError, match="above 0"):
        Ease(setting(3), strength=0.0)


def test_folding_in_solves_what_the_library_solves(history):
    arm = ImplicitALS(setting(N_ITEMS), alpha=7.0, regularization=2.0, factors=4)
    arm.start(history)
    histories = Histories(N_ITEMS)
    histories.learn(history)
    with threadpool_limits(1, "blas"):
        library = AlternatingLeastSquares(factors=4, alpha=7.0, regularization=2.0, random_state=3)
        library.fit(histories.matrix(), show_progress=False)
        own = rows([histories.of(actor) for actor in range(N_ACTORS)], N_ITEMS)
        folded = library.recalculate_user(np.arange(N_ACTORS), own)

    expected = folded @ library.item_factors.T + share(history)
    np.testing.assert_allclose(scores(arm, *range(N_ACTORS)), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "arm",
    [
        ItemKNN(setting(N_ITEMS), neighbours=5),
        Ease(setting(N_ITEMS), strength=5.0),
        ImplicitALS(setting(N_ITEMS), alpha=7.0, regularization=2.0, factors=4),
    ],
    ids=lambda arm: type(arm).__name__,
)
def test_an_actor_without_a_history_gets_what_is_popular(arm, history):
    arm.start(history)
    counts = np.bincount(history.item[history.outcome > 0], minlength=N_ITEMS)

    assert scores(arm, 99)[0] == pytest.approx(share(history), rel=1e-4)
    assert int(scores(arm, 99).argmax()) == int(counts.argmax())


def test_a_history_holds_each_item_once_and_does_not_change_in_the_hand():
    histories = Histories(5)
    histories.learn(events([(0, 3), (0, 1), (0, 3)]))
    taken = histories.of(0)
    histories.learn(events([(0, 4)]))

    assert taken == (3, 1)
    assert histories.of(0) == (3, 1, 4)
    assert histories.of(7) == ()
