"""What is known of model versions."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from model.errors import CorruptBundleError
from service.auth import may_read
from service.dependencies import now_serving, services
from service.errors import declared
from service.schemas.fields import Name
from service.schemas.operations import ModelOut, ModelsOut, RefusedOut, ReportOut, VersionOut
from service.versions import Versions

router = APIRouter(tags=["models"], dependencies=[Depends(may_read)])
Version = Annotated[Name, Path(description="A published version, or a refused candidate.")]


@router.get("/models", summary="All model versions", responses=declared(409))
async def models(request: Request) -> ModelsOut:
    """Published versions and refused candidates, oldest first, and which of them serves."""
    running = services(request)
    registry, refused = running.versions.registry, running.models.refused
    return ModelsOut(
        current=registry.current(),
        serving=running.models.version,
        refused=None if refused is None else RefusedOut(version=refused.version, code=refused.code),
        versions=_listed(running.versions, registry.versions()),
        candidates=_listed(running.versions, registry.refused()),
    )


@router.get(
    "/models/current",
    summary="The manifest of the model that serves",
    responses={200: {"model": ModelOut}, **declared()},
)
async def current(request: Request) -> Response:
    """Where the version came from, what it was trained on and how it was judged."""
    return Response(to_json(now_serving(services(request)).manifest), media_type="application/json")


@router.get(
    "/models/{version}",
    summary="The manifest of a version",
    responses={200: {"model": ModelOut}, **declared(404, 409, 422)},
)
async def manifest(request: Request, version: Version) -> Response:
    """The same of any published version or refused candidate."""
    found = services(request).versions.manifest(version)
    return Response(to_json(found), media_type="application/json")


@router.get(
    "/models/{version}/report",
    summary="How a version was judged",
    responses={200: {"model": ReportOut}, **declared(404, 409, 422)},
)
async def report(request: Request, version: Version) -> Response:
    """Its metrics, and the verdict of every gate with its reason and interval."""
    found = services(request).versions.report(version)
    return Response(to_json(found), media_type="application/json")


def _listed(versions: Versions, names: list[str]) -> list[VersionOut]:
    """The versions whose manifests can be read; the others show when they are asked for."""
    found = []
    for name in names:
        try:
            manifest = versions.manifest(name)
        except CorruptBundleError:
            continue
        found.append(_short(name, manifest))
    return found


def _short(name: str, manifest: dict[str, Any]) -> VersionOut:
    return VersionOut(
        version=name,
        kind=str(manifest.get("kind", "unknown")),
        parent=manifest.get("parent"),
        created_at=int(manifest["created_ms"]),
        trained_through_seq=int(manifest.get("trained_through_seq", 0)),
    )
