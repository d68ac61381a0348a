"""The slow model with a memory of its errors: the nearest published neighbour of the product."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from model.prepared import Prepared
from pipelines.baselines.error_memory import ErrorMemory
from pipelines.evaluation.arm import FloatArray, Question
from pipelines.evaluation.product import Product
from pipelines.evaluation.stream import Events

CAPACITY: Final = 5_000
NEIGHBOURS: Final = 50
TEMPERATURE: Final = 0.1
STRENGTH: Final = 5.0
_SLACK: Final = 50_000
_BATCH: Final = 256


class _Ticket(NamedTuple):
    request: Prepared
    mark: int


class WithErrorMemory(Product):
    """ReLoop2 (Zhu et al., KDD 2023) over the slow model, see `ErrorMemory`.

    Every success is written with the slow model's hidden vector and the probability that
    its softmax gave the item just before. A new version of the model empties the memory, as
    in the paper: old keys mean nothing to it.
    """

    _errors: ErrorMemory | None = None

    @property
    def chosen(self) -> Mapping[str, Any]:
        """The settings of the memory."""
        return {
            "capacity": CAPACITY,
            "neighbours": NEIGHBOURS,
            "temperature": TEMPERATURE,
            "strength": STRENGTH,
        }

    def learn(self, events: Events) -> None:
        """See `Arm.learn`; each success is asked about before it is shown."""
        before, written = self._log.n_events, []
        for place in np.flatnonzero(events.outcome > 0).tolist():
            self._log.show(before + place)
            context = {name: int(column[place]) for name, column in events.context.items()}
            question = Question(int(events.actor[place]), int(events.timestamp_ms[place]), context)
            written.append((super().ask(question), int(events.item[place])))
            if len(written) == _BATCH:
                self._write(written)
                written = []
        self._write(written)
        self._log.show(before + len(events))

    def night(self) -> Mapping[str, Any]:
        """See `Arm.night`."""
        before = self.recommender.version
        told = super().night()
        if self.recommender.version != before and self._errors is not None:
            self._errors.clear()
        return told

    def ask(self, question: Question) -> Any:
        """See `Arm.ask`."""
        return _Ticket(super().ask(question), self._errors.mark if self._errors else 0)

    def answer(self, tickets: Sequence[Any]) -> FloatArray:
        """See `Arm.answer`."""
        requests = [ticket.request for ticket in tickets]
        scores = super().answer(requests)
        if self._errors is None:
            return scores
        keys = self.recommender.hidden(requests)
        marks = np.array([ticket.mark for ticket in tickets])
        correction = self._errors.correction(
            keys, marks, scores.shape[1], neighbours=NEIGHBOURS, temperature=TEMPERATURE
        )
        return np.asarray(scores + np.float32(STRENGTH) * correction)

    def probabilities(self, tickets: Sequence[Any], items: Any) -> Any:
        """See `OutcomeArm.probabilities`; the slow model's own."""
        return super().probabilities([ticket.request for ticket in tickets], items)

    def _write(self, written: list[tuple[Prepared, int]]) -> None:
        if not written:
            return
        requests = [request for request, _ in written]
        items = np.array([item for _, item in written])
        scores = super().answer(requests)
        keys = self.recommender.hidden(requests)
        if self._errors is None:
            self._errors = ErrorMemory(keys.shape[1], CAPACITY, _SLACK)
        best = scores.max(axis=1, keepdims=True)
        shares = np.exp(scores - best)
        own = np.take_along_axis(shares, items[:, None], axis=1)[:, 0] / shares.sum(axis=1)
        self._errors.write(keys, items, own, np.ones(len(items)))
