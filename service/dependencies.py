"""What routes work with, and how they get at it."""

import time
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection, Request

from model.interactions import EventRules
from service.errors import ApiError, refusal
from service.event_writer import EventWriter
from service.key_file import KeyFile
from service.model_holder import ModelHolder, Serving
from service.telemetry import Metrics

_T = TypeVar("_T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Services:
    """The running parts of one application.

    Attributes:
      keys: The known API keys; None when auth is off.
    """

    models: ModelHolder
    events: EventWriter
    rules: EventRules
    keys: KeyFile | None
    metrics: Metrics


def services(request: HTTPConnection) -> Services:
    """The running parts of the application that got this request."""
    running: Services = request.app.state.services
    return running


def now_serving(request: HTTPConnection) -> Serving:
    """The model that answers now; good until the next `await`.

    Raises:
      ApiError: 503 while no model serves.
    """
    models = services(request).models
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


async def body_as(schema: type[_T], request: Request) -> _T:
    """The request's body, parsed and checked in one pass.

    Raises:
      ApiError: 422 when the body is not what the schema says.
    """
    try:
        return schema.model_validate_json(await request.body())
    except ValidationError as error:
        raise refusal(error) from None
