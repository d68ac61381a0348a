"""The application: its parts, their start and end, and what errors look like outside."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from model.errors import LogUnavailableError
from model.storage.event_log import open_log
from model.workspace import load_config
from service.dependencies import Services, request_id
from service.errors import ApiError, error_response, explained
from service.event_writer import EventWriter
from service.key_file import KeyFile
from service.logs import log_to_stderr
from service.model_holder import ModelHolder
from service.routes import events, health, metrics, models, recommend
from service.schemas import EventIn, EventsIn, RecommendIn
from service.settings import Settings, load_settings
from service.telemetry import Metrics, RequestLayer

_ABOUT: Final = (
    "Recommendations that remember at once and learn overnight. "
    "An event that was acknowledged is reflected by the next recommendation."
)

# A busy event loop gives the interpreter lock back this often instead of every 5 ms:
# the thread that writes events must not wait for it after every statement.
_SWITCH_S: Final = 0.0001


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application; nothing is opened before it starts.

    Raises:
      BadInputError: If the workspace's configuration file is wrong.
    """
    config = load_config(settings.workspace.config_path)
    numbers = Metrics()
    holder = ModelHolder(settings, config, numbers)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings.home.mkdir(parents=True, exist_ok=True)
        keys = KeyFile(settings.workspace.keys_path) if settings.auth == "on" else None
        log = open_log(settings.workspace.log_path)
        writer = EventWriter(log, limit=settings.event_queue_entries, metrics=numbers)
        app.state.services = Services(holder, writer, config.events, keys, numbers)
        await holder.start()
        following = asyncio.create_task(holder.follow())
        yield
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await writer.close()
        await holder.stop()
        log.close()

    app = FastAPI(
        title="Slowwave",
        description=_ABOUT,
        version=version("slowwave"),
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        exception_handlers={
            HTTPException: _http_error,
            RequestValidationError: _invalid,
            LogUnavailableError: _log_unavailable,
        },
    )
    # As they are and in front: an included router would match every request twice, and
    # routes are tried in order, so the busiest comes first.
    groups = (recommend, events, health, metrics, models)
    app.router.routes[:0] = [route for group in groups for route in group.router.routes]
    app.add_middleware(
        RequestLayer,
        metrics=numbers,
        max_body_bytes=settings.max_body_bytes,
        model_version=lambda: holder.version,
    )
    app.openapi = _openapi(app)  # type: ignore[method-assign]
    return app


def app_from_environment() -> FastAPI:
    """What each serving process runs: settings from the environment, logs as JSON lines."""
    settings = load_settings()
    log_to_stderr(settings.log_level)
    sys.setswitchinterval(_SWITCH_S)
    return create_app(settings)


async def _http_error(request: Request, error: HTTPException) -> Response:
    code = error.code if isinstance(error, ApiError) else _CODES.get(error.status_code, "refused")
    return error_response(error.status_code, code, error.detail, request_id(request), error.headers)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    # The first part says where it stood: in the path or in the query string.
    first["loc"] = first["loc"][1:]
    return error_response(422, *explained(first), request_id(request))


async def _log_unavailable(request: Request, error: LogUnavailableError) -> Response:
    detail = "the event log cannot be used now"
    return error_response(503, error.code, detail, request_id(request), {"Retry-After": "1"})


_CODES: Final = {404: "not_found", 405: "method_not_allowed"}


def _openapi(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The schema, with the models of bodies that the busy routes read by themselves."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            _, bodies = models_json_schema(
                [(RecommendIn, "validation"), (EventIn, "validation"), (EventsIn, "validation")],
                ref_template="#/components/schemas/{model}",
            )
            schema["components"]["schemas"].update(bodies["$defs"])
            app.openapi_schema = schema
        return app.openapi_schema

    return openapi
