"""What recommendations are asked for with, and what comes back."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from model.catalogue import Filter
from model.request import Query
from service.schemas.fields import MAX_N, AttributesIn, FilterValueIn, Id, In, Name, Timestamp


class FilterIn(In):
    """A condition on an item attribute; `in` takes a list, the others one value."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"op": {"const": "in"}}},
            "then": {"properties": {"value": {"type": "array"}}},
            "else": {"properties": {"value": {"type": ["string", "number", "boolean"]}}},
        }
    )

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


class RecommendIn(In):
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
    offset: int | None = Field(
        None,
        ge=0,
        le=MAX_N,
        description="Pages: 0 for the first page of a list that stands still, then what the "
        "answer says under next_offset, with the request_id of the first page.",
    )

    @model_validator(mode="after")
    def _pages_are_plain(self) -> Self:
        if self.offset is not None and self.explain != "none":
            raise PydanticCustomError("explained_page", "explain goes with no offset")
        return self

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
    offset: int | None = Field(None, ge=0, le=MAX_N, description="As in the long form.")
    request_id: Id | None = Field(None, description="As in the long form.")


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
    next_offset: int | None = Field(
        None, description="With offset: where the next page begins; null after the last."
    )
    items: list[ItemOut]


class RankedItemOut(BaseModel):
    """One item of a list that is not personal."""

    item_id: str
    rank: int = Field(ge=1)
    score: float = Field(description="Comparable within one answer.")


class RankedOut(BaseModel):
    """Items, best first, for nobody in particular."""

    request_id: str
    model_version: str
    memory_as_of: int = Field(description="The last log position that the answer reflects.")
    fallback: str | None = Field(description="How the list was made when not as asked for.")
    items: list[RankedItemOut]


class SimilarParams(BaseModel):
    """The query string of similar items."""

    model_config = ConfigDict(extra="forbid")

    n: int = Field(10, ge=1, le=MAX_N, description="How many items.")
    by: Literal["behaviour", "content", "both"] = Field(
        "both", description="What people do, what the attributes say, or both."
    )


class PopularParams(BaseModel):
    """The query string of popular items."""

    model_config = ConfigDict(extra="forbid")

    n: int = Field(10, ge=1, le=MAX_N, description="How many items.")
    window: Literal["hour", "day", "week", "month", "year"] = Field(
        "day", description="The age at which a success counts half."
    )
