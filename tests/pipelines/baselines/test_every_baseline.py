"""What holds for every baseline in the registry."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from pipelines.baselines.registry import BASELINES
from pipelines.evaluation.stream import Events
from tests.pipelines.baselines.histories import drawn, events, question, scores, setting

N_ITEMS = 20
HISTORY, REST = 300, 120

pytestmark = pytest.mark.parametrize("name", BASELINES)


def stream() -> Events:
    return drawn(HISTORY + REST, N_ITEMS)


def started(name: str, *, repeats: bool = False) -> tuple[Any, Events]:
    """An arm with the history behind it, and the events that follow."""
    arm = BASELINES[name](setting(N_ITEMS, repeats=repeats))
    arm.start(stream().take(slice(0, HISTORY)))
    return arm, stream().take(slice(HISTORY, HISTORY + REST))


@pytest.mark.parametrize("repeats", [True, False])
def test_the_same_seed_gives_the_same_answers(name, repeats):
    first, rest = started(name, repeats=repeats)
    second, _ = started(name, repeats=repeats)
    for arm in (first, second):
        arm.learn(rest)
        arm.night()

    assert np.array_equal(scores(first, 0, 1, 2), scores(second, 0, 1, 2))


def test_what_came_after_a_question_does_not_reach_its_answer(name):
    arm, rest = started(name)
    tickets, at_once = [], []
    for row in range(REST):
        ticket = arm.ask(question(int(rest.actor[row]), rest.timestamp_ms[row] / 1000))
        tickets.append(ticket)
        at_once.append(arm.answer([ticket])[0])
        arm.learn(rest.take(slice(row, row + 1)))

    np.testing.assert_allclose(arm.answer(tickets), np.stack(at_once), rtol=1e-4, atol=1e-6)


def test_events_learned_one_by_one_or_together_give_the_same_answers(name):
    together, rest = started(name)
    one_by_one, _ = started(name)
    together.learn(rest)
    for row in range(REST):
        one_by_one.learn(rest.take(slice(row, row + 1)))
    actors = range(30)

    for _ in range(2):
        np.testing.assert_allclose(
            scores(together, *actors), scores(one_by_one, *actors), rtol=1e-4, atol=1e-6
        )
        together.night()
        one_by_one.night()


def test_answers_are_a_number_for_every_item_or_none_at_all(name):
    arm, rest = started(name)
    stranger, actors = 99, [*range(30), 99]
    arm.learn(rest.take(slice(0, 1)))
    answer = scores(arm, *actors)

    assert answer.shape == (len(actors), N_ITEMS)
    assert answer.dtype == np.float32
    assert (np.isfinite(answer) | (answer == -np.inf)).all()
    assert np.isfinite(scores(arm, stranger)).any()


def test_an_actor_and_an_item_that_nobody_knew_are_learned(name):
    arm, _ = started(name)
    late = events([(98, N_ITEMS - 1), (98, 0)], seconds=[1e5, 1e5 + 1])
    late = dataclasses.replace(
        late, context={n: np.zeros(2, np.int16) for n in ("referrer", "device")}
    )
    before = scores(arm, 98)
    arm.learn(late)
    arm.night()

    assert np.isfinite(scores(arm, 98)[0, N_ITEMS - 1])
    assert not np.array_equal(scores(arm, 98), before)


def test_what_is_no_success_changes_nothing(name):
    arm, rest = started(name)
    before = scores(arm, 0, 1, 99)
    for outcome in (0, -1):
        arm.learn(dataclasses.replace(rest, outcome=np.full(REST, outcome, np.int8)))

    assert np.array_equal(scores(arm, 0, 1, 99), before)


def test_learning_leaves_its_events_as_they_were(name):
    arm = BASELINES[name](setting(N_ITEMS))
    history, rest = stream().take(slice(0, HISTORY)), stream().take(slice(HISTORY, None))
    for part in (history, rest):
        for column in (part.actor, part.item, part.timestamp_ms, part.outcome, part.value):
            column.setflags(write=False)
    arm.start(history)
    arm.learn(rest)
    arm.night()

    assert np.array_equal(rest.item, stream().item[HISTORY:])


def test_an_answer_that_is_written_over_changes_no_later_one(name):
    arm, _ = started(name)
    ticket = arm.ask(question(0))
    first = arm.answer([ticket]).copy()
    arm.answer([ticket])[:] = 7.0

    assert np.array_equal(arm.answer([ticket]), first)


def test_a_baseline_without_a_history_still_answers(name):
    arm = BASELINES[name](setting(N_ITEMS))
    arm.start(stream().take(slice(0, 0)))
    assert scores(arm, 0).shape == (1, N_ITEMS)
    arm.learn(stream())
    arm.night()

    assert not np.isnan(scores(arm, 0, 99)).any()


def test_a_baseline_reports_what_it_tried_and_chose(name):
    arm, _ = started(name)

    assert arm.trials >= 1
    assert (arm.trials > 1) <= bool(arm.chosen)
