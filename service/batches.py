"""Batches: good entries are taken, and of the others it is told why they are refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from service.errors import ApiError, explained, shortened
from service.schemas.fields import MAX_BATCH

_T = TypeVar("_T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Rejection:
    """An entry that was refused.

    Attributes:
      index: Its place among the entries that came.
    """

    index: int
    code: str
    detail: str


def batch_in(body: bytes, name: str) -> tuple[list[Any], bool]:
    """The entries as JSON values, and whether one was sent alone.

    Args:
      body: JSON text.
      name: The field that lists the entries of a batch.

    Raises:
      ApiError: 422 when the body as a whole is neither an entry nor a batch of them.
    """
    try:
        content = from_json(body)
    except ValueError:
        raise ApiError(422, "invalid_json", "the body is not valid JSON") from None
    if not isinstance(content, dict):
        raise ApiError(422, "invalid_body", f"the body must be an object, such as {{{name}: […]}}")
    if name not in content:
        return [content], True
    if len(content) > 1:
        other = next(other for other in content if other != name)
        raise ApiError(422, "unknown_field", f"{shortened(other)!r} is not a field of a batch")
    entries = content[name]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_BATCH:
        raise ApiError(422, f"invalid_{name}", f"{name} must be a list of 1 to {MAX_BATCH}")
    return entries, False


def sifted(
    adapter: TypeAdapter[list[_T]], raw: list[Any], *, whole: str
) -> tuple[list[tuple[int, _T]], dict[int, Rejection]]:
    """The entries of the right shape with their places, and the others by their places.

    Args:
      adapter: Checks a list of entries.
      raw: Entries as JSON values.
      whole: What to call an entry, where no field of it is at fault.
    """
    try:
        return list(enumerate(adapter.validate_python(raw))), {}
    except ValidationError as error:
        rejections = _first_faults(error, whole)
    places = [place for place in range(len(raw)) if place not in rejections]
    good = adapter.validate_python([raw[place] for place in places])
    return list(zip(places, good, strict=True)), rejections


def _first_faults(error: ValidationError, whole: str) -> dict[int, Rejection]:
    faults: dict[int, Rejection] = {}
    found: Iterable[ErrorDetails] = error.errors(
        include_url=False, include_context=False, include_input=False
    )
    for each in found:
        index = int(each["loc"][0])
        if index not in faults:
            each["loc"] = each["loc"][1:]
            faults[index] = Rejection(index, *explained(each, whole=whole))
    return faults
