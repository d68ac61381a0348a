"""What a client may take: connections, time, bytes, requests a second, a place in the queue."""

import re
import socket
import threading
import time
from contextlib import ExitStack, closing

import httpx
import pytest

from tests.service.conftest import process, serving, wait_until
from tests.service.test_auth import make_keys

QUESTION = b'POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{"user_id":"u"}'


def line_to(client):
    line = socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return closing(line)


def said(line):
    """All that comes until the other side closes."""
    blocks = []
    while block := line.recv(65_536):
        blocks.append(block)
    return b"".join(blocks)


def answered(line):
    """One whole answer; the line stays open."""
    block = line.recv(65_536)
    while b"\r\n\r\n" not in block:
        block += line.recv(65_536)
    head, _, body = block.partition(b"\r\n\r\n")
    announced = re.search(rb"content-length: (\d+)", head)
    assert announced is not None
    while len(body) < int(announced[1]):
        body += line.recv(65_536)
    return head + b"\r\n\r\n" + body


def shed(client, reason):
    return f'slowwave_requests_shed_total{{reason="{reason}"}}' in client.get("/metrics").text


@pytest.fixture(scope="module")
def hasty(trained_home, tmp_path_factory):
    """A client of a service with little patience."""
    import shutil

    home = shutil.copytree(trained_home, tmp_path_factory.mktemp("hasty") / "home")
    with serving(home, request_timeout_s=0.3, max_connections=40) as client:
        yield client


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /recommend HT",
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Le",
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{",
        b"POST /events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
)
def test_a_request_that_does_not_arrive_in_time_is_ended(hasty, begun):
    with line_to(hasty) as line:
        line.sendall(begun)
        answer = said(line)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer
    assert b"x-request-id: " in answer
    assert shed(hasty, "slow_client")


def test_a_request_that_arrives_byte_by_byte_gains_no_time(hasty):
    begun = time.monotonic()
    with line_to(hasty) as line:

        def drip():
            for byte in QUESTION * 100:
                line.sendall(bytes([byte]))
                time.sleep(0.05)

        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            drip()
    assert time.monotonic() - begun < 5


def test_a_connection_on_which_nothing_comes_is_closed(hasty):
    with line_to(hasty) as line:
        assert said(line) == b""
    with line_to(hasty) as line:
        line.sendall(b"\r\n\r\n")
        assert said(line) == b""


EVENT = b'{"event_type":"click","user_id":"half","item_id":"i1"}'


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (QUESTION, b"200 OK"),
        (
            b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 54\r\n\r\n" + EVENT,
            b"202 Accepted",
        ),
        (b"DELETE /users/half HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK"),
    ],
)
def test_a_client_that_has_said_all_it_will_gets_its_answer_and_the_end(hasty, asked, status):
    with line_to(hasty) as line:
        line.sendall(asked)
        line.shutdown(socket.SHUT_WR)
        answer = said(line)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.endswith(b"}")


def test_a_client_that_ends_in_the_middle_of_a_request_gets_the_end(hasty):
    with line_to(hasty) as line:
        line.sendall(QUESTION[:-1])
        line.shutdown(socket.SHUT_WR)
        assert said(line) == b""


def test_a_client_that_vanishes_after_an_answer_is_let_go(tiny_home):
    with (
        process(tiny_home, SLOWWAVE_KEEP_ALIVE_S="1") as running,
        running.client() as client,
        line_to(client) as line,
    ):
        line.sendall(QUESTION)
        assert answered(line).startswith(b"HTTP/1.1 200 ")
        assert line.recv(1) == b""


def test_an_answered_connection_lives_on(hasty):
    with line_to(hasty) as line:
        for _ in range(3):
            line.sendall(QUESTION)
            assert line.recv(65_536).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.2)


def test_headers_without_end_are_refused(hasty):
    with line_to(hasty) as line:
        line.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
        try:
            for number in range(10_000):
                line.sendall(b"X-%d: %s\r\n" % (number, b"x" * 100))
        except OSError:
            pass
        else:
            pytest.fail("it took a megabyte of headers")
    assert shed(hasty, "head")


def test_a_long_body_is_no_long_head(hasty):
    events = [{"event_type": "click", "user_id": "u", "item_id": "i" * 200}] * 900
    assert hasty.post("/events", json={"events": events}).json()["accepted"] == 900


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /recommend HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /recommend HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" * 1_000,
    ],
)
def test_what_is_not_http_is_told_so_with_an_id(hasty, nonsense):
    with line_to(hasty) as line:
        line.sendall(nonsense)
        answer = said(line)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
    assert b"x-request-id: " in answer
    assert b"Traceback" not in answer
    assert hasty.get("/health/live").status_code == 200


def test_more_connections_than_may_be_are_told_to_come_back(hasty):
    wait_until(lambda: "slowwave_connections 1.0" in hasty.get("/metrics").text)
    with ExitStack() as stack:
        lines = [stack.enter_context(line_to(hasty)) for _ in range(60)]
        answers = [said(line) for line in lines]
    refused = [answer for answer in answers if answer]
    assert len(refused) >= 20
    for answer in refused:
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
        assert b'"code":"too_many_connections"' in answer
    wait_until(lambda: hasty.get("/health/ready").status_code == 200)


def test_a_client_that_takes_no_answers_is_given_up(hasty):
    """Questions are sent and sent, and what comes back is never read."""
    big = b'{"n":500,"explain":"brief"}'
    question = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
        len(big),
        big,
    )
    with line_to(hasty) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)

        def ask_on():
            for _ in range(100_000):
                line.sendall(question)

        with pytest.raises(OSError, match=r"Broken pipe|reset|timed out"):
            ask_on()
    assert hasty.get("/health/live").status_code == 200


def test_a_caller_that_asks_too_often_is_told_when_to_come_back(tiny_home):
    keys = make_keys(tiny_home)
    with serving(tiny_home, auth="on", rate_per_s=5) as client:

        def ask(scope, path="/recommend/u"):
            return client.get(path, headers={"X-API-Key": keys[scope]})

        answers = [ask("read") for _ in range(20)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 5 <= len(answers) - len(refused) <= 10
        assert {answer.json()["code"] for answer in refused} == {"too_many_requests"}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        # nobody else has to wait for that
        assert ask("admin", "/admin/jobs/none").status_code == 404
        time.sleep(0.5)
        assert ask("read").status_code == 200


def test_without_keys_an_address_is_a_caller(tiny_home):
    with serving(tiny_home, rate_per_s=1) as client:
        assert [client.get("/recommend/u").status_code for _ in range(2)] == [200, 429]
        assert client.get("/health/live").status_code == 200


def test_what_waited_too_long_is_turned_away_and_probes_are_not(tiny_home):
    """Many questions at once, each of which takes its time: the last ones wait too long."""
    body = b'{"n":500,"explain":"full","user_id":"u1"}'
    question = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    with serving(tiny_home, max_wait_ms=5) as client, ExitStack() as stack:
        lines = [stack.enter_context(line_to(client)) for _ in range(200)]
        probe_answers: list[int] = []
        probing = threading.Event()

        def probe():
            with httpx.Client(base_url=client.base_url) as own:
                while not probing.is_set():
                    probe_answers.append(own.get("/health/live").status_code)

        thread = threading.Thread(target=probe)
        thread.start()
        wait_until(lambda: probe_answers)
        for line in lines:
            line.sendall(question)
        answers = [answered(line) for line in lines]
        wait_until(lambda: len(probe_answers) > 10)
        probing.set()
        thread.join()
        shed_ones = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
        assert shed_ones
        assert all(a.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")) for a in answers)
        assert all(b'"code":"overloaded"' in answer for answer in shed_ones)
        assert all(b"retry-after: 1" in answer for answer in shed_ones)
        assert set(probe_answers) == {200}
        assert shed(client, "overloaded")
        wait_until(lambda: client.post("/recommend", json={}).status_code == 200)
