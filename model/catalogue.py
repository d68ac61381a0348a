"""The items as they are now: numbers, vectors, metadata and who may be shown.

Items that came after the slow model was trained get numbers beyond the model's and
vectors from their attributes, so that they can be recommended at once.
"""

import dataclasses
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from model.interactions import (
    NO_ATTRIBUTES,
    Attributes,
    AttributeValue,
    ItemChange,
    Kind,
    LogRow,
)
from model.slow.scorer import FloatArray, SlowScorer
from model.storage.event_log import item_of

_CACHED_FILTERS: Final = 256
_ALWAYS: Final = np.iinfo(np.int64).min
_NEVER: Final = np.iinfo(np.int64).max
FilterValue: TypeAlias = str | float | bool
Operator: TypeAlias = Literal["eq", "ne", "in", "gte", "lte"]


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on an item attribute.

    A list attribute meets `eq` and `in` when any of its values does. An item without
    the attribute meets `ne` alone.
    """

    field: str
    op: Operator
    value: FilterValue | tuple[FilterValue, ...]


class Catalogue:
    """Items by number; number 0 is the slow model's unknown item and never shown.

    Attributes:
      ids: [items] item ids, the unknown's empty.
      revision: Rises with every change.
    """

    def __init__(self, scorer: SlowScorer) -> None:
        self._scorer = scorer
        space = scorer.space
        self.ids: list[str] = ["", *space.items.terms]
        self.revision = 0
        self._numbers = {item_id: n for n, item_id in enumerate(self.ids) if n}
        self._items: dict[int, ItemChange] = {}
        # the model knows items that nobody has described and that are here all the same
        self._met: set[str] = set()
        # items of one kind have the same known attribute values
        self._kinds: dict[tuple[int, ...], int] = {(): 0}
        self._slots: list[tuple[int, ...]] = [()]
        self._pairs: NDArray[np.int64] | None = None
        self._unknown_slots = frozenset(space.item_attributes.offsets)
        self._filters: OrderedDict[Filter, NDArray[np.bool_]] = OrderedDict()
        self._vectors: FloatArray = scorer.vectors
        self._bias: FloatArray = scorer.bias
        self._share: FloatArray = scorer.share
        self._kind = np.zeros(len(self.ids), np.int32)
        self._visible = np.zeros(len(self.ids), bool)
        self._from_ms = np.full(len(self.ids), _ALWAYS, np.int64)
        self._until_ms = np.full(len(self.ids), _NEVER, np.int64)
        self._has_times = False
        self._barred: FloatArray = np.zeros(0, np.float32)
        self._barred_at = -1

    def __len__(self) -> int:
        """Numbers in use, the unknown item's included."""
        return len(self.ids)

    @property
    def vectors(self) -> FloatArray:
        """[items, d] item vectors."""
        return self._vectors[: len(self.ids)]

    @property
    def bias(self) -> FloatArray:
        """[items] log popularity by the slow model; new items take the unknown's."""
        return self._bias[: len(self.ids)]

    @property
    def share(self) -> FloatArray:
        """[items] share of successes that the slow model expects."""
        return self._share[: len(self.ids)]

    def number(self, item_id: str) -> int:
        """The item's number, 0 when there is no such item."""
        return self._numbers.get(item_id, 0)

    def follow(self, rows: Sequence[LogRow]) -> bool:
        """Takes the next rows of the log, in their order: items get numbers as they appear.

        An item that an event names is here though nobody has described it, unless it was
        deleted.

        Returns:
          Whether metadata changed.
        """
        changes: list[ItemChange] = []
        strange = {row.item_id for row in rows} - self._met - {None}
        described = False
        for row in rows:
            if row.kind == Kind.ITEM:
                changes.append(item_of(row))
                described = True
            elif row.item_id is not None and row.item_id in strange:
                changes.append(ItemChange(row.item_id, {}))
            else:
                continue
            strange.discard(row.item_id)
        if changes:
            self.put(changes)
        return described

    def items(self) -> list[ItemChange]:
        """What `put` makes the same catalogue of, in the order of numbers."""
        known = self._scorer.space.items.size
        gone = ItemChange("", None)
        return [
            dataclasses.replace(self._items.get(number, gone), item_id=item_id)
            for number, item_id in enumerate(self.ids)
            if item_id in self._met or number >= known
        ]

    def put(self, items: Iterable[ItemChange]) -> None:
        """Takes new or changed metadata; an item without attributes is deleted."""
        changed: list[tuple[int, ItemChange]] = []
        known = len(self.ids)
        for item in items:
            number = self._numbers.get(item.item_id)
            if number is None:
                number = len(self.ids)
                self.ids.append(item.item_id)
                self._numbers[item.item_id] = number
            changed.append((number, item))
        self._reserve(len(self.ids))
        if len(self.ids) > known:
            self._vectors[known : len(self.ids)] = self._vector_of(NO_ATTRIBUTES)
        for number, item in changed:
            self._set(number, item)
        self._filters.clear()
        self.revision += 1

    def _reserve(self, length: int) -> None:
        """Room for this many items; doubling keeps the cost of an item constant."""
        have = len(self._visible)
        if length <= have:
            return
        extra = max(length, 2 * have) - have
        width = self._vectors.shape[1]
        scorer = self._scorer
        self._vectors = np.concatenate([self._vectors, np.zeros((extra, width), np.float32)])
        self._bias = np.concatenate([self._bias, np.full(extra, scorer.bias[0])])
        self._share = np.concatenate([self._share, np.full(extra, scorer.share[0])])
        self._kind = np.concatenate([self._kind, np.zeros(extra, np.int32)])
        self._visible = np.concatenate([self._visible, np.zeros(extra, bool)])
        self._from_ms = np.concatenate([self._from_ms, np.full(extra, _ALWAYS)])
        self._until_ms = np.concatenate([self._until_ms, np.full(extra, _NEVER)])

    def _set(self, number: int, item: ItemChange) -> None:
        self._met.add(item.item_id)
        if item.attributes is None:
            self._items.pop(number, None)
            self._kind[number] = 0
            self._visible[number] = False
            return
        self._items[number] = item
        self._visible[number] = not item.hidden
        self._has_times |= (item.available_from_ms, item.available_until_ms) != (None, None)
        self._from_ms[number] = (
            _ALWAYS if item.available_from_ms is None else item.available_from_ms
        )
        self._until_ms[number] = (
            _NEVER if item.available_until_ms is None else item.available_until_ms
        )
        slots, weights = self._scorer.space.item_attributes.weighted_slots(item.attributes)
        self._kind[number] = self._kind_of(tuple(s for s in slots if s not in self._unknown_slots))
        if number >= self._scorer.space.items.size:
            self._vectors[number] = self._scorer.vector_of(slots, weights)

    def _kind_of(self, slots: tuple[int, ...]) -> int:
        kind = self._kinds.setdefault(slots, len(self._slots))
        if kind == len(self._slots):
            self._slots.append(slots)
            self._pairs = None
        return kind

    def _vector_of(self, attributes: Attributes) -> FloatArray:
        """The vector of an item newer than the model."""
        slots, weights = self._scorer.space.item_attributes.weighted_slots(attributes)
        return self._scorer.vector_of(slots, weights)

    def allowed(self, now_ms: int) -> NDArray[np.bool_]:
        """[items] whether the item may be shown at this moment."""
        n = len(self.ids)
        if not self._has_times:
            return self._visible[:n].copy()
        return np.asarray(
            self._visible[:n] & (self._from_ms[:n] <= now_ms) & (now_ms < self._until_ms[:n])
        )

    def barred(self, now_ms: int) -> FloatArray:
        """[items] 0 where the item may be shown at this moment, else -inf; to be read alone."""
        if self._has_times or self._barred_at != self.revision:
            allowed, zero = self.allowed(now_ms), np.float32(0.0)
            self._barred = np.where(allowed, zero, np.float32(-np.inf))
            self._barred_at = self.revision
        return self._barred

    def is_described(self, number: int) -> bool:
        """Whether the item has an attribute that the slow model has learned from."""
        item = self._items.get(number)
        learned = (encoder.name for encoder in self._scorer.space.item_attributes.encoders)
        return item is not None and any(name in (item.attributes or {}) for name in learned)

    @property
    def n_attribute_slots(self) -> int:
        """Joint numbers of item attribute values."""
        return self._scorer.space.item_attributes.size

    def attribute_slots(self, number: int) -> tuple[int, ...]:
        """Joint numbers of the item's known attribute values."""
        return self._slots[int(self._kind[number])]

    @property
    def kinds(self) -> NDArray[np.int32]:
        """[items] number of each item's kind; items of one have the same known values."""
        return self._kind[: len(self.ids)]

    @property
    def n_kinds(self) -> int:
        """Kinds that have been met."""
        return len(self._slots)

    def attribute_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """[pairs] kinds and [pairs] joint numbers of the known attribute values."""
        if self._pairs is None:
            pairs = [(kind, slot) for kind, slots in enumerate(self._slots) for slot in slots]
            self._pairs = np.array(pairs, np.int64).reshape(-1, 2).T
        return self._pairs[0], self._pairs[1]

    def title(self, number: int) -> str:
        """The item's title where it has one, otherwise its id."""
        item = self._items.get(number)
        title = item.attributes.get("title") if item and item.attributes else None
        return title if isinstance(title, str) and title else self.ids[number]

    def matching(self, condition: Filter) -> NDArray[np.bool_]:
        """[items] whether the item meets the condition.

        Raises:
          BadInputError: If no item has the attribute, or the operator does not fit the value.
        """
        cached = self._filters.get(condition)
        if cached is not None:
            self._filters.move_to_end(condition)
            return cached
        values = {
            number: item.attributes[condition.field]
            for number, item in self._items.items()
            if item.attributes is not None and condition.field in item.attributes
        }
        if not values:
            raise BadInputError(
                f"filters: expected an attribute that some item has, got {condition.field!r}",
                "unknown_filter_field",
            )
        matched = np.full(len(self.ids), condition.op == "ne")
        for number, value in values.items():
            matched[number] = _meets(value, condition)
        self._filters[condition] = matched
        if len(self._filters) > _CACHED_FILTERS:
            self._filters.popitem(last=False)
        return matched


def _meets(value: AttributeValue, condition: Filter) -> bool:
    own = value if isinstance(value, tuple) else (value,)
    wanted = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if condition.op in ("eq", "in"):
        return any(one in wanted for one in own)
    if condition.op == "ne":
        return not any(one in wanted for one in own)
    if len(wanted) != 1:
        raise BadInputError(f"filters: {condition.op} needs one value, got {len(wanted)}")
    limit = wanted[0]
    return any(
        _at_least(one, limit) if condition.op == "gte" else _at_least(limit, one) for one in own
    )


def _at_least(left: FilterValue, right: FilterValue) -> bool:
    """Whether left ≥ right, numbers among numbers and text among text."""
    if isinstance(left, str) and isinstance(right, str):
        return left >= right
    if isinstance(left, str) or isinstance(right, str):
        return False
    return left >= right
