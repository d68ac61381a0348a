"""What a refused request is told: `{detail, code, request_id}`, and never more."""

import errno
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from model.errors import (
    BadInputError,
    BusyError,
    CorruptBundleError,
    LogUnavailableError,
    NoModelError,
    NotFoundError,
    SlowwaveError,
)

logger = logging.getLogger(__name__)


class ErrorOut(BaseModel):
    """The body of every answer that is not a success."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "detail": "n: Input should be less than or equal to 500",
                    "code": "invalid_n",
                    "request_id": "5f0c6e0b9a1d4e7f8a2b3c4d5e6f7081",
                }
            ]
        }
    )

    detail: str = Field(description="What was expected and what came, in plain English.")
    code: str = Field(description="Machine-readable reason, stable across releases.")
    request_id: str = Field(description="The request's id, as in the X-Request-ID header.")


class ApiError(HTTPException):
    """A request that is refused on purpose.

    Attributes:
      code: Machine-readable reason.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, retry_after_s: int | None = None
    ) -> None:
        headers = None if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        super().__init__(status, detail, headers)
        self.code = code


_MEANING: Final[Mapping[int, str]] = {
    401: "No API key, or one that is not known.",
    403: "The API key lacks the scope this call needs.",
    404: "What was named does not exist.",
    409: "Not in the present state, which the answer names; nothing was changed.",
    413: "The body is larger than the limit.",
    422: "The request is not what was expected; nothing was changed.",
    429: "More requests than this caller may send.",
    503: "Not ready or overloaded: no model is published, the event log cannot be used now, or "
    "too many requests wait already.",
}
_RETRY_AFTER: Final = {
    "Retry-After": {
        "description": "Seconds to wait before trying again.",
        "schema": {"type": "integer"},
    }
}
# Any call with a key may be refused for the key, for its rate and for the load there is.
_ALWAYS: Final = (401, 403, 429, 503)


def declared(*statuses: int, keyless: bool = False) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI declaration of the errors a call may answer with.

    Args:
      statuses: Those of this call; what any call with a key may answer is added.
      keyless: Whether the call needs no key, so that nothing is added.
    """
    answers: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, *(() if keyless else _ALWAYS)}):
        answers[status] = {"model": ErrorOut, "description": _MEANING[status]}
        if status in (429, 503):
            answers[status]["headers"] = _RETRY_AFTER
    return answers


def error_response(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer with the error body."""
    body = to_json({"detail": detail, "code": code, "request_id": request_id})
    return Response(body, status, headers, "application/json")


def answer_to(error: Exception, request_id: str) -> Response | None:
    """The answer to what was raised on purpose or by the disk; None for a bug."""
    if isinstance(error, HTTPException):
        code = (
            error.code if isinstance(error, ApiError) else _CODES.get(error.status_code, "refused")
        )
        return error_response(error.status_code, code, error.detail, request_id, error.headers)
    if isinstance(error, OSError) and error.errno in _DISK:
        logger.error("the disk refuses", exc_info=error)
        return error_response(
            503, "disk_unavailable", "the disk refuses", request_id, {"Retry-After": "5"}
        )
    for kind, (status, detail) in _ANSWERS.items():
        if isinstance(error, kind):
            headers = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
            return error_response(status, error.code, detail or str(error), request_id, headers)
    return None


# Full, over a quota, read-only, over a limit of size, broken: none of it the caller's or a bug.
_DISK: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.EACCES, errno.EPERM}
)
_CODES: Final = {404: "not_found", 405: "method_not_allowed"}
# What an error says may name files, and where those lie is not the caller's affair.
_ANSWERS: Final[Mapping[type[SlowwaveError], tuple[int, str | None]]] = {
    BadInputError: (422, None),
    NotFoundError: (404, None),
    NoModelError: (409, None),
    CorruptBundleError: (409, "the version's files are damaged"),
    BusyError: (409, "a job that makes versions runs already; try again when it is done"),
    LogUnavailableError: (503, "the event log cannot be used now"),
}


def explained(error: ErrorDetails, *, whole: str = "body") -> tuple[str, str]:
    """The code and the plain text of one thing that validation found wrong.

    What the client sent is not repeated, except for the shortened name of a field.

    Args:
      error: The thing that is wrong, as pydantic reports it.
      whole: What to call the thing that was checked, where no field of it is at fault.
    """
    loc, kind = error["loc"], error["type"]
    field = str(loc[0]) if loc else whole
    if kind == "extra_forbidden":
        return "unknown_field", f"{shortened(str(loc[-1]))!r} is not a field of this call"
    if kind == "missing":
        return f"missing_{field}", f"{field} is required"
    if kind == "json_invalid":
        return "invalid_json", "the body is not valid JSON"
    where = ".".join(shortened(str(part)) for part in loc) or whole
    if kind == "string_pattern_mismatch":
        return f"invalid_{field}", f"{where}: must not contain control characters"
    code = kind if kind in _OWN_CODES else f"invalid_{field}"
    return code, f"{where}: {error['msg']}"


_OWN_CODES: Final = frozenset(
    {
        "timestamp_naive", "timestamp_in_future", "timestamp_too_old", "invalid_timestamp",
        "available_span", "explained_page",
    }
)  # fmt: skip


def refusal(error: ValidationError) -> ApiError:
    """A 422 for the first thing that is wrong."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ApiError(422, *explained(first))


def shortened(text: str, limit: int = 60) -> str:
    """Text of at most `limit` characters and an ellipsis."""
    return text if len(text) <= limit else text[:limit] + "…"
