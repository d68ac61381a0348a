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
    _made_at = -1

    def __init__(self, *given: Any) -> None:
        """See `Product`."""
        super().__init__(*given)
        self._made: dict[int, tuple[Question, Prepared]] = {}
        self._waiting: list[tuple[Prepared, int]] = []

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
        before = self._log.n_events
        for place in np.flatnonzero(events.outcome > 0).tolist():
            self._log.show(before + place)
            context = {name: int(column[place]) for name, column in events.context.items()}
            question = Question(int(events.actor[place]), int(events.timestamp_ms[place]), context)
            self._waiting.append((self._request(question), int(events.item[place])))
            if len(self._waiting) == _BATCH:
                self._write()
        self._log.show(before + len(events))

    def night(self) -> Mapping[str, Any]:
        """See `Arm.night`."""
        self._write()
        before = self.recommender.version
        told = super().night()
        self._made.clear()
        if self.recommender.version != before and self._errors is not None:
            self._errors.clear()
        return told

    def ask(self, question: Question) -> Any:
        """See `Arm.ask`."""
        written = self._errors.mark if self._errors else 0
        return _Ticket(self._request(question), written + len(self._waiting))

    def answer(self, tickets: Sequence[Any]) -> FloatArray:
        """See `Arm.answer`."""
        self._write()
        requests = [ticket.request for ticket in tickets]
        scores = super().answer(requests)
        if self._errors is None:
            return scores
        keys = self.recommender.hidden(requests)
        marks = np.array([ticket.mark for ticket in tickets])
        found = self._errors.correction(keys, marks, neighbours=NEIGHBOURS, temperature=TEMPERATURE)
        scores[found.reader, found.item] += np.float32(STRENGTH) * found.value
        return scores

    def probabilities(self, tickets: Sequence[Any], items: Any) -> Any:
        """See `OutcomeArm.probabilities`; the slow model's own."""
        return super().probabilities([ticket.request for ticket in tickets], items)

    def _request(self, question: Question) -> Prepared:
        """The request, made once: the replay asks just before it hands over what it asked."""
        if self._made_at != self._log.n_events:
            self._made.clear()
            self._made_at = self._log.n_events
        same = question._replace(shown=None)
        made = self._made.get(question.actor)
        if made is None or made[0] != same:
            made = self._made[question.actor] = same, super().ask(same)
        return made[1]

    def _write(self) -> None:
        """Writes the successes that wait, as they were when they were asked about."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        requests = [request for request, _ in waiting]
        items = np.array([item for _, item in waiting])
        keys = self.recommender.hidden(requests)
        if self._errors is None:
            self._errors = ErrorMemory(keys.shape[1], CAPACITY, _SLACK)
        # in the catalogue's own numbers, where 0 stands for what is not in it yet
        shares = self.recommender.scores(requests)
        shares[:, 0] = -np.inf
        shares -= shares.max(axis=1, keepdims=True)
        np.exp(shares, out=shares)
        numbers = self.numbers()[items]
        own = np.take_along_axis(shares, numbers[:, None], axis=1)[:, 0] / shares.sum(axis=1)
        self._errors.write(keys, items, own, np.ones(len(items)))
