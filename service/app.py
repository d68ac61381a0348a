"""The application: its parts, their start and end, and what errors look like outside."""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from importlib.metadata import version
from multiprocessing.connection import wait
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from model.errors import SlowwaveError
from model.interactions import EventRules
from model.storage.event_log import open_log
from model.workspace import load_config
from service.connection import STATE as CONNECTION_LIMITS
from service.connection import ConnectionLimits
from service.dependencies import Services, request_id
from service.direct_route import DirectRoute
from service.errors import answer_to, error_response, explained
from service.garbage import freeze_what_stays
from service.jobs import Jobs
from service.key_file import KeyFile
from service.log_writer import LogWriter
from service.logs import NoteRequest, flush_lines, log_to_stderr
from service.model_holder import ModelHolder
from service.page_store import PageStore
from service.rates import Rates
from service.replies import Replies
from service.request_layer import Limits, RequestLayer
from service.routes import (
    admin,
    events,
    health,
    items,
    lists,
    metrics,
    models,
    pages,
    recommend,
    users,
)
from service.schemas.events import EventIn, EventsIn
from service.schemas.metadata import ItemIn, ItemPatchIn, ItemsIn, UserIn, UserPatchIn, UsersIn
from service.schemas.operations import ConsolidateIn, RollbackIn
from service.schemas.recommending import RecommendIn
from service.settings import Settings, load_settings
from service.telemetry import Metrics
from service.versions import Versions

_ABOUT: Final = (
    "Recommendations that remember at once and learn overnight. "
    "An event that was acknowledged is reflected by the next recommendation."
)

# A busy event loop gives the interpreter lock back this often instead of every 5 ms:
# the thread that writes events must not wait for it after every statement.
_SWITCH_S: Final = 0.0001


def create_app(settings: Settings, *, note: NoteRequest | None = None) -> FastAPI:
    """The service as an ASGI application; nothing is opened before it starts.

    Args:
      settings: How it shall be.
      note: Where answered requests are logged; None for nowhere.

    Raises:
      BadInputError: If the workspace's configuration file is wrong.
    """
    config = load_config(settings.workspace.config_path)
    numbers = Metrics()
    holder = ModelHolder(settings, config, numbers)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        settings.home.mkdir(parents=True, exist_ok=True)
        running = _started(settings, config.events, holder, numbers)
        app.state.services = running
        await holder.start()
        following = asyncio.create_task(holder.follow())
        yield {CONNECTION_LIMITS: _connection_limits(settings, numbers)}
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await running.writer.close()
        await holder.stop()
        running.pages.close()
        running.log.close()
        flush_lines()

    app = FastAPI(
        title="Slowwave",
        description=_ABOUT,
        version=version("slowwave"),
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        exception_handlers={
            HTTPException: _on_purpose,
            RequestValidationError: _invalid,
            SlowwaveError: _on_purpose,
            OSError: _on_purpose,
        },
    )
    # As they are and in front: an included router would match every request twice.
    groups = (recommend, events, lists, items, users, health, metrics, models, admin, pages)
    own = [route for group in groups for route in group.router.routes]
    app.router.routes[:0] = own
    app.add_middleware(
        RequestLayer,
        metrics=numbers,
        limits=Limits(settings.max_body_bytes, settings.max_wait_ms / 1_000),
        model_version=lambda: holder.version,
        direct=_direct(own),
        note=note,
    )
    app.openapi = _openapi(app, keys=settings.auth == "on")  # type: ignore[method-assign]
    return app


def _started(
    settings: Settings, rules: EventRules, holder: ModelHolder, numbers: Metrics
) -> Services:
    """The running parts, which belong to the event loop that calls."""
    workspace = settings.workspace
    log = open_log(workspace.log_path)
    return Services(
        models=holder,
        versions=Versions(holder.registry),
        log=log,
        writer=LogWriter(log, limit=settings.event_queue_entries, metrics=numbers),
        rules=rules,
        keys=KeyFile(workspace.keys_path) if settings.auth == "on" else None,
        rates=Rates(settings.rate_per_s),
        replies=Replies(),
        pages=PageStore(workspace.memory / "pages.db"),
        jobs=Jobs(workspace),
        metrics=numbers,
    )


def _connection_limits(settings: Settings, numbers: Metrics) -> ConnectionLimits:
    return ConnectionLimits(
        settings.max_connections, settings.request_timeout_s, numbers.shed, numbers.connections
    )


def _direct(routes: list[BaseRoute]) -> dict[tuple[str, str], DirectRoute]:
    found = [route for route in routes if isinstance(route, DirectRoute)]
    return {(method, route.path): route for route in found for method in route.methods or ()}


def app_from_environment() -> FastAPI:
    """What each serving process runs: settings from the environment, logs as JSON lines."""
    settings = load_settings()
    threading.Thread(target=_end_with_parent, name="parent-watcher", daemon=True).start()
    note = log_to_stderr(settings.log_level)
    sys.setswitchinterval(_SWITCH_S)
    freeze_what_stays()
    return create_app(settings, note=note)


def _end_with_parent() -> None:
    """A worker whose first process was killed would keep the port from the next start."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


async def _on_purpose(request: Request, error: Exception) -> Response:
    answer = answer_to(error, request_id(request))
    if answer is None:
        raise error
    if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # the router knows the first route of a path alone
        answer.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request) -> set[str]:
    """What may be done with the path of a request."""
    routes = [each for each in request.app.routes if isinstance(each, Route)]
    met = [each for each in routes if each.path_regex.match(request.scope["path"])]
    return {method for route in met for method in route.methods or ()}


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    # The first part says where it stood: in the path or in the query string.
    first["loc"] = first["loc"][1:]
    return error_response(422, *explained(first), request_id(request))


BODIES: Final[tuple[type[BaseModel], ...]] = (
    RecommendIn, EventIn, EventsIn, ItemIn, ItemPatchIn, ItemsIn, UserIn, UserPatchIn, UsersIn,
    ConsolidateIn, RollbackIn,
)  # fmt: skip


def _openapi(app: FastAPI, *, keys: bool) -> Callable[[], dict[str, Any]]:
    """The schema, with the models of bodies that routes read by themselves.

    Args:
      app: What it describes.
      keys: Whether calls need an API key here.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            _, bodies = models_json_schema(
                [(body, "validation") for body in BODIES],
                ref_template="#/components/schemas/{model}",
            )
            schema["components"]["schemas"].update(bodies["$defs"])
            if not keys:
                _without_keys(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    return openapi


def _without_keys(schema: dict[str, Any]) -> None:
    del schema["components"]["securitySchemes"]
    for methods in schema["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
            for status in ("401", "403"):
                operation["responses"].pop(status, None)
