import dataclasses

import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.baselines.cooccurrence import SessionCooccurrence
from pipelines.baselines.mix import PopularityMix
from tests.pipelines.baselines.histories import drawn, events, question, setting

NAMES = ("referrer", "device")


def with_context(part, referrer, device):
    columns = {"referrer": np.array(referrer, np.int16), "device": np.array(device, np.int16)}
    return dataclasses.replace(part, context=columns)


def test_a_score_is_the_sum_of_its_three_parts():
    history = drawn(300, 12, n_actors=20)
    moment_s = history.timestamp_ms[-1] / 1000 + 60.0
    arm = PopularityMix(setting(12), NAMES, half_life_s=600.0, moment=2.0, last=0.5)
    arm.start(history)
    asked = question(4, moment_s, referrer=1, device=0)
    found = arm.answer([arm.ask(asked)])[0]

    worths = 0.5 ** ((asked.timestamp_ms - history.timestamp_ms) / 600_000.0)
    worths = worths * (history.outcome > 0)
    alike = worths * (history.context["referrer"] == 1) * (history.context["device"] == 0)
    expected = np.zeros(12)
    for weight, part in ((1.0, worths), (2.0, alike)):
        counts = np.bincount(history.item, part, minlength=12)
        expected += weight * counts / (part.sum() + 10.0)
    after = SessionCooccurrence(setting(12), near=0.6, back=0.5, half_life=20_000.0, again=1.0)
    after.start(history)
    expected += 0.5 * after.answer([after.ask(asked)])[0]
    assert found == pytest.approx(expected, rel=1e-4)


def test_what_is_read_from_one_place_does_not_lead_in_another():
    rows = [(actor, actor % 2) for actor in range(40)]
    history = with_context(events(rows), [actor % 2 for actor in range(40)], [0] * 40)
    arm = PopularityMix(setting(3), NAMES, half_life_s=3600.0, moment=3.0, last=1.0)
    arm.start(history)

    for referrer in (0, 1):
        answer = arm.answer([arm.ask(question(99, 40.0, referrer=referrer))])
        assert int(answer.argmax()) == referrer


def test_shares_stay_numbers_however_long_the_stream_and_the_silence():
    history = with_context(events([(0, 1), (1, 2)], seconds=[0.0, 1e6]), [0, 1], [0, 0])
    arm = PopularityMix(setting(3), NAMES, half_life_s=1.0, moment=1.0, last=0.0)
    arm.start(history)
    arm.learn(with_context(events([(2, 2)], seconds=[3e6]), [1], [0]))
    answer = arm.answer([arm.ask(question(9, 3e6)), arm.ask(question(9, 9e6))])

    assert np.isfinite(answer).all()
    assert int(answer[0].argmax()) == 2


def test_events_without_attributes_are_mixed_without_them():
    arm = PopularityMix(setting(3), NAMES, half_life_s=3600.0, moment=3.0, last=1.0)
    arm.start(events([(0, 1), (1, 1), (2, 2)]))

    assert int(arm.answer([arm.ask(question(9, 3.0))]).argmax()) == 1


def test_a_half_life_that_is_none_is_refused():
    with pytest.raises(BadInputError, match="positive"):
        PopularityMix(setting(3), NAMES, half_life_s=0.0, moment=1.0, last=1.0)
