"""Numbers for Prometheus."""

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from service.auth import may_read
from service.dependencies import services
from service.errors import declared

router = APIRouter(tags=["metrics"], dependencies=[Depends(may_read)])


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **declared(),
    },
)
async def metrics(request: Request) -> Response:
    """The sum over all workers, whichever of them answers."""
    return Response(services(request).metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
