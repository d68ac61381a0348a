"""The values that clients send, each with its limits."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from fastapi import Path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from model.acceptance import FIRST_MS, LATEST_MS, MAX_ID_CHARACTERS, epoch_ms, iso_ms
from model.catalogue import FilterValue
from model.errors import BadInputError
from model.interactions import AttributeValue, Outcome, attribute_from_json

MAX_BATCH: Final = 1_000
MAX_N: Final = 500
_MAX_TEXT: Final = 1_000
_MAX_CATEGORIES: Final = 100
_MAX_NAME: Final = 64
_MOST_ATTRIBUTES: Final = 50
_LARGEST_EXACT: Final = 2**53
ENCODED_SLASH: Final = "\x1f"
"""Stands in a path for an encoded slash, which belongs to an id; no id can hold it."""

# No control characters; spelt so that every dialect of patterns reads it alike.
_PLAIN: Final = r"^[^\x00-\x1f\x7f-\x9f]+$"

Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARACTERS, pattern=_PLAIN)]
PathId = Annotated[
    Id,
    BeforeValidator(lambda text: text.replace(ENCODED_SLASH, "/")),
    Path(description="Slashes in it must be encoded."),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=_MAX_NAME, pattern=_PLAIN)]


def timestamp_ms(value: object) -> int:
    """A moment as sent by a client, in milliseconds since 1970-01-01 UTC.

    Args:
      value: ISO 8601 text with a zone, or epoch seconds or milliseconds.

    Raises:
      PydanticCustomError: For anything else; type `timestamp_naive` for a time without a zone.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise PydanticCustomError("timestamp_type", "must be ISO 8601 text or an epoch number")
    try:
        return iso_ms(value) if isinstance(value, str) else epoch_ms(value)
    except BadInputError as error:
        reason = str(error).removeprefix("timestamp ")
        raise PydanticCustomError(error.code, "{reason}", {"reason": reason}) from None


def attribute(value: object) -> AttributeValue:
    """An attribute as sent by a client, within its limits.

    Raises:
      PydanticCustomError: If it is of no attribute type or too large.
    """
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        raise PydanticCustomError("attribute_long", "text must have at most 1000 characters")
    if isinstance(value, list) and len(value) > _MAX_CATEGORIES:
        raise PydanticCustomError("attribute_many", "a list must have at most 100 values")
    if isinstance(value, list) and any(len(part) > 256 for part in value if isinstance(part, str)):
        raise PydanticCustomError(
            "attribute_long", "values in a list must have at most 256 characters"
        )
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        raise PydanticCustomError("attribute_large", "a number must lie within ±2^53")
    try:
        return attribute_from_json(value)
    except BadInputError as error:
        raise PydanticCustomError("attribute_type", "{reason}", {"reason": str(error)}) from None


def filter_value(value: object) -> FilterValue | tuple[FilterValue, ...]:
    """The value of a filter as sent by a client: one, or for `in` a list.

    Raises:
      PydanticCustomError: If it is of no filter type or too large.
    """
    if not isinstance(value, list):
        return _one_value(value)
    if len(value) > _MAX_CATEGORIES:
        raise PydanticCustomError("filter_many", "a list must have at most 100 values")
    return tuple(_one_value(each) for each in value)


def _one_value(value: object) -> FilterValue:
    one = attribute(value)
    if isinstance(one, tuple):
        raise PydanticCustomError("filter_nested", "a list must not hold lists")
    return one


_SCALARS: Final = [
    {"type": "string", "maxLength": _MAX_TEXT},
    {"type": "number"},
    {"type": "boolean"},
]
_CATEGORIES: Final = {"type": "string", "maxLength": 256}

Timestamp = Annotated[
    int,
    PlainValidator(timestamp_ms),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "number", "minimum": FIRST_MS, "maximum": LATEST_MS},
            ],
            "description": "ISO 8601 with zone, or epoch seconds or milliseconds.",
        }
    ),
]
_ATTRIBUTE: Final = [
    *_SCALARS,
    {"type": "array", "items": _CATEGORIES, "maxItems": _MAX_CATEGORIES},
]
AttributeIn = Annotated[
    AttributeValue, PlainValidator(attribute), WithJsonSchema({"anyOf": _ATTRIBUTE})
]
_FILTER_LIST: Final = {
    "type": "array",
    "items": {"anyOf": _SCALARS},
    "maxItems": _MAX_CATEGORIES,
}
FilterValueIn = Annotated[
    FilterValue | tuple[FilterValue, ...],
    PlainValidator(filter_value),
    WithJsonSchema({"anyOf": [*_SCALARS, _FILTER_LIST]}),
]


def _named(values: list[dict[str, Any]]) -> WithJsonSchema:
    """The schema of values by name: pydantic's own states no limit for what has a bad name."""
    return WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"minLength": 1, "maxLength": _MAX_NAME, "pattern": _PLAIN},
            "additionalProperties": {"anyOf": values},
            "maxProperties": _MOST_ATTRIBUTES,
        }
    )


AttributesIn = Annotated[
    dict[Name, AttributeIn], Field(max_length=_MOST_ATTRIBUTES), _named(_ATTRIBUTE)
]
PatchIn = Annotated[
    dict[Name, AttributeIn | None],
    Field(max_length=_MOST_ATTRIBUTES),
    _named([*_ATTRIBUTE, {"type": "null"}]),
]


OutcomeName: TypeAlias = Literal["success", "failure", "neutral"]
OUTCOME_NAMES: Final[Mapping[int, OutcomeName]] = {
    Outcome.SUCCESS: "success",
    Outcome.FAILURE: "failure",
    Outcome.NEUTRAL: "neutral",
}


class In(BaseModel):
    """What comes in: no field but the declared ones, and no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)
