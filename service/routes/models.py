"""What is known of the model that serves."""

from fastapi import APIRouter, Depends
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from service.auth import may_read
from service.dependencies import now_serving
from service.errors import declared
from service.schemas import ModelOut

router = APIRouter(tags=["models"], dependencies=[Depends(may_read)])


@router.get(
    "/models/current",
    summary="The manifest of the model that serves",
    responses={200: {"model": ModelOut}, **declared(401, 403, 503)},
)
async def current(request: Request) -> Response:
    """Where the version came from, what it was trained on and how it was judged."""
    return Response(to_json(now_serving(request).manifest), media_type="application/json")
