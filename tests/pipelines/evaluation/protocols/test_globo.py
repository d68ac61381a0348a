import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.evaluation.protocols import globo
from pipelines.evaluation.protocols.globo import END_MS
from tests.pipelines.evaluation.protocols import files

FIRST_MS = 1_506_826_814_140
DAY_MS = 86_400_000
CODES = (4, 3, 2, 1, 9, 7)


def click(user, item, day, codes=CODES):
    return (user, 0, FIRST_MS // 1_000, item, FIRST_MS + round(day * DAY_MS), *codes)


def stream_of(tmp_path, *rows):
    return globo.stream(files.globo(tmp_path, list(rows)), quick=False)


def test_a_day_is_24_hours_from_the_first_click(tmp_path):
    days = [0, 11.9, 12, 12.9, 13.1, 15.5]
    stream = stream_of(tmp_path, *(click(1, n, day) for n, day in enumerate(days)))
    assert stream.bootstrap == 2
    assert stream.nights.tolist() == [4, 5]
    assert stream.block.tolist() == [0, 285, 288, 309, 314, 372]


def test_late_clicks_are_dropped(tmp_path):
    late = (1, 0, 0, 7, END_MS, *CODES)
    stream = stream_of(tmp_path, click(1, 5, 0), click(1, 6, 13), late)
    assert stream.items == ["5", "6"]


def test_a_repeated_article_is_learned_and_not_asked(tmp_path):
    stream = stream_of(tmp_path, click(1, 5, 0), click(1, 5, 13), click(2, 5, 14), click(1, 6, 14))
    assert stream.asked.tolist() == [False, False, True, True]


def test_at_most_20000_clicks_are_asked_and_always_the_same(tmp_path):
    rows = [click(0, 0, 0), *(click(n, 1, 12 + n / 30_000) for n in range(1, 21_001))]
    folder = files.globo(tmp_path, rows)
    asked = globo.stream(folder, quick=False).asked
    assert asked.sum() == 20_000
    np.testing.assert_array_equal(asked, globo.stream(folder, quick=False).asked)
    chosen = np.random.default_rng(0).choice(21_000, 20_000, replace=False)
    np.testing.assert_array_equal(np.flatnonzero(asked), 1 + np.sort(chosen))


def test_the_codes_of_a_click_are_its_context_as_text(tmp_path):
    stream = stream_of(tmp_path, click(1, 5, 0), click(1, 6, 13, (1, 2, 17, 10, 2, 3)))
    told = [
        {name: stream.terms[name][numbers[row]] for name, numbers in stream.events.context.items()}
        for row in range(2)
    ]
    names = ("env", "device", "os", "country", "region", "referrer")
    assert told[0] == dict(zip(names, map(str, CODES), strict=True))
    assert told[1] == dict(zip(names, ("1", "2", "17", "10", "2", "3"), strict=True))


def test_the_quick_form_asks_for_the_same_clicks_of_every_eighth_user(tmp_path):
    folder = files.globo(tmp_path, files.globo_clicks(np.random.default_rng(1)))
    whole, quick = globo.stream(folder, quick=False), globo.stream(folder, quick=True)
    assert quick.actors == whole.actors[::8]

    def asked(stream):
        events = stream.events.take(np.flatnonzero(stream.asked))
        pairs = zip(events.actor, events.timestamp_ms, strict=True)
        return {(stream.actors[actor], time) for actor, time in pairs}

    assert asked(quick) == {pair for pair in asked(whole) if pair[0] in set(quick.actors)}


def test_data_that_end_before_the_replay_are_refused(tmp_path):
    with pytest.raises(BadInputError, match="no click in days 12 to 15"):
        stream_of(tmp_path, click(1, 5, 0), click(1, 6, 11))


def test_data_of_later_days_alone_are_refused(tmp_path):
    with pytest.raises(BadInputError, match="no click before"):
        stream_of(tmp_path, (1, 0, 0, 7, END_MS, *CODES))
