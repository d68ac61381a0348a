import errno
import io
import json
import logging
import time

import pytest

from service.logs import JsonLines
from tests.service.conftest import process, wait_until


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def logger(stream):
    logger = logging.Logger("tests.logs")  # noqa: LOG001 (outside the tree, so nothing else hears it)
    handler = JsonLines(stream)
    logger.addHandler(handler)
    yield logger
    handler.close()


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_becomes_one_line_of_json_with_its_fields(logger, stream):
    logger.info("said %s", 'a "thing"\n', extra={"fields": {"status": 200}})
    logger.handlers[0].flush()
    (line,) = lines(stream)
    assert line["event"] == 'said a "thing"\n'
    assert (line["level"], line["logger"], line["status"]) == ("info", "tests.logs", 200)
    assert line["time"].endswith("+00:00")


def test_warnings_are_written_at_once_and_after_what_came_before(logger, stream):
    logger.info("first")
    logger.warning("second")
    assert [line["event"] for line in lines(stream)] == ["first", "second"]


def test_the_rest_is_written_soon(logger, stream):
    logger.info("in a while")
    wait_until(lambda: lines(stream))


def test_a_disk_that_is_full_loses_lines_and_breaks_nothing():
    class Full(io.StringIO):
        room = 0

        def write(self, text):
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(text)

    stream = Full()
    handler = JsonLines(stream)
    logger = logging.Logger("tests.logs")  # noqa: LOG001 (outside the tree, so nothing else hears it)
    logger.addHandler(handler)
    logger.warning("lost")
    logger.info("lost too")
    time.sleep(0.3)
    stream.room = 1
    logger.info("kept")
    wait_until(lambda: stream.getvalue())
    handler.close()
    assert [line["event"] for line in lines(stream)] == ["kept"]


def test_an_exception_keeps_its_traceback_on_the_same_line(logger, stream):
    try:
        int("boom")
    except ValueError:
        logger.exception("it failed")
    (line,) = lines(stream)
    assert "invalid literal" in line["traceback"]


def test_the_service_logs_every_request_once_with_its_id_and_nothing_personal(tiny_home):
    with process(tiny_home) as running, running.client() as client:
        client.get("/recommend/secret-user", headers={"X-Request-ID": "the-request"})
        client.post("/recommend", json={"n": 0})
    log = running.log_path.read_text()
    logged = [json.loads(line) for line in log.splitlines()]
    requests = [line for line in logged if line["event"] == "request"]
    (line,) = [line for line in requests if line["request_id"] == "the-request"]
    assert (line["method"], line["route"], line["status"]) == ("GET", "/recommend/{user_id}", 200)
    assert line["ms"] > 0
    assert [line["status"] for line in requests if line["route"] == "/recommend"] == [422]
    assert "secret-user" not in log


def test_a_service_that_is_stopped_right_after_an_answer_has_logged_the_request(tiny_home):
    for attempt in range(3):
        with process(tiny_home) as running, running.client() as client:
            client.get("/recommend/ada", headers={"X-Request-ID": f"last-{attempt}"})
        assert f"last-{attempt}" in running.log_path.read_text()
