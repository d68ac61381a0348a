"""The same list for everybody: what succeeded most, or most lately."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from model.errors import BadInputError
from pipelines.evaluation.arm import FloatArray, Question, Setting, Ticket
from pipelines.evaluation.stream import Events


class Popularity:
    """Number of successes of each item, up to the moment of the question."""

    def __init__(self, setting: Setting) -> None:
        self.trials = 1
        self.chosen: dict[str, Any] = {}
        self._counts = np.zeros(setting.n_items, np.float32)

    def start(self, events: Events) -> None:
        """Counts the history."""
        self.learn(events)

    def learn(self, events: Events) -> None:
        """Counts the successes."""
        np.add.at(self._counts, events.item[events.outcome > 0], np.float32(1.0))

    def night(self) -> None:
        """Nothing waits for the night."""

    def ask(self, question: Question) -> Ticket:  # noqa: ARG002 - the same for everybody
        """The counts as they are now."""
        return self._counts.copy()

    def answer(self, tickets: Sequence[Ticket]) -> FloatArray:
        """[tickets, n_items] counts."""
        return np.stack(tickets)


class DecayedPopularity:
    """Successes of each item, each worth half of what it was a half-life ago.

    All worths fade alike, so the order changes with events only. What is kept is
    log2(Σ 2^(t/half_life)), which neither overflows nor underflows however long the
    stream and however short the half-life.

    Attributes:
      trials: 1: what it was given.
      chosen: The half-life in use, in seconds.
    """

    def __init__(self, setting: Setting, half_life_s: float) -> None:
        if not 0.0 < half_life_s < math.inf:
            raise BadInputError(f"half_life_s must be positive and finite, got {half_life_s}")
        self.trials = 1
        self.chosen: dict[str, Any] = {"half_life_s": half_life_s}
        self._half_life_ms = 1000.0 * half_life_s
        self._level = np.full(setting.n_items, -np.inf)
        self._origin_ms = 0

    def start(self, events: Events) -> None:
        """Adds the successes of the history."""
        if len(events):
            self._origin_ms = int(events.timestamp_ms[-1])
        self.learn(events)

    def learn(self, events: Events) -> None:
        """Adds the successes at their moments."""
        which = events.outcome > 0
        np.logaddexp2.at(self._level, events.item[which], self._ages(events.timestamp_ms[which]))

    def night(self) -> None:
        """Nothing waits for the night."""

    def ask(self, question: Question) -> Ticket:
        """log2 of the worths at the moment of the question."""
        return (self._level - self._ages(question.timestamp_ms)).astype(np.float32)

    def answer(self, tickets: Sequence[Ticket]) -> FloatArray:
        """[tickets, n_items] log2 of the worths; -inf before the first success."""
        return np.stack(tickets)

    def _ages(self, timestamp_ms: Any) -> Any:
        """Half-lives since the end of the history."""
        return (timestamp_ms - self._origin_ms) / self._half_life_ms
