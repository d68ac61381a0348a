"""Operations: a night, a roll-back, and what has become of them."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from service.auth import may_operate
from service.dependencies import body_as, clock_ms, services
from service.errors import ApiError, declared
from service.routes.bodies import takes
from service.schemas.fields import Name
from service.schemas.operations import ConsolidateIn, JobOut, RollbackIn, RollbackOut

router = APIRouter(prefix="/admin", tags=["operations"], dependencies=[Depends(may_operate)])

_NIGHT: Final = {"dry": {"summary": "Judge, publish nothing", "value": {"dry_run": True}}}
_BACK: Final = {"back": {"summary": "The version that served before", "value": {}}}


@router.post(
    "/consolidate",
    status_code=202,
    summary="Run a night",
    responses={202: {"model": JobOut}, **declared(409, 413, 422)},
    openapi_extra=takes(ConsolidateIn, examples=_NIGHT),
)
async def consolidate(request: Request) -> Response:
    """Starts the nightly job in a process of its own; ask for what became of it by its id."""
    asked = await body_as(ConsolidateIn, request)
    jobs = services(request).jobs
    if not jobs.can_train():
        detail = "the parts that train are not installed here: run the night where they are"
        raise ApiError(409, "training_not_installed", detail)
    arguments = ["--dry-run"] if asked.dry_run else []
    started = await asyncio.to_thread(jobs.start, "consolidate", arguments, clock_ms())
    answer = _out(started)
    headers = {"Location": f"/admin/jobs/{answer.job_id}"}
    return Response(answer.model_dump_json(), 202, headers, "application/json")


@router.get("/jobs/{job_id}", summary="What has become of a job", responses=declared(404, 422))
async def job(
    request: Request, job_id: Annotated[Name, Path(description="From the answer that began it.")]
) -> JobOut:
    """Any worker knows, also after a restart."""
    return _out(services(request).jobs.get(job_id, clock_ms()))


@router.post(
    "/rollback",
    summary="Serve an older version again",
    responses={200: {"model": RollbackOut}, **declared(404, 409, 413, 422)},
    openapi_extra=takes(RollbackIn, examples=_BACK),
)
async def rollback(request: Request) -> Response:
    """Verifies the version's files first. Every worker follows between two requests."""
    asked = await body_as(RollbackIn, request)
    registry = services(request).versions.registry
    before = services(request).models.version
    now = await asyncio.to_thread(registry.rollback, asked.version)
    answer = RollbackOut(current=now, before=before)
    return Response(answer.model_dump_json(), media_type="application/json")


def _out(job: dict[str, Any]) -> JobOut:
    moments = {f"{name}_at": job.pop(f"{name}_ms") for name in ("created", "started", "finished")}
    return JobOut(**job, **moments)
