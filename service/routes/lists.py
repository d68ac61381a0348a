"""Lists that are not personal: items like an item, and what is popular."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from model.errors import NotFoundError
from model.neighbours import Ranked, popular, similar
from service.auth import may_read
from service.dependencies import clock_ms, now_serving, request_id, services
from service.errors import declared
from service.schemas.fields import PathId
from service.schemas.recommending import PopularParams, RankedOut, SimilarParams

router = APIRouter(tags=["lists"], dependencies=[Depends(may_read)])


@router.get(
    "/items/{item_id}/similar",
    summary="Items like an item",
    responses={200: {"model": RankedOut}, **declared(404, 422)},
)
async def similar_items(
    request: Request, item_id: PathId, params: Annotated[SimilarParams, Query()]
) -> Response:
    """By what people do, by what the attributes say, or by both."""
    recommender = now_serving(services(request)).recommender
    if services(request).log.item(item_id) is None:
        raise NotFoundError("no such item")
    return _answer(request, similar(recommender, item_id, params.by, params.n, clock_ms()))


@router.get(
    "/popular",
    summary="What is popular now",
    responses={200: {"model": RankedOut}, **declared(422)},
)
async def popular_items(request: Request, params: Annotated[PopularParams, Query()]) -> Response:
    """Successes by their weight, a success counting half at the age that the window names."""
    recommender = now_serving(services(request)).recommender
    return _answer(request, popular(recommender, params.window, params.n, clock_ms()))


def _answer(request: Request, found: Ranked) -> Response:
    recommender = now_serving(services(request)).recommender
    columns = zip(found.item_ids, found.scores, strict=True)
    answer = {
        "request_id": request_id(request),
        "model_version": recommender.version,
        "memory_as_of": recommender.as_of,
        "fallback": found.fallback,
        "items": [
            {"item_id": item_id, "rank": rank, "score": score}
            for rank, (item_id, score) in enumerate(columns, 1)
        ],
    }
    return Response(to_json(answer), media_type="application/json")
