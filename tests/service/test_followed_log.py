"""How a new model reads the log while another one answers."""

import time

import pytest

from model.interactions import Event, LogRow
from service.followed_log import FollowedLog
from service.telemetry import Metrics

N_EVENTS = 1_000


@pytest.fixture
def log(tmp_path):
    log = FollowedLog(tmp_path / "events.db", Metrics())
    events = [Event(f"e{n}", "click", n, user_id="u", item_id=f"i{n % 7}") for n in range(N_EVENTS)]
    log.append(events, received_ms=0)
    yield log
    log.close()


def read(log):
    """All rows, as a memory reads them, and in how many parts."""
    rows: list[LogRow] = []
    parts = 0
    while part := log.tail(rows[-1].seq if rows else 0):
        rows += part
        parts += 1
    return rows, parts


def test_in_passing_the_same_rows_come_in_smaller_parts(log):
    whole, parts = read(log)
    assert parts == 1
    with log.read_in_passing(0.5):
        passing, parts = read(log)
    assert passing == whole
    assert parts >= 5
    assert read(log) == (whole, 1)


def test_who_reads_in_passing_leaves_the_rest_of_the_time_to_others(log):
    begun, parts, worked_s = time.perf_counter(), 0, 0.0
    with log.read_in_passing(0.2):
        after = 0
        while rows := log.tail(after):
            after, parts = rows[-1].seq, parts + 1
            started = time.perf_counter()
            time.sleep(0.01)  # what it takes to remember them
            worked_s += time.perf_counter() - started
    # a pause never ends early
    assert time.perf_counter() - begun >= worked_s / 0.2
