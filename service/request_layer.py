"""The outermost layer: gives every request its id, log line and timing, and sheds overload."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.direct_route import DirectRoute
from service.errors import ApiError, answer_to, error_response
from service.logs import NoteRequest, RequestLine
from service.schemas.fields import ENCODED_SLASH
from service.telemetry import Metrics

_CLOSED_BY_CLIENT: Final = 499
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# What must answer also when the service turns others away.
_PROBES: Final = ("/health/", "/metrics")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take.

    Attributes:
      body_bytes: A larger body is refused.
      wait_s: A request that waited longer for its turn is turned away: answering it would
        only keep the next ones waiting.
    """

    body_bytes: int
    wait_s: float


class _Answer:
    """Sends an answer with the headers that all have in common, and notes its status."""

    __slots__ = ("_model_version", "_send", "_state", "status")

    def __init__(
        self, send: Send, state: dict[str, Any], model_version: Callable[[], str | None]
    ) -> None:
        self.status = 0
        self._send = send
        self._state = state
        self._model_version = model_version

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"]
            request_id: str = self._state["request_id"]
            # A client may choose any text in the body of a request; a header holds ASCII.
            headers.append((b"x-request-id", request_id.encode("ascii", "backslashreplace")))
            if (version := self._model_version()) is not None:
                headers.append((b"x-model-version", version.encode()))
        await self._send(message)


class RequestLayer:
    """Request ids, headers, limits, timing, one log line a request.

    It also is the last resort: a bug becomes a 500 with an id and a logged traceback.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        limits: Limits,
        model_version: Callable[[], str | None],
        direct: Mapping[tuple[str, str], DirectRoute],
        note: NoteRequest | None,
    ) -> None:
        """The layer around an application.

        Args:
          app: What answers.
          metrics: Where requests are counted.
          limits: What one request may take.
          model_version: The version that serves, for the header.
          direct: Routes, by method and path, that are called without further ado.
          note: Where answered requests are logged; None for nowhere.
        """
        self._app = app
        self._metrics = metrics
        self._limits = limits
        self._model_version = model_version
        self._direct = direct
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection's worth of ASGI messages."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        state: dict[str, Any] = scope.setdefault("state", {})
        arrived = state.setdefault("arrived_s", started)
        state["request_id"], body_bytes = _read_headers(scope["headers"])
        answer = _Answer(send, state, self._model_version)
        try:
            self._check_wait(scope["path"], started - arrived)
            if body_bytes is None or body_bytes > self._limits.body_bytes:
                receive = self._limited(receive, body_bytes or 0)
            await self._answer(scope, receive, answer)
        except ClientDisconnect:
            answer.status = answer.status or _CLOSED_BY_CLIENT
        except Exception as error:
            if answer.status:  # it has begun: the connection must break, not look complete
                logger.exception("request failed", extra={"fields": _told(state)})
                raise
            await _refusal(error, state)(scope, receive, answer)
        finally:
            self._record(scope, state["request_id"], answer.status, time.perf_counter() - arrived)

    async def _answer(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        route = self._direct.get((scope["method"], scope["path"]))
        if route is not None:
            scope["route"] = route
            await route.answer(scope, receive, answer)
            return
        if b"%2" in scope["raw_path"]:
            scope["path"] = _with_slashes_kept(scope["raw_path"])
        await self._app(scope, receive, answer)

    def _check_wait(self, path: str, waited_s: float) -> None:
        if waited_s > self._limits.wait_s and not path.startswith(_PROBES):
            self._metrics.shed.labels("overloaded").inc()
            raise ApiError(503, "overloaded", "too many requests wait already", retry_after_s=1)

    def _limited(self, receive: Receive, announced_bytes: int) -> Receive:
        """`receive` that refuses a body once it is known to be too large."""
        limit = self._limits.body_bytes
        received_bytes = 0

        async def limited() -> Message:
            nonlocal received_bytes
            message: Message = {}
            if announced_bytes <= limit:
                message = await receive()
                received_bytes += len(message.get("body", b""))
            if max(announced_bytes, received_bytes) > limit:
                raise ApiError(413, "body_too_large", f"the body may have at most {limit} bytes")
            return message

        return limited

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        # The route's pattern, not the path: paths hold user ids, and there are too many of them.
        route = getattr(scope.get("route"), "path_format", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.count_request(method, route, status, seconds)
        if self._note is not None:
            self._note(RequestLine(time.time(), request_id, method, route, status, seconds))


def _refusal(error: Exception, state: dict[str, Any]) -> Response:
    """What is answered when a direct route raises, or when anything raises a bug."""
    answer = answer_to(error, state["request_id"])
    if answer is not None:
        return answer
    logger.error("request failed", exc_info=error, extra={"fields": _told(state)})
    return error_response(500, "internal_error", "an internal error occurred", state["request_id"])


def _told(state: dict[str, Any]) -> dict[str, Any]:
    return {"request_id": state["request_id"]}


def _with_slashes_kept(raw_path: bytes) -> str:
    """The path with its encoded slashes told from those that divide it."""
    path = raw_path.decode("ascii")
    return unquote(path.replace("%2F", ENCODED_SLASH).replace("%2f", ENCODED_SLASH))


def _read_headers(headers: list[tuple[bytes, bytes]]) -> tuple[str, int | None]:
    """The request's id, made where none fit for a header came, and the announced body size."""
    request_id, body_bytes = "", None
    chunked = False
    for name, value in headers:
        if name == b"x-request-id":
            request_id = value.decode("latin-1")
        elif name == b"content-length" and value.isdigit():
            body_bytes = int(value)
        elif name == b"transfer-encoding":
            chunked = True
    if not (0 < len(request_id) <= 128 and request_id.isascii() and request_id.isprintable()):
        request_id = os.urandom(16).hex()
    return request_id, None if chunked else body_bytes
