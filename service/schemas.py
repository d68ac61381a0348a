"""What enters and leaves over HTTP: one model per direction, every limit stated."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from model.catalogue import Filter, FilterValue
from model.errors import BadInputError
from model.interactions import AttributeValue, attribute_from_json
from model.request import Query

MAX_BATCH: Final = 1_000
MAX_N: Final = 500
_MAX_TEXT: Final = 1_000
_MAX_CATEGORIES: Final = 100
_LARGEST_EXACT: Final = 2**53
# Below this a number counts seconds: as milliseconds it would lie before March 1973,
# as seconds it reaches the year 5138.
_SECONDS_BELOW: Final = 1e11
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Id = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^\P{Cc}+$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^\P{Cc}+$")]


def timestamp_ms(value: object) -> int:
    """A moment as sent by a client, in milliseconds since 1970-01-01 UTC.

    Args:
      value: ISO 8601 text with a zone, or epoch seconds or milliseconds.

    Raises:
      PydanticCustomError: For anything else; type `timestamp_naive` for a time without a zone.
    """
    if isinstance(value, str):
        return _from_iso(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PydanticCustomError("timestamp_type", "must be ISO 8601 text or an epoch number")
    if not abs(value) < float("inf"):
        raise PydanticCustomError("timestamp_finite", "must be a finite number")
    return int(value * 1_000) if abs(value) < _SECONDS_BELOW else int(value)


def _from_iso(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PydanticCustomError(
            "timestamp_format", "must be ISO 8601 with a zone, such as 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        raise PydanticCustomError(
            "timestamp_naive", "must carry a time zone, such as 2026-01-31T12:00:00Z"
        )
    return (moment - _EPOCH) // timedelta(milliseconds=1)


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
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
            "description": "ISO 8601 with zone, or epoch seconds or milliseconds.",
        }
    ),
]
AttributeIn = Annotated[
    AttributeValue,
    PlainValidator(attribute),
    WithJsonSchema(
        {
            "anyOf": [
                *_SCALARS,
                {"type": "array", "items": _CATEGORIES, "maxItems": _MAX_CATEGORIES},
            ]
        }
    ),
]
FilterValueIn = Annotated[
    FilterValue | tuple[FilterValue, ...],
    PlainValidator(filter_value),
    WithJsonSchema(
        {
            "anyOf": [
                *_SCALARS,
                {"type": "array", "items": {"anyOf": _SCALARS}, "maxItems": _MAX_CATEGORIES},
            ]
        }
    ),
]
AttributesIn = Annotated[dict[Name, AttributeIn], Field(max_length=50)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class FilterIn(_In):
    """A condition on an item attribute; `in` takes a list, the others one value."""

    field: Name
    op: Literal["eq", "ne", "in", "gte", "lte"]
    value: FilterValueIn

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        if (self.op == "in") != isinstance(self.value, tuple):
            raise PydanticCustomError("filter_value", "`in` takes a list, the others one value")
        return self

    def to_filter(self) -> Filter:
        """The same condition in the model's terms."""
        return Filter(self.field, self.op, self.value)


class RecommendIn(_In):
    """What to recommend, to whom, and for which moment."""

    user_id: Id | None = Field(None, description="Nobody when absent.")
    n: int = Field(10, ge=1, le=MAX_N, description="How many items.")
    timestamp: Timestamp | None = Field(
        None, description="The moment to recommend for; now when absent."
    )
    context: AttributesIn = Field(default_factory=dict, description="Attributes of the request.")
    session_id: Id | None = Field(None, description="The session the request belongs to.")
    seed_items: list[Id] = Field(
        default_factory=list,
        max_length=100,
        description="What an anonymous visitor liked in this session, newest last.",
    )
    exclude_items: list[Id] = Field(
        default_factory=list, max_length=1_000, description="Never recommend these."
    )
    exclude_seen: bool = Field(True, description="Leave out what the user has had already.")
    filters: list[FilterIn] = Field(
        default_factory=list, max_length=20, description="Only items that meet all conditions."
    )
    explain: Literal["none", "brief", "full"] = Field(
        "none", description="Whether to add the parts of each score and what moved it."
    )
    request_id: Id | None = Field(None, description="Made when absent.")

    def to_query(self, now_ms: int) -> Query:
        """The same question in the model's terms, at `now_ms` unless it names a moment."""
        return Query(
            user_id=self.user_id,
            n=self.n,
            now_ms=now_ms if self.timestamp is None else self.timestamp,
            context=self.context,
            session_id=self.session_id,
            seed_items=tuple(self.seed_items),
            exclude_items=tuple(self.exclude_items),
            exclude_seen=self.exclude_seen,
            filters=tuple(each.to_filter() for each in self.filters),
            explain=self.explain,
        )


class RecommendParams(BaseModel):
    """The query string of the short form."""

    model_config = ConfigDict(extra="forbid")

    n: int = Field(10, ge=1, le=MAX_N, description="How many items.")


class CauseOut(BaseModel):
    """Something that moved a score."""

    kind: str = Field(description="cross, history, trending, recent, lesson or surprise.")
    text: str = Field(description="In words.")
    contribution: float = Field(description="In log-odds.")
    item_id: str | None = Field(description="The item of the user's history that is meant.")
    event_id: str | None = Field(description="The event that is meant.")


class ItemOut(BaseModel):
    """One recommended item; the fields after `source` come with `explain`."""

    item_id: str
    rank: int = Field(ge=1)
    score: float = Field(description="Log-odds; comparable within one answer.")
    probability: float | None = Field(description="Of success if shown, calibrated.")
    source: str = Field(description="The part of the model that found the item.")
    slow_wide: float = Field(0.0, description="What the trained crosses add.")
    slow_deep: float = Field(0.0, description="What the trained towers add.")
    fast_wide: float = Field(0.0, description="What the remembered crosses add.")
    fast_deep: float = Field(0.0, description="What the fast weights add.")
    bias: float = Field(0.0, description="What holds for everybody.")
    rules: float = Field(0.0, description="What configured rules add.")
    because: list[CauseOut] = Field(default_factory=list)


class RecommendOut(BaseModel):
    """A ranked list and what it was made from."""

    request_id: str
    user_id: str | None
    model_version: str
    memory_as_of: int = Field(description="The last log position that the answer reflects.")
    fallback: str | None = Field(description="The fallback that answered; null for none.")
    took_ms: float
    items: list[ItemOut]


class EventIn(_In):
    """One thing a user did, or was shown."""

    event_id: Id | None = Field(
        None, description="Yours and unique: the same id again is a duplicate. Made when absent."
    )
    event_type: Id = Field(description="A configured type, such as click or rating.")
    user_id: Id | None = Field(None, description="This or session_id is required.")
    item_id: Id | None = Field(
        None, description="Required, except for retractions and impressions with shown_items."
    )
    value: FiniteFloat | None = Field(None, description="Required for rating.")
    timestamp: Timestamp | None = Field(None, description="When it happened; now when absent.")
    session_id: Id | None = None
    request_id: Id | None = Field(None, description="The recommendation it answers.")
    shown_items: list[Id] = Field(
        default_factory=list, max_length=MAX_N, description="For impression, first position first."
    )
    retracts: Id | None = Field(None, description="The event_id of an event to take back.")
    properties: AttributesIn = Field(
        default_factory=dict, description="Attributes of the moment, such as the device."
    )


class EventsIn(_In):
    """Many events in one call; a bad one does not reject its neighbours."""

    events: list[EventIn] = Field(min_length=1, max_length=MAX_BATCH)


class RejectedOut(BaseModel):
    """An event of a batch that was refused."""

    index: int = Field(description="Its place in the batch, from 0.")
    code: str
    detail: str


class EventsOut(BaseModel):
    """What became of the events; what is accepted is durable."""

    accepted: int
    duplicates: int = Field(description="Events whose event_id was known already.")
    rejected: list[RejectedOut]
    first_seq: int | None = Field(description="Log position of the first accepted event.")
    last_seq: int | None = Field(description="Log position of the last accepted event.")


class LiveOut(BaseModel):
    """The process answers."""

    status: Literal["live"]


class RefusedOut(BaseModel):
    """A published version that could not be loaded; the one before keeps serving."""

    version: str
    code: str = Field(description="Why; the log of the service says more.")


class ReadyOut(BaseModel):
    """The service can recommend and take events."""

    status: Literal["ready"]
    model_version: str
    memory_as_of: int
    refused: RefusedOut | None


class ModelOut(BaseModel):
    """The manifest of a model version."""

    model_config = ConfigDict(extra="allow")

    version: str
    created_ms: int
    parent: str | None
    kind: str
    trained_through_seq: int
    metrics: dict[str, Any]
