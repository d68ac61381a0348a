"""What routes work with, and how they get at it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from model.interactions import Entry, EventRules
from model.storage.event_log import Appended, EventLog
from service.errors import ApiError, refusal
from service.jobs import Jobs
from service.key_file import KeyFile
from service.log_writer import LogWriter, QueueFullError
from service.model_holder import ModelHolder, Serving
from service.page_store import PageStore
from service.rates import Rates
from service.replies import Replies
from service.telemetry import Metrics
from service.versions import Versions

_T = TypeVar("_T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Services:
    """The running parts of one application.

    Attributes:
      models: What serves.
      versions: What is published.
      log: The event log; only the event loop's thread reads from it.
      writer: What appends to the log.
      rules: What events mean.
      keys: The known API keys; None when auth is off.
      rates: How often callers may call.
      replies: What was recommended lately.
      pages: Lists that are paged through.
      jobs: What operators start.
      metrics: Where all is counted.
    """

    models: ModelHolder
    versions: Versions
    log: EventLog
    writer: LogWriter
    rules: EventRules
    keys: KeyFile | None
    rates: Rates
    replies: Replies
    pages: PageStore
    jobs: Jobs
    metrics: Metrics


def services(request: HTTPConnection) -> Services:
    """The running parts of the application that got this request."""
    running: Services = request.app.state.services
    return running


def now_serving(running: Services) -> Serving:
    """The model that answers now; good until the next `await`.

    Raises:
      ApiError: 503 while no model serves.
    """
    models = running.models
    if models.serving is not None:
        return models.serving
    detail = "no model is published yet"
    if models.refused is not None:
        detail = f"model {models.refused.version} cannot be loaded: {models.refused.code}"
    raise ApiError(503, "no_model", detail, retry_after_s=5)


def clock_ms() -> int:
    """The present in milliseconds since 1970-01-01 UTC: the only clock requests are told by."""
    return time.time_ns() // 1_000_000


def request_id(request: HTTPConnection) -> str:
    """The id that the request came with or was given."""
    found: str = request.scope["state"]["request_id"]
    return found


async def body_of(request: Request) -> bytes:
    """The request's body, which mostly is there in one piece.

    Raises:
      ClientDisconnect: If the client has gone.
    """
    message = await request.receive()
    pieces = [message.get("body", b"")]
    while message.get("more_body"):
        message = await request.receive()
        pieces.append(message.get("body", b""))
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def body_as(schema: type[_T], request: Request) -> _T:
    """The request's body, parsed and checked in one pass.

    Raises:
      ApiError: 422 when the body is not what the schema says.
    """
    try:
        return schema.model_validate_json(await body_of(request))
    except ValidationError as error:
        raise refusal(error) from None


async def written(request: HTTPConnection, entries: Sequence[Entry]) -> Appended:
    """Appends entries to the log; they are durable on return.

    Raises:
      ApiError: 503 when too many wait for the disk already.
    """
    if not entries:
        return Appended(0, (), None, None)
    try:
        return await services(request).writer.append(entries, clock_ms())
    except QueueFullError:
        detail = "too many events wait to be written"
        raise ApiError(503, "events_waiting", detail, retry_after_s=1) from None
