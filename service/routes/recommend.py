"""Recommendations. `POST /recommend` is the busiest call: it does no step twice."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from model.acceptance import check_moment
from model.errors import BadInputError, LogUnavailableError
from model.request import Query as Asked
from model.request import Recommendation
from service.auth import may_read
from service.dependencies import Services, body_as, clock_ms, now_serving, services
from service.direct_route import DirectRoute
from service.errors import ApiError, declared
from service.model_holder import Serving
from service.page_store import RankedList
from service.routes.bodies import takes
from service.schemas.fields import MAX_N, PathId
from service.schemas.recommending import RecommendIn, RecommendOut, RecommendParams

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
    "paged": {
        "summary": "The first page of a list that stands still",
        "value": {"user_id": "196", "n": 10, "offset": 0},
    },
}
_ANSWERS: Final = {
    200: {
        "model": RecommendOut,
        "description": "The ranked list.",
        "content": {"application/json": {"example": _EXAMPLE}},
    },
    **declared(422),
}

router = APIRouter(tags=["recommend"], dependencies=[Depends(may_read)])


async def recommend(request: Request) -> Response:
    """Recommends for a moment. An unknown user or item is never an error."""
    started = time.perf_counter()
    asked = await body_as(RecommendIn, request)
    return _answer(request, asked, time.perf_counter() - started)


router.add_api_route(
    "/recommend",
    recommend,
    methods=["POST"],
    summary="Ranked items for a user, a session or nobody",
    responses=_ANSWERS | declared(413),
    openapi_extra=takes(RecommendIn, examples=_REQUESTS),
    route_class_override=DirectRoute,
)


@router.get(
    "/recommend/{user_id}", summary="Ranked items for a user, short form", responses=_ANSWERS
)
async def recommend_for_user(
    request: Request, user_id: PathId, params: Annotated[RecommendParams, Query()]
) -> Response:
    """The same as `POST /recommend` with these fields."""
    return _answer(request, RecommendIn(user_id=user_id, **params.model_dump()), 0.0)


def _answer(request: Request, asked: RecommendIn, read_s: float) -> Response:
    started = time.perf_counter()
    running, state = services(request), request.scope["state"]
    if asked.request_id is not None:
        # One id everywhere: in the answer, the header, the log and the events that follow.
        state["request_id"] = asked.request_id
    now_ms = clock_ms()
    try:
        if asked.timestamp is not None:
            check_moment(asked.timestamp, now_ms + _AHEAD_MS)
        found, next_offset = _found(running, state["request_id"], asked, now_ms)
    except BadInputError as error:
        raise ApiError(422, error.code, str(error)) from None
    scored = time.perf_counter()
    answer = {
        "request_id": state["request_id"],
        "user_id": asked.user_id,
        "model_version": found.model_version,
        "memory_as_of": found.memory_as_of,
        "fallback": found.fallback,
        "took_ms": round((scored - started) * 1_000, 3),
        "items": _items(found, asked.offset or 0),
    }
    if asked.offset is not None:
        answer["next_offset"] = next_offset
    body = to_json(answer)
    _note(running, state["request_id"], asked.user_id, found)
    waited_s = started - read_s - state["arrived_s"]
    spent = (waited_s, read_s, scored - started, time.perf_counter() - scored)
    for stage, seconds in zip(running.metrics.stages, spent, strict=True):
        stage.observe(seconds)
    return Response(body, media_type="application/json")


def _found(
    running: Services, request_id: str, asked: RecommendIn, now_ms: int
) -> tuple[Recommendation, int | None]:
    """The list, or a page of it and where the next one begins."""
    serving, query = now_serving(running), asked.to_query(now_ms)
    if asked.offset is None:
        return _recommended(serving, query), None
    by = asked.user_id or asked.session_id
    ranked = running.pages.get(request_id, by, now_ms) if asked.offset else None
    if ranked is None:
        ranked = _ranked_list(_recommended(serving, replace(query, n=MAX_N)), by)
        running.pages.put(request_id, ranked, now_ms)
    end = asked.offset + asked.n
    return _page(ranked, asked.offset, end), end if end < len(ranked.item_ids) else None


def _recommended(serving: Serving, query: Asked) -> Recommendation:
    """The list; while the log cannot be read, one for nobody by what is remembered."""
    try:
        return serving.recommender.recommend(query)
    except LogUnavailableError:
        nobody = replace(query, user_id=None, session_id=None)
        with serving.log.standing_still():
            return replace(serving.recommender.recommend(nobody), fallback="log_unavailable")


def _ranked_list(found: Recommendation, asked_by: str | None) -> RankedList:
    return RankedList(
        asked_by,
        found.model_version,
        found.memory_as_of,
        found.fallback,
        found.item_ids,
        found.scores,
        found.probabilities,
        found.sources,
    )


def _page(ranked: RankedList, start: int, end: int) -> Recommendation:
    chances = ranked.probabilities
    return Recommendation(
        item_ids=list(ranked.item_ids[start:end]),
        scores=list(ranked.scores[start:end]),
        probabilities=None if chances is None else list(chances[start:end]),
        sources=list(ranked.sources[start:end]),
        model_version=ranked.model_version,
        memory_as_of=ranked.memory_as_of,
        fallback=ranked.fallback,
    )


def _items(found: Recommendation, offset: int) -> list[dict[str, Any]]:
    probabilities: Sequence[float | None] = found.probabilities or [None] * len(found.item_ids)
    columns = zip(found.item_ids, found.scores, probabilities, found.sources, strict=True)
    items: list[dict[str, Any]] = [
        {"item_id": item_id, "rank": rank, "score": score, "probability": chance, "source": source}
        for rank, (item_id, score, chance, source) in enumerate(columns, offset + 1)
    ]
    for part, values in (found.parts or {}).items():
        for item, value in zip(items, values, strict=True):
            item[part] = value
    for item, causes in zip(items, found.because or (), strict=False):
        item["because"] = causes
    return items


def _note(running: Services, request_id: str, user_id: str | None, found: Recommendation) -> None:
    """Counts the list, and remembers it for the successes that follow and the user for swaps."""
    if user_id is not None:
        running.models.recent_users.note(user_id)
    running.metrics.recommendations.labels(found.fallback or "none").inc()
    running.metrics.count_items(found.sources, found.model_version)
    running.replies.note(request_id, found.model_version, found.item_ids, found.sources)
