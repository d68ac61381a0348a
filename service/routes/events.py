"""Events in: checked one by one, written together, durable before the answer."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from fastapi import APIRouter, Depends
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from model.errors import NotFoundError
from model.interactions import Event, LogRow, Outcome, actor_of
from model.storage.event_log import Appended, event_of
from service.acceptance import accept
from service.auth import may_read, may_write
from service.batches import Rejection, batch_in
from service.dependencies import Services, body_of, clock_ms, services, written
from service.direct_route import DirectRoute
from service.errors import ApiError, declared
from service.model_holder import Serving
from service.routes.bodies import takes
from service.schemas.events import EventIn, EventOut, EventsIn, EventsOut, EventState, FateOut
from service.schemas.fields import OUTCOME_NAMES, PathId

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
        **declared(413, 422),
    },
    "openapi_extra": takes(EventIn, EventsIn, examples=_EXAMPLES),
}

router = APIRouter(tags=["events"])


async def take_events(request: Request) -> Response:
    """Takes events. 202 means durable, and reflected by the next recommendation of any worker.

    A bad event of a batch is listed under `rejected`, and its neighbours are taken; an
    event sent alone that is bad is answered with 422.
    """
    raw, alone = batch_in(await body_of(request), "events")
    running = services(request)
    now_ms = clock_ms()
    events, rejected = accept(raw, running.rules, now_ms)
    if alone and rejected:
        _count(running, 0, 0, rejected)
        raise ApiError(422, rejected[0].code, rejected[0].detail)
    appended = await written(request, events)
    _count(running, appended.accepted, len(appended.duplicates), rejected)
    _credit(running, events, appended)
    answer = {
        "accepted": appended.accepted,
        "duplicates": len(appended.duplicates),
        "rejected": rejected,
        "first_seq": appended.first_seq,
        "last_seq": appended.last_seq,
    }
    return Response(to_json(answer), 202, media_type="application/json")


for path, operation, summary in (
    ("/events", "take_events", "One event or up to 1,000"),
    ("/feedback", "take_feedback", "The same as /events"),
):
    router.add_api_route(
        path,
        take_events,
        methods=["POST"],
        operation_id=operation,
        summary=summary,
        dependencies=[Depends(may_write)],
        route_class_override=DirectRoute,
        **_DECLARED,
    )


@router.get(
    "/events/{event_id}",
    summary="What became of an event",
    dependencies=[Depends(may_read)],
    responses=declared(404, 422),
)
async def event(request: Request, event_id: PathId) -> EventOut:
    """Where it stands in the log, whether it is in effect, and which version has learned it."""
    running = services(request)
    row = running.log.event(event_id)
    if row is None:
        raise NotFoundError("no such event")
    taken = event_of(row)
    retracted_by = _retracted_by(running, row)
    serving = running.models.serving
    outcome = running.rules.outcomes([taken.event_type], np.array([_number(taken.value)]))[0]
    state: EventState = "waiting"
    if retracted_by is not None:
        state = "retracted"
    elif serving is not None and serving.recommender.catch_up() >= row.seq:
        state = "in_effect"
    return EventOut(
        event_id=event_id,
        seq=row.seq,
        event_type=taken.event_type,
        outcome=OUTCOME_NAMES[int(outcome)],
        user_id=taken.user_id,
        session_id=taken.session_id,
        item_id=taken.item_id,
        value=taken.value,
        happened_at=taken.timestamp_ms,
        received_at=row.received_ms,
        request_id=taken.request_id,
        retracts=taken.retracts,
        state=state,
        retracted_by=retracted_by,
        consolidated_in=running.versions.consolidated_in(row.seq),
        memory=_fate(serving, event_id),
    )


def _fate(serving: Serving | None, event_id: str) -> FateOut | None:
    fate = None if serving is None else serving.recommender.fate(event_id)
    if fate is None:
        return None
    return FateOut(surprise_nats=fate.surprise_nats, counted=fate.counted, rows=fate.rows)


def _retracted_by(running: Services, row: LogRow) -> str | None:
    """The event of the same actor that took this one back."""
    actor = actor_of(row)
    rows = [] if actor is None else running.log.actor_rows(actor, running.log.head())
    events = (event_of(each) for each in rows if '"retracts"' in (each.details or ""))
    return next((each.event_id for each in events if each.retracts == row.event_id), None)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _credit(running: Services, events: Sequence[Event], appended: Appended) -> None:
    """Counts successes that answer a recommendation for the part that had lifted the item."""
    known = set(appended.duplicates)
    for place, event in enumerate(events):
        if event.request_id is None or event.item_id is None or place in known:
            continue
        if running.rules.outcome(event.event_type, event.value) is Outcome.SUCCESS:
            earned = running.replies.earned_by(event.request_id, event.item_id)
            running.metrics.successes.labels(*earned).inc()


def _count(running: Services, accepted: int, duplicates: int, rejected: list[Rejection]) -> None:
    metrics = running.metrics
    metrics.events.labels("accepted").inc(accepted)
    metrics.events.labels("duplicate").inc(duplicates)
    metrics.events.labels("rejected").inc(len(rejected))
    for each in rejected:
        metrics.rejections.labels(each.code).inc()
