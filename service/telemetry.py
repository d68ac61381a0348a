"""Metrics, and the outermost layer that gives every request its id, log line and timing."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ApiError, error_response

MULTIPROCESS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Set, before anything is imported, to a folder that several workers share their metrics in."""

_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_EVENTS: Final = (1, 10, 100, 1_000, 10_000)
_CLOSED_BY_CLIENT: Final = 499

logger = logging.getLogger(__name__)


class Metrics:
    """The service's Prometheus metrics; with several workers any of them shows the sum."""

    def __init__(self) -> None:
        disable_created_metrics()
        registry = CollectorRegistry()
        self._registry = registry
        self._requests = Counter(
            "slowwave_http_requests_total",
            "Requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "slowwave_http_request_seconds",
            "Time from request to answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.recommendations = Counter(
            "slowwave_recommendations_total",
            "Lists recommended, by the fallback that answered (none: the model itself).",
            ["fallback"],
            registry=registry,
        )
        # Looking a labelled child up costs more than counting; each is looked up once.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._define_events(registry)
        self._define_model(registry)

    def _define_events(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "slowwave_events_total",
            "Events received, by result: accepted, duplicate or rejected.",
            ["result"],
            registry=registry,
        )
        self.rejections = Counter(
            "slowwave_event_rejections_total", "Events refused.", ["code"], registry=registry
        )
        self.commit_seconds = Histogram(
            "slowwave_event_commit_seconds",
            "Time of a durable append to the event log.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.commit_events = Histogram(
            "slowwave_event_commit_events",
            "Events in a durable append to the event log.",
            buckets=_EVENTS,
            registry=registry,
        )
        self.waiting = Gauge(
            "slowwave_events_waiting",
            "Events that wait for the disk.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def _define_model(self, registry: CollectorRegistry) -> None:
        self.model_serving = Gauge(
            "slowwave_model_serving",
            "Workers that serve this model version.",
            ["version"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.memory_as_of = Gauge(
            "slowwave_memory_as_of",
            "Last log position reflected, of the worker that is furthest behind.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.model_swaps = Counter(
            "slowwave_model_swaps_total", "Model versions taken into service.", registry=registry
        )
        self.model_failures = Counter(
            "slowwave_model_load_failures_total",
            "Published model versions that could not be loaded.",
            ["code"],
            registry=registry,
        )

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        children = self._children.get((method, route, status))
        if children is None:
            children = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(route),
            )
            self._children[method, route, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        folder = os.environ.get(MULTIPROCESS_DIR)
        if folder is None:
            return generate_latest(self._registry)
        _forget_dead_workers(Path(folder))
        shared = CollectorRegistry()
        MultiProcessCollector(shared, folder)
        return generate_latest(shared)


def _forget_dead_workers(folder: Path) -> None:
    """A worker that was killed cannot take its own gauges down."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = path.stem.rsplit("_", 1)[1]
        if not Path("/proc", pid).exists() and Path("/proc/self").exists():
            mark_process_dead(int(pid), str(folder))


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
    """Outermost layer: request ids, headers, the body limit, timing, one log line a request.

    It also is the last resort: a bug becomes a 500 with an id and a logged traceback.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        max_body_bytes: int,
        model_version: Callable[[], str | None],
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._model_version = model_version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection's worth of ASGI messages."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"], body_bytes = _read_headers(scope["headers"])
        if body_bytes is None or body_bytes > self._max_body_bytes:
            receive = self._limited(receive, body_bytes or 0)
        answer = _Answer(send, state, self._model_version)
        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            answer.status = answer.status or _CLOSED_BY_CLIENT
        except Exception:
            logger.exception("request failed", extra={"fields": dict(state)})
            if answer.status:  # it has begun: the connection must break, not look complete
                raise
            await _internal_error(state["request_id"])(scope, receive, answer)
        finally:
            self._record(scope, state["request_id"], answer.status, time.perf_counter() - started)

    def _limited(self, receive: Receive, announced_bytes: int) -> Receive:
        """`receive` that refuses a body once it is known to be too large."""
        limit = self._max_body_bytes
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
        if logger.isEnabledFor(logging.INFO):
            fields = {
                "request_id": request_id,
                "method": method,
                "route": route,
                "status": status,
                "ms": round(seconds * 1_000, 3),
            }
            logger.info("request", extra={"fields": fields})


def _internal_error(request_id: str) -> Response:
    return error_response(500, "internal_error", "an internal error occurred", request_id)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


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
