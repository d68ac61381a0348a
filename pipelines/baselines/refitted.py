"""The frame of the baselines that are fitted again every night and read a live history."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipelines.baselines.histories import Histories, Popular, rows
from pipelines.evaluation.arm import FloatArray, Question, Setting, Ticket
from pipelines.evaluation.stream import Events


class Refitted(ABC):
    """Fits all successes so far at the start and every night; histories are live.

    Attributes:
      trials: 1: what it was given.
      chosen: The options in use.
    """

    def __init__(self, setting: Setting, options: dict[str, Any]) -> None:
        self.trials = 1
        self.chosen = options
        self._histories = Histories(setting.n_items)
        self._popular = Popular(setting.n_items)
        self._tie_break = np.zeros(setting.n_items, np.float32)

    @abstractmethod
    def fit(self, successes: sp.csr_matrix, popular: Popular) -> None:
        """Fits [actors, n_items] ones, at least one of them."""

    @abstractmethod
    def score(self, histories: sp.csr_matrix) -> FloatArray:
        """[histories, n_items] scores of [histories, n_items] ones, for a fitted model."""

    def start(self, events: Events) -> None:
        """Learns the history and fits it."""
        self.learn(events)
        self.night()

    def learn(self, events: Events) -> None:
        """Takes the successes into the histories."""
        self._histories.learn(events)
        self._popular.learn(events)

    def night(self) -> None:
        """Fits everything again."""
        self._tie_break = self._popular.tie_break()
        if self._tie_break.any():
            self.fit(self._histories.matrix(), self._popular)

    def ask(self, question: Question) -> Ticket:
        """The actor's history as it is now."""
        return self._histories.of(question.actor)

    def answer(self, tickets: Sequence[Ticket]) -> FloatArray:
        """[tickets, n_items] scores; popularity breaks ties."""
        if not self._tie_break.any():
            return np.zeros((len(tickets), self._histories.n_items), np.float32)
        scores = self.score(rows(tickets, self._histories.n_items))
        return np.asarray(scores + self._tie_break, np.float32)
