"""What the slow model makes of events that others learn from: moments, segments, chances."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.adaptation import History, Person, request
from model.catalogue import Catalogue
from model.interactions import NO_ATTRIBUTES
from model.moments import Moments
from model.slow.features import PADDING
from model.slow.scorer import SlowScorer

_NOTHING = History((), (), PADDING)


class Expectations:
    """Reads events in the slow model's numbers; see `model.fast.memory.Reading`."""

    def __init__(self, scorer: SlowScorer, catalogue: Catalogue, moments: Moments) -> None:
        self._scorer = scorer
        self._catalogue = catalogue
        self._moments = moments
        self._chances: dict[int, NDArray[np.float64]] = {}

    def context(self, details: str | None, timestamp_ms: int) -> Sequence[int]:
        """Joint numbers of the known attributes of an event's moment."""
        return self._moments.known(details, timestamp_ms)

    def segments(self, details: str | None) -> tuple[int, ...]:
        """Joint numbers of the known attributes of a user, from a log row's details."""
        if self._scorer.calibration is None:
            return ()
        attributes = json.loads(details).get("attributes") if details else None
        slots = self._scorer.space.user_slots(attributes or NO_ATTRIBUTES)
        return tuple(slot for slot in slots if slot not in self._moments.unknown)

    def attributes(self, item: int) -> Sequence[int]:
        """Joint numbers of an item's known attributes."""
        return self._catalogue.attribute_slots(item)

    def chances(self, segments: Sequence[int], item: int) -> list[float]:
        """The chances that an item succeeds with users of whom one of these is all that is known.

        An item that came after the model has those of an unknown one.
        """
        number = item if item < len(self._scorer.bias) else 0
        known = self._chances
        for segment in segments:
            if segment not in known:
                known[segment] = self._chances_of(segment)
        return [known[segment].item(number) for segment in segments]

    def _chances_of(self, segment: int) -> NDArray[np.float64]:
        scorer = self._scorer
        batch = request(scorer.space, Person(0, [segment], described=True), _NOTHING)
        hidden = scorer.hidden(scorer.history_inputs(batch, scorer.vectors), batch.attributes)
        found = scorer.probabilities(hidden, scorer.vectors, np.arange(len(scorer.bias))[None, :])
        return np.full(len(scorer.bias), 0.5) if found is None else found[0]
