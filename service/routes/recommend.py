"""Recommendations. `POST /recommend` is the busiest call: it does no step twice."""

import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from model.acceptance import check_moment
from model.errors import BadInputError
from model.request import Recommendation
from service.auth import may_read
from service.dependencies import body_as, clock_ms, now_serving, request_id, services
from service.direct_route import DirectRoute
from service.errors import ApiError, declared
from service.schemas import Id, RecommendIn, RecommendOut, RecommendParams

# A moment to recommend for may lie ahead: what to show tomorrow morning.
_AHEAD_MS: Final = 366 * 86_400_000

_EXAMPLE: Final[dict[str, Any]] = {
    "request_id": "5f0c6e0b9a1d4e7f8a2b3c4d5e6f7081",
    "user_id": "196",
    "model_version": "v0003-1f0a9c3b",
    "memory_as_of": 104_211,
    "fallback": None,
    "took_ms": 0.21,
    "items": [
        {"item_id": "50", "rank": 1, "score": 2.31, "probability": 0.81, "source": "slow_deep"},
        {"item_id": "181", "rank": 2, "score": 2.05, "probability": 0.77, "source": "slow_wide"},
    ],
}
_REQUESTS: Final[dict[str, Any]] = {
    "user": {"summary": "For a known user", "value": {"user_id": "196", "n": 10}},
    "session": {
        "summary": "For an anonymous session",
        "value": {"session_id": "s-7", "seed_items": ["50", "181"], "n": 5},
    },
    "filtered": {
        "summary": "With conditions and reasons",
        "value": {
            "user_id": "196",
            "context": {"device": "phone"},
            "filters": [{"field": "year", "op": "gte", "value": 1990}],
            "explain": "brief",
        },
    },
}
_ANSWERS: Final = {
    200: {
        "model": RecommendOut,
        "description": "The ranked list.",
        "content": {"application/json": {"example": _EXAMPLE}},
    },
    **declared(401, 403, 422, 503),
}

router = APIRouter(tags=["recommend"], dependencies=[Depends(may_read)])


async def recommend(request: Request) -> Response:
    """Recommends for a moment. An unknown user or item is never an error."""
    return _answer(request, await body_as(RecommendIn, request))


router.add_api_route(
    "/recommend",
    recommend,
    methods=["POST"],
    summary="Ranked items for a user, a session or nobody",
    responses=_ANSWERS | declared(413),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/RecommendIn"},
                    "examples": _REQUESTS,
                }
            },
        }
    },
    route_class_override=DirectRoute,
)


@router.get(
    "/recommend/{user_id:path}", summary="Ranked items for a user, short form", responses=_ANSWERS
)
async def recommend_for_user(
    request: Request,
    user_id: Annotated[Id, Path(examples=["196"])],
    params: Annotated[RecommendParams, Query()],
) -> Response:
    """The same as `POST /recommend` with a `user_id` and `n`."""
    return _answer(request, RecommendIn(user_id=user_id, n=params.n))


def _answer(request: Request, asked: RecommendIn) -> Response:
    started = time.perf_counter()
    state = request.scope["state"]
    if asked.request_id is not None:
        # One id everywhere: in the answer, the header, the log and the events that follow.
        state["request_id"] = asked.request_id
    now_ms = clock_ms()
    try:
        if asked.timestamp is not None:
            check_moment(asked.timestamp, now_ms + _AHEAD_MS)
        found = now_serving(request).recommender.recommend(asked.to_query(now_ms))
    except BadInputError as error:
        raise ApiError(422, error.code, str(error)) from None
    services(request).metrics.recommendations.labels(found.fallback or "none").inc()
    answer = {
        "request_id": request_id(request),
        "user_id": asked.user_id,
        "model_version": found.model_version,
        "memory_as_of": found.memory_as_of,
        "fallback": found.fallback,
        "took_ms": round((time.perf_counter() - started) * 1_000, 3),
        "items": _items(found),
    }
    return Response(to_json(answer), media_type="application/json")


def _items(found: Recommendation) -> list[dict[str, Any]]:
    probabilities: Sequence[float | None] = found.probabilities or [None] * len(found.item_ids)
    columns = zip(found.item_ids, found.scores, probabilities, found.sources, strict=True)
    items: list[dict[str, Any]] = [
        {"item_id": item_id, "rank": rank, "score": score, "probability": chance, "source": source}
        for rank, (item_id, score, chance, source) in enumerate(columns, 1)
    ]
    for part, values in (found.parts or {}).items():
        for item, value in zip(items, values, strict=True):
            item[part] = value
    for item, causes in zip(items, found.because or (), strict=False):
        item["because"] = causes
    return items
