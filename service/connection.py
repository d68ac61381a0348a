"""A client's connection: how much of it there may be, and how long it may take.

uvicorn's HTTP protocol bounds none of that: a client could hold any number of connections
open for ever, send one byte a minute, or headers without end.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from prometheus_client import Counter, Gauge
from pydantic_core import to_json
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

STATE: Final = "connection_limits"
"""Under this name the application's state holds the `ConnectionLimits`."""

_MOST_HEAD_BYTES: Final = 65_536


@dataclass(frozen=True)
class ConnectionLimits:
    """What connections may take, and where they are counted.

    Attributes:
      most: Connections at a time; more are told to come back.
      patience_s: Within this time a whole request must arrive, and an answer be taken.
      shed: Counts what was turned away, by reason.
      open_now: Shows the number of connections.
    """

    most: int
    patience_s: float
    shed: Counter
    open_now: Gauge


class Connection(HttpToolsProtocol):
    """uvicorn's connection with limits to it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits: ConnectionLimits = app_state[STATE]
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._arrived_s = 0.0
        self._head_bytes = 0
        self._is_receiving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection, or turns it away when there are too many."""
        super().connection_made(transport)
        self._limits.open_now.set(len(self.connections))
        if len(self.connections) > self._limits.most:
            self._turn_away("connections", 503, "too_many_connections", "too many connections")
        else:
            self._hurry()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the timers with the connection."""
        super().connection_lost(exc)
        self._limits.open_now.set(len(self.connections))
        self._rest()
        self.resume_writing()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has said all it will; an answer that is on its way still reaches it."""
        answering = self._is_answering() and not self._is_receiving
        if answering:
            self.cycle.keep_alive = False
        return answering

    def data_received(self, data: bytes) -> None:
        """Takes what came; starts the clock while a request is not complete."""
        self._arrived_s = time.perf_counter()
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_receiving and self._head_bytes > _MOST_HEAD_BYTES:
            self._turn_away("head", 431, "headers_too_large", "the request's head is too large")
        elif self._is_receiving or not self._is_answering():
            self._hurry()
        else:
            self._rest()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_receiving = True
        self.scope["state"]["arrived_s"] = self._arrived_s

    def on_headers_complete(self) -> None:
        """Its head is there; what follows is the body, which has a limit of its own."""
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of its body is there."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._head_bytes = 0
        self._is_receiving = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not take its answer."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(self._limits.patience_s, self._give_up)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets the same error body as everything else."""
        self._write(400, "invalid_http", msg)

    # uvicorn keeps None for the request there is not yet, and says otherwise in its types

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _has_begun_to_answer(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def _hurry(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._limits.patience_s, self._too_slow)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self._is_receiving and not self._has_begun_to_answer():
            self._turn_away("slow_client", 408, "request_timeout", "the request came too slowly")
        else:
            self.transport.close()

    def _give_up(self) -> None:
        self._stall = None
        self._limits.shed.labels("slow_client").inc()
        self.transport.abort()

    def _turn_away(self, reason: str, status: int, code: str, detail: str) -> None:
        self._limits.shed.labels(reason).inc()
        self._write(status, code, detail)

    def _write(self, status: int, code: str, detail: str) -> None:
        """Answers outside of the application, and closes."""
        request_id = os.urandom(16).hex()
        body = to_json({"detail": detail, "code": code, "request_id": request_id})
        retry = "retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {request_id}\r\n{retry}"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
