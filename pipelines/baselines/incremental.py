"""Incremental matrix factorisation: one step of gradient for every success, no night."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from pipelines.baselines.histories import successes
from pipelines.evaluation.arm import FloatArray, Question, Setting, Ticket
from pipelines.evaluation.stream import Events

FACTORS: Final = 32
_SPREAD: Final = 0.1


class IncrementalMF:
    """ISGD (Vinagre, Jorge and Gama, 2014) with recency-based negatives (the same, 2015).

    A success of actor u with item i moves p_u and q_i down the gradient of (1 − p_u·q_i)²
    with ridge; each of `negatives` items that had no success for the longest time does the
    same with target 0 and goes to the end of the queue. One pass, in the order of time.

    The step without negatives is that of river's FunkMF fed with ones, and a test holds the
    two together. It stands here again because river keeps one small array for each item
    in a dictionary, of which the scores of a whole catalogue would be a loop over items;
    here they are one product. Unlike there, a new actor starts from a running mean of the
    actors' vectors, which ranks by popularity, and not from noise, which ranks by nothing.

    Attributes:
      trials: 1: what it was given.
      chosen: The options in use.
      items: [n_items, factors] item vectors.
      actors: Actor vectors [factors] by number.
      newcomer: [factors] what a new actor starts from.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        rate: float,
        ridge: float,
        negatives: int,
        newcomer_rate: float = 0.001,
        factors: int = FACTORS,
    ) -> None:
        rng = np.random.default_rng(setting.seed)
        self.trials = 1
        self.chosen: dict[str, Any] = {"rate": rate, "ridge": ridge, "negatives": negatives}
        self.items = rng.normal(0.0, _SPREAD, (setting.n_items, factors)).astype(np.float32)
        self.newcomer = rng.normal(0.0, _SPREAD, factors).astype(np.float32)
        self.actors: dict[int, FloatArray] = {}
        self._rate, self._decay = np.float32(rate), np.float32(1.0 - rate * ridge)
        self._negatives, self._newcomer_rate = negatives, np.float32(newcomer_rate)
        self._queue: OrderedDict[int, None] = OrderedDict()

    def start(self, events: Events) -> None:
        """One pass over the history."""
        self.learn(events)

    def learn(self, events: Events) -> None:
        """One step for each success, in order."""
        for actor, item in zip(*successes(events), strict=True):
            self._step(actor, item)

    def night(self) -> None:
        """Nothing waits for the night."""

    def ask(self, question: Question) -> Ticket:
        """The scores as they are now: every step moves item vectors of everybody."""
        actor = self.actors.get(question.actor, self.newcomer)
        # not a product of the linear algebra library: its threads cost more than they save
        return np.einsum("if,f->i", self.items, actor)

    def answer(self, tickets: Sequence[Ticket]) -> FloatArray:
        """[tickets, n_items] inner products."""
        return np.stack(tickets)

    def _step(self, actor: int, item: int) -> None:
        chosen = [item, *self._stale(item)]
        vectors = self.items[chosen]
        before = self.actors.get(actor, self.newcomer)
        errors = -(vectors @ before)
        errors[0] += 1.0
        errors *= self._rate
        self.items[chosen] = self._decay * vectors + errors[:, None] * before
        after: FloatArray = np.asarray(self._decay * before + errors @ vectors, np.float32)
        self.actors[actor] = after
        moved = self.newcomer + self._newcomer_rate * (after - self.newcomer)
        self.newcomer = np.asarray(moved, np.float32)

    def _stale(self, item: int) -> list[int]:
        """Items that wait the longest for a success; they and the item go to the end."""
        queue = self._queue
        queue.pop(item, None)
        chosen = [queue.popitem(last=False)[0] for _ in range(min(self._negatives, len(queue)))]
        queue.update(dict.fromkeys([*chosen, item]))
        return chosen
