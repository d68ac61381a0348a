"""Which items compete when a model is judged."""

import numpy as np

from model.slow.evaluation import evaluate
from model.slow.scorer import SlowScorer
from tests.tiny_model import tiny_model, tiny_world_columns


def test_a_success_competes_with_what_was_there_and_its_user_had_not_seen():
    model = tiny_model()
    examples = model.examples
    which = np.flatnonzero(examples.success)[:60]
    scorer = SlowScorer(model.bundle)
    scores = scorer.scores(examples.queries(which))
    columns, _ = tiny_world_columns()
    actor, time = columns.actor.codes[columns.by_time()], examples.timestamp_ms
    later = 0
    for row, rank in enumerate(evaluate(model.bundle, examples, which).ranks):
        at = which[row]
        there = set(examples.item[: at + 1])
        own = set(examples.item[(actor == actor[at]) & (time < time[at])])
        target = examples.item[at]
        competing = [i for i in there - own - {0, target} if scores[row, i] >= scores[row, target]]
        assert rank == 1 + len(competing)
        later += len(set(range(1, scores.shape[1])) - there) > 0
    assert later > 10  # so that the first condition decides something
