"""Events: what happened, and what became of it."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, Field, FiniteFloat

from service.schemas.fields import MAX_BATCH, MAX_N, AttributesIn, Id, In, OutcomeName, Timestamp
from service.schemas.metadata import Moment


class EventIn(In):
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


class EventsIn(In):
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


EventState: TypeAlias = Literal["waiting", "in_effect", "retracted"]


class FateOut(BaseModel):
    """What the fast memory made of an event."""

    surprise_nats: float | None = Field(
        description="How little it was expected; null for what is neither success nor failure, "
        "or lies too far back to be looked at."
    )
    counted: bool = Field(description="Whether it counts in what others are served.")
    rows: list[str] = Field(description="The rows of shared memory that it counts in.")


class EventOut(BaseModel):
    """What became of an event. What the fast memory made of it stands under `memory`."""

    event_id: str
    seq: int = Field(description="Its position in the log.")
    event_type: str
    outcome: OutcomeName
    user_id: str | None
    session_id: str | None
    item_id: str | None
    value: float | None
    happened_at: Moment
    received_at: Moment
    request_id: str | None = Field(description="The recommendation it answers.")
    retracts: str | None = Field(description="The event it takes back.")
    state: EventState = Field(description="Whether the next recommendation reflects it.")
    retracted_by: str | None = Field(description="The event that took it back.")
    consolidated_in: str | None = Field(
        description="The oldest version whose weights have learned from it."
    )
    memory: FateOut | None = Field(description="Null while it waits.")
