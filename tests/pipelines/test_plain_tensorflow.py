"""The baseline that the service is measured against is the same model."""

import numpy as np
import pytest

pytestmark = pytest.mark.tf

from model.slow.bundle import load_bundle  # noqa: E402
from model.slow.features import PADDING, QueryBatch  # noqa: E402
from model.slow.scorer import SlowScorer  # noqa: E402
from model.storage.registry import Registry  # noqa: E402
from model.workspace import Workspace  # noqa: E402
from pipelines.benchmark.plain_tensorflow import ready, recommending  # noqa: E402


def test_plain_tensorflow_gives_the_unseen_items_that_the_slow_model_ranks_best(trained_home):
    workspace = Workspace(trained_home)
    registry = Registry(workspace.models)
    bundle = load_bundle(registry.open(registry.current() or ""))
    known, answer = ready(bundle, workspace), recommending(bundle, 5)
    scorer = SlowScorer(bundle)
    for user in ("u1", "u2", "u59"):
        features = known.features[user]
        scores, numbers, chances = answer(features)
        arrays = {name: features[name].numpy() for name in QueryBatch._fields}
        for name in ("liked", "disliked"):  # which come without the columns that nobody fills
            room = scorer.space.history - arrays[name].shape[1]
            arrays[name] = np.pad(arrays[name], ((0, 0), (0, room)), constant_values=PADDING)
        slow = scorer.score(QueryBatch(**arrays))
        total = (slow.wide + slow.deep + scorer.bias)[0]
        total[features["seen"].numpy()] = -np.inf
        best = np.argsort(-total)[:5]
        assert numbers.numpy().tolist() == best.tolist()
        assert scores.numpy() == pytest.approx(total[best], abs=1e-4)
        odds = scorer.outcome_logits(slow.hidden, scorer.vectors, best[None, :])[0]
        assert chances.numpy() == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-5)
