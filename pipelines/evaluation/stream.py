"""What a protocol replays: the events in their order, and where questions and nights fall."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.interactions import Attributes
from model.workspace import Config

Candidates: TypeAlias = Literal["all", "unseen", "seen", "shown"]
"""Which items compete for a question: every item known by then, those that the actor has
not met yet, those that the actor has met, or the list that was shown."""

Truth: TypeAlias = Callable[[int], NDArray[np.float64]]
"""[items] the planted worth of every item to the actor at the moment of a row."""

DAY_MS: Final = 86_400_000

BEFORE_TURN: Final = -1
NO_TURN: Final = -2


@dataclass(frozen=True)
class Events:
    """Events column by column, in the order of time; a slice is cheap.

    Attributes:
      actor: [events] number of the user or session.
      item: [events] item number.
      kind: [events] number of the event type.
      value: [events] the rating, NaN where there is none.
      timestamp_ms: [events] never falling.
      outcome: [events] 1 a success, -1 a failure, 0 neither.
      context: Attributes of the moment by name: [events] numbers into the stream's `terms`.
    """

    actor: NDArray[np.int32]
    item: NDArray[np.int32]
    kind: NDArray[np.int8]
    value: NDArray[np.float32]
    timestamp_ms: NDArray[np.int64]
    outcome: NDArray[np.int8]
    context: Mapping[str, NDArray[np.int16]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of events."""
        return len(self.actor)

    def take(self, which: slice | NDArray[np.integer]) -> "Events":
        """The chosen events."""
        columns = {
            f.name: getattr(self, f.name)[which] for f in fields(self) if f.name != "context"
        }
        context = {name: column[which] for name, column in self.context.items()}
        return Events(**columns, context=context)


@dataclass(frozen=True)
class Stream:
    """One data set under one protocol.

    Rows with the same time stamp form a group: all of them are asked before any of them
    is learned. Within a group the rows stand in the order of (actor, item), which has
    nothing to do with the order of the file, unless the file's order is the only clock.

    Attributes:
      name: Of the protocol, as on the command line and in the results.
      actors: Ids of users or sessions.
      items: Ids of items.
      kinds: Event types.
      terms: Values of each context attribute.
      events: All of them.
      group: [rows] number of the group of rows that is asked at once, never falling.
      bootstrap: Rows before this one are history; the models start from them.
      nights: Rows before which a night falls, rising; a night learns the rows before it.
      asked: [rows] whether the replayed row is a question of ranking.
      judged: [rows] whether the replayed row is a question of outcome: how likely is
        success, given that this item was shown.
      block: [rows] the day or period, for intervals.
      candidates: Which items compete.
      metrics: Metrics of ranking, such as `ndcg@10`, `hr@10`, `recall@20`, `mrr@20`,
        `coverage@10`; for shown lists `auc`, `mrr`, `ndcg@5`, `ndcg@10`.
      sessions: Whether the actors are anonymous sessions and not users.
      item_attributes: Known from the start; these items are in the catalogue from the start.
      user_attributes: Known from the start.
      config: Settings of the product's arms on these data.
      truth: The planted worth of the items; None for real data.
      since_turn: [rows] events of the actor since its taste was turned round; `BEFORE_TURN`
        where that is still to come, `NO_TURN` where it never comes. None for real data.
    """

    name: str
    actors: list[str]
    items: list[str]
    kinds: list[str]
    events: Events
    group: NDArray[np.int64]
    bootstrap: int
    nights: NDArray[np.int64]
    asked: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    block: NDArray[np.int32]
    candidates: Candidates
    metrics: tuple[str, ...]
    terms: Mapping[str, list[str]] = field(default_factory=dict)
    sessions: bool = False
    item_attributes: Mapping[str, Attributes] = field(default_factory=dict)
    user_attributes: Mapping[str, Attributes] = field(default_factory=dict)
    config: Config = field(default_factory=Config)
    truth: Truth | None = None
    since_turn: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.events)
