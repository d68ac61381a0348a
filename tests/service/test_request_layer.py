import asyncio
import logging
import socket

import httpx
import pytest

from service.request_layer import Limits, RequestLayer
from service.telemetry import Metrics
from tests.service.conftest import serving, wait_until


def ask(app):
    """The layer's answer to one request for a small application."""
    layer = RequestLayer(
        app,
        metrics=Metrics(),
        limits=Limits(body_bytes=1_000, wait_s=1.0),
        model_version=lambda: "v0001-00000000",
        direct={},
        note=None,
    )

    async def get():
        transport = httpx.ASGITransport(layer)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/", headers={"X-Request-ID": "the-id"})

    return asyncio.run(get())


def test_a_bug_is_answered_without_its_inside_and_logged_with_it(caplog):
    async def broken(_scope, _receive, _send):
        raise ZeroDivisionError("the inside")

    answer = ask(broken)
    assert answer.status_code == 500
    assert answer.json() == {
        "detail": "an internal error occurred", "code": "internal_error", "request_id": "the-id",
    }  # fmt: skip
    assert answer.headers["X-Request-ID"] == "the-id"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert record.__dict__["fields"]["request_id"] == "the-id"


def test_a_bug_after_the_answer_began_breaks_the_connection():
    async def broken(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(broken)


def test_a_client_that_hangs_up_is_no_error(tiny_home, caplog):
    with serving(tiny_home) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as line:
            line.sendall(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        gone = 'slowwave_http_requests_total{method="POST",route="/events",status="499"} 1.0'
        wait_until(lambda: gone in client.get("/metrics").text)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
