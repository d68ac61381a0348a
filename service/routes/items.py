"""Metadata of items, one by one and in batches."""

from typing import Any, Final

from fastapi import APIRouter, Depends
from pydantic import TypeAdapter
from pydantic_core import PydanticCustomError, to_json
from starlette.requests import Request
from starlette.responses import Response

from model.errors import BadInputError, NotFoundError
from model.interactions import ItemChange
from service.auth import may_read, may_write
from service.batches import batch_in, sifted
from service.changes import amended, batch_answer
from service.dependencies import body_as, body_of, services, written
from service.errors import ApiError, declared
from service.routes.bodies import takes
from service.schemas.fields import PathId
from service.schemas.metadata import (
    BatchOut,
    DeletedOut,
    ItemChangedOut,
    ItemIn,
    ItemMetadataOut,
    ItemOfBatchIn,
    ItemPatchIn,
    ItemsIn,
    check_span,
)

_ITEM: Final[dict[str, Any]] = {
    "attributes": {"title": "Fargo (1996)", "genres": ["Crime", "Drama"], "year": 1996},
    "available_from": "2026-02-01T00:00:00Z",
}
_PUT: Final = {"item": {"summary": "A film", "value": _ITEM}}
_PATCH: Final = {
    "hide": {"summary": "Out of every list", "value": {"hidden": True}},
    "price": {"summary": "Set one attribute", "value": {"attributes": {"price": 9.5}}},
}
_BATCH: Final = {
    "two": {
        "summary": "Two films",
        "value": {"items": [{"item_id": "50", **_ITEM}, {"item_id": "51"}]},
    }
}
_ADAPTER: Final = TypeAdapter(list[ItemOfBatchIn])

router = APIRouter(tags=["items"])
_reads, _writes = [Depends(may_read)], [Depends(may_write)]


@router.get(
    "/items/{item_id}",
    summary="What is known of an item",
    dependencies=_reads,
    responses=declared(404, 422),
)
async def get_item(request: Request, item_id: PathId) -> ItemMetadataOut:
    """An item that only events have named has no attributes."""
    item = services(request).log.item(item_id)
    if item is None:
        raise NotFoundError("no such item")
    return ItemMetadataOut(**_fields(item))


@router.put(
    "/items/{item_id}",
    summary="Describe an item",
    dependencies=_writes,
    responses={200: {"model": ItemChangedOut}, **declared(413, 422)},
    openapi_extra=takes(ItemIn, examples=_PUT),
)
async def put_item(request: Request, item_id: PathId) -> Response:
    """Replaces all that is known of the item; the next recommendation of any worker reflects it."""
    change = (await body_as(ItemIn, request)).to_change(item_id)
    appended = await written(request, [change])
    services(request).metrics.changes.labels("item").inc(appended.accepted)
    return _changed(change, appended.last_seq)


@router.patch(
    "/items/{item_id}",
    summary="Change some of an item's metadata",
    dependencies=_writes,
    responses={200: {"model": ItemChangedOut}, **declared(404, 413, 422)},
    openapi_extra=takes(ItemPatchIn, examples=_PATCH),
)
async def patch_item(request: Request, item_id: PathId) -> Response:
    """What is not named stays; two changes at once never undo each other."""
    patch = await body_as(ItemPatchIn, request)

    def amend(present: ItemChange | None) -> ItemChange:
        item = patch.applied_to(_there(present))
        try:
            check_span(item.available_from_ms, item.available_until_ms)
        except PydanticCustomError as error:
            raise BadInputError(error.message(), error.type) from None
        return item

    item, appended = await amended(request, "item", item_id, amend)
    return _changed(item, appended.last_seq)


@router.delete(
    "/items/{item_id}",
    summary="Delete an item",
    dependencies=_writes,
    responses={200: {"model": DeletedOut}, **declared(404, 422)},
)
async def delete_item(request: Request, item_id: PathId) -> Response:
    """It is in no list any more, and events that still name it do not bring it back."""

    def amend(present: ItemChange | None) -> ItemChange:
        return ItemChange(_there(present).item_id, None)

    _, appended = await amended(request, "item", item_id, amend)
    answer = {"item_id": item_id, "seq": appended.last_seq}
    return Response(to_json(answer), media_type="application/json")


@router.put(
    "/items",
    summary="Describe up to 1,000 items",
    dependencies=_writes,
    responses={200: {"model": BatchOut}, **declared(413, 422)},
    openapi_extra=takes(ItemsIn, examples=_BATCH),
)
async def put_items(request: Request) -> Response:
    """Replaces what is known of each; a bad one is listed, and its neighbours are taken."""
    raw, alone = batch_in(await body_of(request), "items")
    if alone:
        raise ApiError(422, "missing_items", "items is required")
    good, rejected = sifted(_ADAPTER, raw, whole="item")
    appended = await written(request, [item.to_change(item.item_id) for _, item in good])
    return batch_answer(request, "item", appended, rejected)


def _there(present: ItemChange | None) -> ItemChange:
    if present is None:
        raise NotFoundError("no such item")
    return present


def _fields(item: ItemChange) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "attributes": dict(item.attributes or {}),
        "hidden": item.hidden,
        "available_from": item.available_from_ms,
        "available_until": item.available_until_ms,
    }


def _changed(item: ItemChange, seq: int | None) -> Response:
    answer = ItemChangedOut(**_fields(item), seq=seq)
    return Response(answer.model_dump_json(), media_type="application/json")
