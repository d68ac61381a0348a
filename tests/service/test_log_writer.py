import asyncio
from contextlib import asynccontextmanager

import pytest

from model.errors import LogUnavailableError
from model.interactions import Event
from model.storage.event_log import open_log
from service.log_writer import LogWriter, QueueFullError
from service.telemetry import Metrics


def events(*ids):
    return [Event(each, "click", 1_700_000_000_000, "u", "i") for each in ids]


@asynccontextmanager
async def writer_on(log, limit=1_000):
    writer = LogWriter(log, limit=limit, metrics=Metrics())
    try:
        yield writer
    finally:
        await writer.close()


@pytest.fixture
def log(tmp_path):
    log = open_log(tmp_path / "events.db")
    yield log
    log.close()


def test_batches_that_wait_together_are_told_apart(log):
    async def append():
        async with writer_on(log) as writer:
            return await asyncio.gather(
                writer.append(events("a", "b", "a"), 1),
                writer.append(events("b", "c"), 1),
                writer.append(events("a"), 1),
                writer.append(events("d", "e"), 1),
            )

    answers = asyncio.run(append())
    assert [(one.accepted, one.duplicates, one.first_seq, one.last_seq) for one in answers] == [
        (2, (2,), 1, 2),
        (1, (0,), 3, 3),
        (0, (0,), None, None),
        (2, (), 4, 5),
    ]
    assert log.head() == 5


def test_more_events_than_may_wait_are_refused_until_some_are_written(log):
    async def append():
        async with writer_on(log, limit=4) as writer:
            first = asyncio.ensure_future(writer.append(events("a", "b", "c"), 1))
            await asyncio.sleep(0)
            with pytest.raises(QueueFullError):
                await writer.append(events("d", "e"), 1)
            await first
            return await writer.append(events("d", "e"), 1)

    assert asyncio.run(append()).last_seq == 5


def test_every_caller_hears_of_a_log_that_fails(log):
    async def append():
        async with writer_on(log) as writer:
            log.close()
            waiting = (writer.append(events("a"), 1), writer.append(events("b"), 1))
            return await asyncio.gather(*waiting, return_exceptions=True)

    answers = asyncio.run(append())
    assert [type(each) for each in answers] == [LogUnavailableError, LogUnavailableError]


def test_closing_writes_what_waits(log):
    async def append():
        async with writer_on(log) as writer:
            waiting = [asyncio.ensure_future(writer.append(events(str(n)), 1)) for n in range(50)]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)

    asyncio.run(append())
    assert log.head() == 50
