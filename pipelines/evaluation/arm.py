"""What is compared: anything that answers questions about events it has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from model.interactions import Attributes
from pipelines.evaluation.stream import Events

FloatArray = NDArray[np.float32]
Ticket = Any


class Question(NamedTuple):
    """What may be known of an event that is about to happen. The event is not here.

    Attributes:
      actor: Number of the user or session.
      timestamp_ms: The moment.
      context: Attributes of the moment by name: numbers into the stream's terms.
      shown: Items that are shown, in no order that tells anything; None for the
        whole catalogue.
    """

    actor: int
    timestamp_ms: int
    context: Mapping[str, int]
    shown: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Setting:
    """What an arm is told before it starts: sizes and metadata, no event.

    Attributes:
      n_actors: Users or sessions, those to come included.
      n_items: Items, those to come included.
      items: Item ids.
      item_attributes: Attributes known from the start, by item id.
      repeats: Whether the actor's own items compete again.
      seed: Decides everything random.
    """

    n_actors: int
    n_items: int
    items: Sequence[str]
    item_attributes: Mapping[str, Attributes]
    repeats: bool
    seed: int


class Arm(Protocol):
    """One way to recommend, replayed event by event.

    A question is asked in two steps. `ask` is called at the question's moment and keeps
    whatever the answer depends on and time may change; `answer` is called later, with the
    tickets of many questions, always before the next night. So arithmetic is batched and
    nothing that came after the question can reach its answer, as long as `answer` reads
    nothing but tickets and what only nights change. The harness tests that.
    """

    def start(self, events: Events) -> None:
        """Learns the history; called once, before all else."""

    def learn(self, events: Events) -> None:
        """Takes events that have been asked about, in order."""

    def night(self) -> Mapping[str, Any] | None:
        """A day has ended: the time for what is not done after every event.

        Returns:
          What the record is to say of this night, or nothing.
        """

    def ask(self, question: Question) -> Ticket:
        """What the answer depends on, as it is now; must not change afterwards."""

    def answer(self, tickets: Sequence[Ticket]) -> FloatArray:
        """[tickets, n_items] scores, the higher the better; -inf where there is none."""


class OutcomeArm(Arm, Protocol):
    """An arm that also says how likely success is."""

    def probabilities(
        self, tickets: Sequence[Ticket], items: NDArray[np.integer]
    ) -> NDArray[np.float64] | None:
        """[tickets] chance that `items` [tickets], once shown, is a success; None without one."""
