"""Metadata and memory of users, and their erasure."""

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Depends
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from model.errors import NotFoundError
from model.fast.lessons import Lesson
from model.interactions import UserChange
from model.recollection import Exemplar
from model.recommender import Recommender
from service.auth import may_read, may_write
from service.batches import batch_in, sifted
from service.changes import amended, batch_answer
from service.dependencies import body_as, body_of, clock_ms, now_serving, services, written
from service.errors import ApiError, declared
from service.routes.bodies import takes
from service.schemas.fields import OUTCOME_NAMES, PathId
from service.schemas.metadata import (
    BatchOut,
    ExemplarOut,
    LessonOut,
    MemoryOut,
    ReceiptOut,
    UserChangedOut,
    UserIn,
    UserMetadataOut,
    UserOfBatchIn,
    UserPatchIn,
    UsersIn,
    patched,
)

_USER: Final[dict[str, Any]] = {"attributes": {"occupation": "writer", "age": 34}}
_PUT: Final = {"user": {"summary": "A reader", "value": _USER}}
_PATCH: Final = {"age": {"summary": "A birthday", "value": {"attributes": {"age": 35}}}}
_BATCH: Final = {"two": {"summary": "Two", "value": {"users": [{"user_id": "ada", **_USER}]}}}
_ADAPTER: Final = TypeAdapter(list[UserOfBatchIn])

router = APIRouter(tags=["users"])
_reads, _writes = [Depends(may_read)], [Depends(may_write)]


@router.get(
    "/users/{user_id}",
    summary="What is known of a user",
    dependencies=_reads,
    responses=declared(404, 422),
)
async def get_user(request: Request, user_id: PathId) -> UserMetadataOut:
    """The metadata; what the user did is in the log, and in `memory` as far as remembered."""
    attributes = services(request).log.user(user_id)
    if attributes is None:
        raise NotFoundError("nothing was said of this user")
    return UserMetadataOut(user_id=user_id, attributes=dict(attributes))


@router.put(
    "/users/{user_id}",
    summary="Describe a user",
    dependencies=_writes,
    responses={200: {"model": UserChangedOut}, **declared(413, 422)},
    openapi_extra=takes(UserIn, examples=_PUT),
)
async def put_user(request: Request, user_id: PathId) -> Response:
    """Replaces all metadata; the next recommendation of any worker reflects it."""
    change = (await body_as(UserIn, request)).to_change(user_id)
    appended = await written(request, [change])
    services(request).metrics.changes.labels("user").inc(appended.accepted)
    return _changed(change, appended.last_seq)


@router.patch(
    "/users/{user_id}",
    summary="Change some of a user's metadata",
    dependencies=_writes,
    responses={200: {"model": UserChangedOut}, **declared(413, 422)},
    openapi_extra=takes(UserPatchIn, examples=_PATCH),
)
async def patch_user(request: Request, user_id: PathId) -> Response:
    """What is not named stays. Users need no introduction: one of whom nothing was said begins."""
    patch = await body_as(UserPatchIn, request)

    def amend(present: UserChange | None) -> UserChange:
        before = None if present is None else present.attributes
        return UserChange(user_id, patched(before, patch.attributes))

    user, appended = await amended(request, "user", user_id, amend)
    return _changed(user, appended.last_seq)


@router.put(
    "/users",
    summary="Describe up to 1,000 users",
    dependencies=_writes,
    responses={200: {"model": BatchOut}, **declared(413, 422)},
    openapi_extra=takes(UsersIn, examples=_BATCH),
)
async def put_users(request: Request) -> Response:
    """Replaces the metadata of each; a bad one is listed, and its neighbours are taken."""
    raw, alone = batch_in(await body_of(request), "users")
    if alone:
        raise ApiError(422, "missing_users", "users is required")
    good, rejected = sifted(_ADAPTER, raw, whole="user")
    appended = await written(request, [user.to_change(user.user_id) for _, user in good])
    return batch_answer(request, "user", appended, rejected)


@router.delete(
    "/users/{user_id}",
    summary="Erase a user",
    dependencies=_writes,
    responses=declared(422),
)
async def erase_user(request: Request, user_id: PathId) -> ReceiptOut:
    """Removes the user's events and metadata from the log, and all memory of them at once.

    The weights of the model forget at the next night. Somebody unknown is erased too: the
    receipt says that there was nothing.
    """
    running, now_ms = services(request), clock_ms()
    erased = await asyncio.to_thread(running.log.erase_user, user_id, now_ms)
    await asyncio.to_thread(running.models.drop_snapshot)
    running.pages.clear()
    running.replies.clear()
    running.models.recent_users.forget(user_id)
    running.metrics.erasures.inc()
    return ReceiptOut(
        user_id=user_id,
        user_digest=erased.digest,
        erased_at=now_ms,
        events=erased.events,
        metadata_changes=erased.changes,
        items=erased.items,
        seq=erased.seq,
        memory="at once",
        weights="at the next night",
        model_version=running.models.version,
    )


@router.get(
    "/users/{user_id}/memory",
    summary="What is remembered of a user",
    dependencies=_reads,
    responses=declared(422),
)
async def memory(request: Request, user_id: PathId) -> MemoryOut:
    """What the fast memory holds, newest first; empty for somebody unknown."""
    recommender, now_ms = now_serving(services(request)).recommender, clock_ms()
    held = recommender.recollect(user_id, now_ms)
    return MemoryOut(
        user_id=user_id,
        model_version=recommender.version,
        memory_as_of=recommender.as_of,
        exemplars=[_exemplar(each, now_ms) for each in held.exemplars],
        strength=held.strength,
        shift=held.shift,
        support=held.support,
        score_test=held.score_test,
        lessons=[_lesson(recommender, each) for each in held.lessons],
        refused_items=sorted(recommender.memory.user(user_id).refused()),
    )


def _exemplar(held: Exemplar, now_ms: int) -> ExemplarOut:
    return ExemplarOut(
        event_id=held.event_id,
        event_type=held.event_type,
        item_id=held.item_id,
        outcome=OUTCOME_NAMES[held.outcome],
        happened_at=held.timestamp_ms,
        age_s=max(now_ms - held.timestamp_ms, 0) / 1_000,
        surprise_nats=held.surprise_nats,
        chance=held.chance,
    )


def _lesson(recommender: Recommender, lesson: Lesson) -> LessonOut:
    segment, attribute = recommender.lesson_words(lesson)
    return LessonOut(
        segment=segment,
        attribute=attribute,
        shift=lesson.shift,
        support=lesson.support,
        score_test=lesson.score_test,
    )


def _changed(user: UserChange, seq: int | None) -> Response:
    answer = UserChangedOut(user_id=user.user_id, attributes=dict(user.attributes or {}), seq=seq)
    return Response(answer.model_dump_json(), media_type="application/json")
