"""Changes of metadata: amended inside the log, answered alike for items and users."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from model.storage.event_log import Appended
from service.batches import Rejection
from service.dependencies import clock_ms, services

_Change = TypeVar("_Change")


async def amended(
    request: Request, kind: Literal["item", "user"], name: str, amend: Callable[[Any], _Change]
) -> tuple[_Change, Appended]:
    """What `amend` makes of the present state, written durably.

    Raises:
      SlowwaveError: What `amend` raises to refuse.
    """
    running = services(request)
    made: list[_Change] = []

    def keeping(present: Any) -> Any:
        made.append(amend(present))
        return made[-1]

    write = running.log.amend_item if kind == "item" else running.log.amend_user
    # not among the waiting batches: it must see the state that it changes
    appended = await asyncio.to_thread(write, name, keeping, clock_ms())
    running.metrics.changes.labels(kind).inc(appended.accepted)
    return made[-1], appended


def batch_answer(
    request: Request,
    kind: Literal["item", "user"],
    appended: Appended,
    rejected: Mapping[int, Rejection],
) -> Response:
    """What became of a batch."""
    services(request).metrics.changes.labels(kind).inc(appended.accepted)
    answer = {
        "changed": appended.accepted,
        "unchanged": len(appended.duplicates),
        "rejected": [rejected[place] for place in sorted(rejected)],
        "first_seq": appended.first_seq,
        "last_seq": appended.last_seq,
    }
    return Response(to_json(answer), media_type="application/json")
