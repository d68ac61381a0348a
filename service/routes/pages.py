"""Pages for people: the documentation of the calls, and the console. They hold no data.

Everything comes from this service: no other host is asked for anything.
"""

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from model.errors import NotFoundError

_FOLDER: Final = Path(__file__).resolve().parents[1] / "console"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src data:; style-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FILES: Final = {path.name: path for path in _FOLDER.iterdir() if path.suffix in _TYPES}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    """Every call with its limits, and a form to try it."""
    return _page("docs.html")


@router.get("/console")
async def console() -> Response:
    """Look and try: lists, memory, models, numbers."""
    return _page("console.html")


@router.get("/console/{name}")
async def asset(request: Request, name: str) -> Response:
    """What the pages are made of."""
    if name not in _FILES:
        raise NotFoundError(f"no such page as {request.url.path[:60]}")
    return _page(name)


def _page(name: str) -> Response:
    path = _FILES[name]
    return Response(path.read_bytes(), 200, _HEADERS, _TYPES[path.suffix])
