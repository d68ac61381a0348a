import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.evaluation.protocols import diginetica
from tests.pipelines.evaluation.protocols import files

WEEK_MS = 7 * 86_400_000


def stream_of(tmp_path, rows, **options):
    return diginetica.stream(files.diginetica(tmp_path, rows), quick=False, **options)


def test_every_next_known_item_of_a_session_is_asked(tmp_path):
    rows = [
        *((0, 1, item) for item in (10, 11, 12)),
        (1, 2, 10),  # the session's first click
        (1, 3, 11),  # the only known item of its session
        (1, 2, 11),  # asked
        (1, 3, 99),  # never seen before: no test
        (1, 4, 98),  # dropped, so the next one is the session's first
        (1, 4, 12),
        (1, 2, 10),  # repeats are asked
        (1, 4, 98),  # seen in this period only: no test
        (2, 5, 98),
        (2, 5, 99),  # known by now
        (2, 4, 10),  # goes on from period 1, where its clicks stay
        (2, 4, 11),
    ]
    stream = stream_of(tmp_path, rows, sample=1.0)
    assert np.flatnonzero(stream.asked).tolist() == [5, 9, 12, 14]


def test_a_night_falls_between_periods_and_none_before_the_first_replayed(tmp_path):
    rows = [(period, 20 * period + n % 3, n) for period in range(4) for n in range(6)]
    stream = stream_of(tmp_path, rows)
    assert stream.bootstrap == 6
    assert stream.nights.tolist() == [12, 18]
    assert stream.block.tolist() == [row[0] for row in rows]


def test_the_made_up_clock_rises_by_row_and_has_a_week_for_each_period(tmp_path):
    rows = files.diginetica_clicks(np.random.default_rng(2))
    stream = stream_of(tmp_path, rows)
    time = stream.events.timestamp_ms
    assert (np.diff(time) > 0).all()
    weeks = (time - time[0]) // WEEK_MS
    assert weeks.tolist() == [row[0] for row in rows]
    assert (np.diff(stream.group) == 1).all()


def test_a_quarter_of_the_tested_sessions_is_asked_whole_and_always_the_same(tmp_path):
    folder = files.diginetica(tmp_path, files.diginetica_clicks(np.random.default_rng(2)))
    every = diginetica.stream(folder, quick=False, sample=1.0)
    some = diginetica.stream(folder, quick=False)
    sessions = np.unique(every.events.actor[every.asked])
    chosen = np.unique(some.events.actor[some.asked])
    assert len(chosen) == round(len(sessions) / 4)
    expected = every.asked & np.isin(every.events.actor, chosen)
    np.testing.assert_array_equal(some.asked, expected)
    np.testing.assert_array_equal(some.asked, diginetica.stream(folder, quick=False).asked)


@pytest.mark.parametrize("sample", [0.0, 1.1])
def test_a_sample_is_a_share(sample, tmp_path):
    with pytest.raises(BadInputError, match=r"\(0, 1\]"):
        stream_of(tmp_path, [(0, 1, 1), (1, 1, 1)], sample=sample)


def test_rows_out_of_the_order_of_periods_are_named_by_their_line(tmp_path):
    with pytest.raises(BadInputError, match=r"line 4: .*period 0 comes after period 1"):
        stream_of(tmp_path, [(0, 1, 1), (1, 1, 1), (0, 1, 1)])


def test_one_period_alone_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="period 0 and in later ones"):
        stream_of(tmp_path, [(1, 1, 1), (1, 1, 1)])
