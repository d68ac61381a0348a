"""Events in: checked one by one, written together, durable before the answer."""

from typing import Any, Final

from fastapi import APIRouter, Depends
from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.responses import Response

from model.storage.event_log import Appended
from service.acceptance import Rejection, accept
from service.auth import may_write
from service.dependencies import Services, clock_ms, services
from service.direct_route import DirectRoute
from service.errors import ApiError, declared, shortened
from service.event_writer import QueueFullError
from service.schemas import MAX_BATCH, EventsOut

_EXAMPLES: Final[dict[str, Any]] = {
    "rating": {
        "summary": "One event",
        "value": {
            "event_id": "8f14e45f",
            "event_type": "rating",
            "user_id": "196",
            "item_id": "242",
            "value": 4,
            "timestamp": "2026-01-31T12:00:00Z",
        },
    },
    "batch": {
        "summary": "Several events",
        "value": {
            "events": [
                {
                    "event_type": "impression",
                    "user_id": "196",
                    "shown_items": ["50", "181"],
                    "request_id": "5f0c6e0b9a1d4e7f8a2b3c4d5e6f7081",
                },
                {"event_type": "click", "user_id": "196", "item_id": "50"},
            ]
        },
    },
    "retraction": {
        "summary": "Taking an event back",
        "value": {"event_type": "rating", "user_id": "196", "retracts": "8f14e45f"},
    },
}
_ANSWER: Final[dict[str, Any]] = {
    "accepted": 2,
    "duplicates": 0,
    "rejected": [{"index": 1, "code": "missing_user_id", "detail": "user_id is required"}],
    "first_seq": 104_212,
    "last_seq": 104_213,
}

_DECLARED: Final[dict[str, Any]] = {
    "status_code": 202,
    "responses": {
        202: {
            "model": EventsOut,
            "description": "What became of the events; the accepted ones are durable.",
            "content": {"application/json": {"example": _ANSWER}},
        },
        **declared(401, 403, 413, 422, 503),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/EventIn"},
                            {"$ref": "#/components/schemas/EventsIn"},
                        ]
                    },
                    "examples": _EXAMPLES,
                }
            },
        }
    },
}

router = APIRouter(tags=["events"], dependencies=[Depends(may_write)], route_class=DirectRoute)


@router.post("/events", operation_id="take_events", summary="One event or up to 1,000", **_DECLARED)
@router.post("/feedback", operation_id="take_feedback", summary="The same as /events", **_DECLARED)
async def take_events(request: Request) -> Response:
    """Takes events. 202 means durable, and reflected by the next recommendation of any worker.

    A bad event of a batch is listed under `rejected`, and its neighbours are taken; an
    event sent alone that is bad is answered with 422.
    """
    raw, alone = _raw_events(await request.body())
    running = services(request)
    now_ms = clock_ms()
    events, rejected = accept(raw, running.rules, now_ms)
    if alone and rejected:
        _count(running, 0, 0, rejected)
        raise ApiError(422, rejected[0].code, rejected[0].detail)
    appended = Appended(0, (), None, None)
    if events:
        try:
            appended = await running.events.append(events, now_ms)
        except QueueFullError:
            raise ApiError(
                503, "events_waiting", "too many events wait to be written", retry_after_s=1
            ) from None
    _count(running, appended.accepted, len(appended.duplicates), rejected)
    answer = {
        "accepted": appended.accepted,
        "duplicates": len(appended.duplicates),
        "rejected": rejected,
        "first_seq": appended.first_seq,
        "last_seq": appended.last_seq,
    }
    return Response(to_json(answer), 202, media_type="application/json")


def _raw_events(body: bytes) -> tuple[list[Any], bool]:
    """The events as JSON values, and whether one was sent alone.

    Raises:
      ApiError: 422 when the body as a whole is not an event nor a batch of them.
    """
    try:
        content = from_json(body)
    except ValueError:
        raise ApiError(422, "invalid_json", "the body is not valid JSON") from None
    if not isinstance(content, dict):
        raise ApiError(422, "invalid_body", "the body must be an event or {events: [...]}")
    if "events" not in content:
        return [content], True
    if len(content) > 1:
        other = next(name for name in content if name != "events")
        raise ApiError(422, "unknown_field", f"{shortened(other)!r} is not a field of a batch")
    events = content["events"]
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_BATCH:
        raise ApiError(422, "invalid_events", f"events must be a list of 1 to {MAX_BATCH} events")
    return events, False


def _count(running: Services, accepted: int, duplicates: int, rejected: list[Rejection]) -> None:
    metrics = running.metrics
    metrics.events.labels("accepted").inc(accepted)
    metrics.events.labels("duplicate").inc(duplicates)
    metrics.events.labels("rejected").inc(len(rejected))
    for each in rejected:
        metrics.rejections.labels(each.code).inc()
