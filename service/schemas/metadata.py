"""Items and users: what is known of them, and the receipt of an erasure."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

from model.interactions import Attributes, ItemChange, UserChange
from service.schemas.fields import (
    MAX_BATCH,
    AttributesIn,
    Id,
    In,
    OutcomeName,
    PatchIn,
    Timestamp,
)


def iso(time_ms: int) -> str:
    """A moment as replies write it."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds")


Moment = Annotated[
    int, PlainSerializer(iso, return_type=str), Field(json_schema_extra={"format": "date-time"})
]


class ItemIn(In):
    """The whole metadata of an item from now on."""

    attributes: AttributesIn = Field(default_factory=dict, description="Such as title or genres.")
    hidden: bool = Field(False, description="Keeps the item out of every list.")
    available_from: Timestamp | None = Field(
        None, description="First moment it may be recommended."
    )
    available_until: Timestamp | None = Field(
        None, description="First moment it may no longer be recommended."
    )

    @model_validator(mode="after")
    def _available_at_all(self) -> "ItemIn":
        check_span(self.available_from, self.available_until)
        return self

    def to_change(self, item_id: str) -> ItemChange:
        """The same in the model's terms."""
        return ItemChange(
            item_id, self.attributes, self.hidden, self.available_from, self.available_until
        )


def check_span(from_ms: int | None, until_ms: int | None) -> None:
    """Refuses a span that ends before it begins.

    Raises:
      PydanticCustomError: If it does.
    """
    if from_ms is not None and until_ms is not None and until_ms <= from_ms:
        raise PydanticCustomError("available_span", "available_until must lie after available_from")


class ItemOfBatchIn(ItemIn):
    """One item of a batch."""

    item_id: Id


class ItemsIn(In):
    """Many items in one call; a bad one does not reject its neighbours."""

    items: list[ItemOfBatchIn] = Field(min_length=1, max_length=MAX_BATCH)


class ItemPatchIn(In):
    """Changes to an item's metadata; what is not named stays."""

    attributes: PatchIn = Field(
        default_factory=dict, description="Attributes to set; null takes one away."
    )
    hidden: bool | None = Field(None, description="Absent or null: stays.")
    available_from: Timestamp | None = Field(None, description="Null: always. Absent: stays.")
    available_until: Timestamp | None = Field(None, description="Null: for ever. Absent: stays.")

    def applied_to(self, present: ItemChange) -> ItemChange:
        """The item with these changes made."""
        named = self.model_fields_set
        return ItemChange(
            present.item_id,
            patched(present.attributes, self.attributes),
            present.hidden if self.hidden is None else self.hidden,
            self.available_from if "available_from" in named else present.available_from_ms,
            self.available_until if "available_until" in named else present.available_until_ms,
        )


class UserIn(In):
    """The whole metadata of a user from now on."""

    attributes: AttributesIn = Field(default_factory=dict, description="Such as age or occupation.")

    def to_change(self, user_id: str) -> UserChange:
        """The same in the model's terms."""
        return UserChange(user_id, self.attributes)


class UserOfBatchIn(UserIn):
    """One user of a batch."""

    user_id: Id


class UsersIn(In):
    """Many users in one call; a bad one does not reject its neighbours."""

    users: list[UserOfBatchIn] = Field(min_length=1, max_length=MAX_BATCH)


class UserPatchIn(In):
    """Changes to a user's metadata; what is not named stays."""

    attributes: PatchIn = Field(
        default_factory=dict, description="Attributes to set; null takes one away."
    )


def patched(present: Attributes | None, changes: dict[str, Any]) -> Attributes:
    """Attributes with changes made; None takes one away."""
    both = {**(present or {}), **changes}
    return {name: value for name, value in both.items() if value is not None}


class ItemMetadataOut(BaseModel):
    """What is known of an item."""

    item_id: str
    attributes: dict[str, Any]
    hidden: bool
    available_from: Moment | None
    available_until: Moment | None


class ItemChangedOut(ItemMetadataOut):
    """An item as it is now."""

    seq: int | None = Field(description="Log position of the change; null when nothing changed.")


class UserMetadataOut(BaseModel):
    """What is known of a user."""

    user_id: str
    attributes: dict[str, Any]


class UserChangedOut(UserMetadataOut):
    """A user as it is now."""

    seq: int | None = Field(description="Log position of the change; null when nothing changed.")


class DeletedOut(BaseModel):
    """An item that is no more."""

    item_id: str
    seq: int = Field(description="Log position of the deletion.")


class RefusedEntryOut(BaseModel):
    """An item or user of a batch that was refused."""

    index: int = Field(description="Its place in the batch, from 0.")
    code: str
    detail: str


class BatchOut(BaseModel):
    """What became of a batch of items or users; what changed is durable."""

    changed: int
    unchanged: int = Field(description="Equal to the present state, and not written.")
    rejected: list[RefusedEntryOut]
    first_seq: int | None = Field(description="Log position of the first change.")
    last_seq: int | None = Field(description="Log position of the last change.")


class ReceiptOut(BaseModel):
    """What an erasure removed. Keep it: the log itself knows a digest of the id alone."""

    user_id: str
    user_digest: str = Field(description="SHA-256 of the user id: all that the log keeps.")
    erased_at: Moment
    events: int = Field(description="Events removed from the log.")
    metadata_changes: int = Field(description="Changes of the user's metadata removed.")
    items: int = Field(description="Items removed because these events alone had named them.")
    seq: int | None = Field(description="Log position of the erasure; null: nothing was known.")
    memory: str = Field(description="When the fast memory forgets.")
    weights: str = Field(description="When the trained weights forget.")
    model_version: str | None = Field(description="The version that serves now.")


class ExemplarOut(BaseModel):
    """One event that is remembered as it was."""

    model_config = ConfigDict(extra="allow")

    event_id: str
    event_type: str
    item_id: str
    outcome: OutcomeName
    happened_at: Moment
    age_s: float = Field(ge=0)
    surprise_nats: float | None = Field(
        description="How little it was expected; null for what is neither success nor failure."
    )
    chance: float | None = Field(description="Of success, as the trained model saw it then.")


class LessonOut(BaseModel):
    """What was learned about others like this user."""

    segment: str = Field(description="To whom it applies, such as occupation=writer.")
    attribute: str = Field(description="To which items, such as genre=Drama.")
    shift: float = Field(description="In log-odds.")
    support: float = Field(description="How much is known: the sum of p(1 - p).")
    score_test: float = Field(description="About N(0, 1) where there is nothing to learn.")


class MemoryOut(BaseModel):
    """What the fast memory holds of a user."""

    model_config = ConfigDict(extra="allow")

    user_id: str
    model_version: str
    memory_as_of: int
    exemplars: list[ExemplarOut] = Field(description="The newest events, newest first.")
    strength: float = Field(description="How far it can move an item of mean length: log-odds.")
    shift: float = Field(description="How far outcomes lie off the chances that were said.")
    support: float = Field(description="How much is known of that: the sum of p(1 - p).")
    score_test: float = Field(description="About N(0, 1) where there is nothing to learn.")
    lessons: list[LessonOut]
    refused_items: list[str] = Field(description="Never recommended to this user.")
