"""The attributes of a moment as numbers: of a request, and of an event as the log holds it."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from model.interactions import NO_ATTRIBUTES, Attributes
from model.slow.features import CONTEXT, FeatureSpace

_CACHED: Final = 10_000
_HOUR_MS: Final = 3_600_000


class Moments:
    """Reads the attributes of moments; what was read of late is kept.

    Attributes:
      unknown: Joint numbers that stand for a missing or unknown value.
    """

    def __init__(self, space: FeatureSpace) -> None:
        self._space = space
        attributes = space.query_attributes
        self.unknown = frozenset(attributes.offsets)
        self._read: OrderedDict[tuple[str | None, int], tuple[tuple[int, ...], tuple[int, ...]]] = (
            OrderedDict()
        )

    def of_request(self, context: Attributes, now_ms: int) -> list[int]:
        """Joint numbers of a request's attributes."""
        return self._space.context_slots(context, now_ms)

    def of_event(self, details: str | None, timestamp_ms: int) -> tuple[int, ...]:
        """Joint numbers of an event's attributes."""
        return self._slots(details, timestamp_ms)[0]

    def known(self, details: str | None, timestamp_ms: int) -> Sequence[int]:
        """The same without those that stand for a missing or unknown value."""
        return self._slots(details, timestamp_ms)[1]

    def _slots(
        self, details: str | None, timestamp_ms: int
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        key = (details, timestamp_ms // _HOUR_MS % 24)
        slots = self._read.get(key)
        if slots is None:
            properties = json.loads(details).get("properties") if details else None
            found = self._space.context_slots(properties or NO_ATTRIBUTES, timestamp_ms)
            known = tuple(slot for slot in found if slot not in self.unknown)
            slots = self._read[key] = (tuple(found), known)
            if len(self._read) > _CACHED:
                self._read.popitem(last=False)
        return slots

    def fields(self) -> list[str]:
        """[joint numbers] the name of each one's attribute, without the prefix."""
        attributes = self._space.query_attributes
        return [
            encoder.name.removeprefix(CONTEXT)
            for encoder in attributes.encoders
            for _ in range(encoder.size)
        ]

    def context_fields(self) -> list[str]:
        """The attributes of a moment, the prefix left off."""
        names = [encoder.name for encoder in self._space.query_attributes.encoders]
        return [name.removeprefix(CONTEXT) for name in names if name.startswith(CONTEXT)]
