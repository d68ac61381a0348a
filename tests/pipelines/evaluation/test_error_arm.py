from typing import Any

import numpy as np
import pytest

from model.fast.config import MemoryConfig
from model.slow.bundle import write_bundle
from pipelines.evaluation import error_arm
from pipelines.evaluation.arm import Question
from pipelines.evaluation.chain import Chain
from pipelines.evaluation.error_arm import WithErrorMemory
from pipelines.evaluation.product import Product
from pipelines.evaluation.replay import replay
from pipelines.evaluation.sealed_log import write_log
from tests.pipelines.evaluation.streams import world_stream
from tests.tiny_model import tiny_model

STREAM = world_stream()
OFF = MemoryConfig(trending_weight=0.0, cross_weight=0.0, fast_weight=0.0, lesson_weight=0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The stream's log, and a chain of an untrained version that every night publishes anew."""
    folder = tmp_path_factory.mktemp("errors")
    write_log(STREAM, folder / "log.db")
    chain = Chain(folder / "chain")
    for row in (STREAM.bootstrap, *STREAM.nights.tolist()):
        with chain.registry.stage() as staged:
            write_bundle(tiny_model().bundle, staged)
            version = chain.registry.publish(staged, {"trained_through_seq": 0}, created_ms=0)
        chain.add({"version": version, "seconds": 0.0, "row": row})
    return folder / "log.db", chain


class Telling(WithErrorMemory):
    """Keeps what it writes, until the night that empties the memory."""

    def __init__(self, *given):
        super().__init__(*given)
        self.told = []

    def night(self):
        told = super().night()
        self.told.clear()
        return told

    def _write(self):
        waiting = len(self._waiting)
        super()._write()
        if waiting:
            memory: Any = self._errors
            places = np.arange(memory.mark - waiting, memory.mark)
            items, errors = memory._items[places], memory._errors[places]  # noqa: SLF001
            self.told += zip(items.tolist(), (1.0 - errors).tolist(), strict=True)


def on(made, arm=WithErrorMemory):
    log, chain = made
    return arm(STREAM, log, chain, OFF)


def played(arm, **more):
    return replay(STREAM, arm, name="arm", seed=0, **more)


def question(row):
    events = STREAM.events
    return Question(int(events.actor[row]), int(events.timestamp_ms[row]), {})


def test_every_success_is_written_with_the_chance_it_was_given_just_before(made):
    arm, plain = on(made, Telling), on(made, Product)
    played(arm)

    plain.start(STREAM.events.take(slice(0, STREAM.bootstrap)))
    last = int(STREAM.nights[-1])
    plain.learn(STREAM.events.take(slice(STREAM.bootstrap, last)))
    for _ in STREAM.nights:
        plain.night()
    expected = []
    # the replay hands over what comes before its last question
    stop = int(np.searchsorted(STREAM.group, STREAM.group[np.flatnonzero(STREAM.judged)[-1]]))
    for row in range(last, stop):
        if STREAM.events.outcome[row] > 0:
            scores = plain.answer([plain.ask(question(row))])[0].astype(np.float64)
            shares = np.exp(scores - scores.max())
            item = int(STREAM.events.item[row])
            expected.append((item, shares[item] / shares.sum()))
        plain.learn(STREAM.events.take(slice(row, row + 1)))

    assert len(expected) > 20
    np.testing.assert_allclose(np.array(arm.told), np.array(expected), rtol=1e-4)


def test_answering_together_gives_what_answering_one_by_one_does(made):
    one, many = played(on(made), batch=1), played(on(made), batch=256)
    for name, values in one.metrics.items():
        np.testing.assert_array_equal(values, many.metrics[name])
    np.testing.assert_array_equal(one.top, many.top)


def test_the_size_of_what_is_written_at_a_time_changes_no_answer(made, monkeypatch):
    whole = played(on(made))
    monkeypatch.setattr(error_arm, "_BATCH", 3)
    in_threes = played(on(made))

    np.testing.assert_array_equal(whole.top, in_threes.top)


def test_the_memory_of_errors_changes_the_slow_models_lists(made):
    slow = played(on(made, Product))
    corrected = played(on(made))

    assert not np.array_equal(slow.top, corrected.top)
