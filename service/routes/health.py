"""Is the process alive, and can it do its work."""

from fastapi import APIRouter
from starlette.requests import Request

from service.dependencies import now_serving, services
from service.errors import declared
from service.schemas.operations import LiveOut, ReadyOut, RefusedOut

router = APIRouter(tags=["health"])


@router.get("/health/live", summary="The process answers")
async def live() -> LiveOut:
    """Says that the process runs; needs no key."""
    return LiveOut(status="live")


@router.get(
    "/health/ready", summary="The service can do its work", responses=declared(503, keyless=True)
)
async def ready(request: Request) -> ReadyOut:
    """Says whether a model serves and the event log can be read; needs no key.

    `refused` names a newly published version that could not be loaded; the version before
    it keeps serving.
    """
    recommender = now_serving(services(request)).recommender
    refused = services(request).models.refused
    return ReadyOut(
        status="ready",
        model_version=recommender.version,
        memory_as_of=recommender.catch_up(),
        refused=None if refused is None else RefusedOut(version=refused.version, code=refused.code),
    )
