"""What the slow model sees: attributes, history and context as numbers.

Training and serving both come through here, so a feature cannot mean one thing
offline and another online.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import CorruptBundleError
from model.interactions import Attributes, AttributeValue
from model.slow.schema import AttributeType, Schema
from model.slow.vocabulary import UNKNOWN, Vocabulary

PADDING: Final = -1
HOUR: Final = "hour"
USER: Final = "user."
CONTEXT: Final = "context."
_HOUR_MS: Final = 3_600_000


class QueryBatch(NamedTuple):
    """The query side of a batch of requests, as indices.

    Attributes:
      user: [batch] user numbers, 0 unknown.
      liked: [batch, history] items of recent successes, newest first, -1 padded.
      disliked: [batch, history] items of recent failures, newest first, -1 padded.
      last: [batch] the item of the newest event of any outcome, -1 for none.
      attributes: [batch, slots] user attribute and context values, -1 padded.
    """

    user: NDArray[np.int32]
    liked: NDArray[np.int32]
    disliked: NDArray[np.int32]
    last: NDArray[np.int32]
    attributes: NDArray[np.int32]


@dataclass(frozen=True)
class AttributeEncoder:
    """Turns one attribute into numbers; number 0 stands for missing or unknown.

    Attributes:
      name: The attribute.
      kind: Its type in the schema; never `TEXT`, which is not learned.
      terms: Its categories, empty for `NUMBER`.
      edges: Bucket borders of a `NUMBER`, rising; bucket k holds values in
        [edges[k-2], edges[k-1]).
    """

    name: str
    kind: AttributeType
    terms: Vocabulary
    edges: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Rows an embedding table of this attribute needs."""
        if self.kind is AttributeType.NUMBER:
            return len(self.edges) + 2
        return self.terms.size

    def numbers(self, value: AttributeValue | None) -> list[int]:
        """The value's numbers: one, or one for each known category of a list."""
        if value is None:
            return [UNKNOWN]
        if self.kind is AttributeType.NUMBER:
            return [self._bucket(value)]
        known = [self.terms.number(term) for term in categories(value)]
        return [number for number in known if number != UNKNOWN] or [UNKNOWN]

    def _bucket(self, value: AttributeValue) -> int:
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return UNKNOWN
        return 1 + int(np.searchsorted(self.edges, number, side="right"))

    def words(self, number: int) -> str:
        """The value behind a number, for people."""
        if number == UNKNOWN:
            return "unknown"
        if self.kind is not AttributeType.NUMBER:
            return str(self.terms.term(number))
        low = f"{self.edges[number - 2]:g}" if number > 1 else "-∞"
        high = f"{self.edges[number - 1]:g}" if number <= len(self.edges) else "∞"
        return f"{low} to {high}"


def categories(value: AttributeValue) -> tuple[str, ...]:
    """An attribute's value as category names."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return (value,) if isinstance(value, str) else (f"{value:g}",)


class AttributeSpace:
    """Several attributes numbered one after the other in one table."""

    def __init__(self, encoders: Sequence[AttributeEncoder]) -> None:
        self.encoders = tuple(encoders)
        sizes = [encoder.size for encoder in self.encoders]
        self.offsets = [0, *np.cumsum(sizes, dtype=int).tolist()]

    @property
    def size(self) -> int:
        """Rows of the joint table."""
        return int(self.offsets[-1])

    def slots(self, attributes: Attributes, prefix: str = "") -> list[int]:
        """Joint numbers of the values of every attribute whose name begins with `prefix`.

        Args:
          attributes: Values by name, the prefix left off; a missing one gives its unknown.
          prefix: Chooses the attributes; all of them by default.
        """
        return [
            offset + number
            for encoder, offset in zip(self.encoders, self.offsets, strict=False)
            if encoder.name.startswith(prefix)
            for number in encoder.numbers(attributes.get(encoder.name[len(prefix) :]))
        ]

    def words(self, slot: int) -> str:
        """A joint number as `name=value`."""
        which = int(np.searchsorted(self.offsets, slot, side="right")) - 1
        encoder = self.encoders[which]
        return f"{encoder.name}={encoder.words(slot - self.offsets[which])}"

    def weighted_slots(self, attributes: Attributes) -> tuple[list[int], list[float]]:
        """Joint numbers with weights that add up to 1 within each attribute."""
        slots: list[int] = []
        weights: list[float] = []
        for encoder, offset in zip(self.encoders, self.offsets, strict=False):
            numbers = encoder.numbers(attributes.get(encoder.name))
            slots.extend(offset + number for number in numbers)
            weights.extend([1.0 / len(numbers)] * len(numbers))
        return slots, weights


@dataclass(frozen=True)
class FeatureSpace:
    """Everything needed to turn a request into a `QueryBatch`, and an item into slots.

    Attributes:
      items: Item ids.
      users: User ids.
      item_attributes: Attributes of items.
      query_attributes: Attributes of users, then of the moment; a user attribute
        is named `user.x` and one of the request `context.x`.
      history: Length of the history inputs.
      wide_history: How much of each history the wide half crosses.
    """

    items: Vocabulary
    users: Vocabulary
    item_attributes: AttributeSpace
    query_attributes: AttributeSpace
    history: int
    wide_history: int

    @property
    def n_rows(self) -> int:
        """Rows of the cross table: liked, disliked and last items, then query attributes."""
        return 3 * self.items.size + self.query_attributes.size

    def user_slots(self, user: Attributes) -> list[int]:
        """Joint numbers of a user's attributes, the leading part of `QueryBatch.attributes`."""
        return self.query_attributes.slots(user, USER)

    def context_slots(self, context: Attributes, now_ms: int) -> list[int]:
        """Joint numbers of a moment's attributes, the rest of `QueryBatch.attributes`."""
        return self.query_attributes.slots({**context, HOUR: hour_name(now_ms)}, CONTEXT)

    def wide_rows(self, batch: QueryBatch) -> NDArray[np.int32]:
        """Rows of the cross table that each request activates.

        Items newer than this space have numbers beyond it and activate no row.

        Returns:
          [batch, 2·wide_history + 1 + slots] row numbers, -1 padded. The order is
          liked, disliked, last, attributes.
        """
        rows = [self.history_rows(batch), self.attribute_rows(batch.attributes)]
        return np.concatenate(rows, axis=1)

    def history_rows(self, batch: QueryBatch) -> NDArray[np.int32]:
        """[batch, 2·wide_history + 1] the leading part of `wide_rows`."""
        size = self.items.size
        blocks = (
            batch.liked[:, : self.wide_history],
            batch.disliked[:, : self.wide_history],
            batch.last[:, None],
        )
        return np.concatenate(
            [
                np.where((block >= 0) & (block < size), block + place * size, PADDING)
                for place, block in enumerate(blocks)
            ],
            axis=1,
        ).astype(np.int32)

    def repeats(
        self, rows: NDArray[np.int32]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32]]:
        """Where requests meet items of their own history, from their active rows.

        Args:
          rows: [batch, slots] as `wide_rows` gives them.

        Returns:
          request: [meetings] row of the batch.
          place: [meetings] place in the history: likes, dislikes, then the last item.
          item: [meetings] number of the item.
        """
        length = self.wide_history
        history = rows[:, : 2 * length + 1]
        request, place = np.nonzero(history >= 0)
        block = np.minimum(place // length, 2)
        return request, place, history[request, place] - (block * self.items.size).astype(np.int32)

    def attribute_rows(self, attributes: NDArray[np.int32]) -> NDArray[np.int32]:
        """[batch, slots] the rest of `wide_rows`."""
        offset = np.int32(3 * self.items.size)
        return np.where(attributes >= 0, attributes + offset, np.int32(PADDING))

    def row_words(self, row: int) -> tuple[str, str]:
        """A row of the cross table as (feature, value): `("liked", item id)` and so on."""
        size = self.items.size
        if row < 3 * size:
            feature = ("liked", "disliked", "last")[row // size]
            return feature, self.items.term(row % size) or "unknown"
        name, _, value = self.query_attributes.words(row - 3 * size).partition("=")
        return name, value

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values from which `from_json` makes an equal space."""
        return {
            "items": self.items.terms,
            "users": self.users.terms,
            "item_attributes": _encoders_as_json(self.item_attributes),
            "query_attributes": _encoders_as_json(self.query_attributes),
            "history": self.history,
            "wide_history": self.wide_history,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "FeatureSpace":
        """The space that `as_json` described.

        Raises:
          CorruptBundleError: If a part is missing or malformed.
        """
        try:
            return cls(
                items=Vocabulary(stored["items"]),
                users=Vocabulary(stored["users"]),
                item_attributes=_encoders_from_json(stored["item_attributes"]),
                query_attributes=_encoders_from_json(stored["query_attributes"]),
                history=int(stored["history"]),
                wide_history=int(stored["wide_history"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptBundleError(f"the feature space cannot be read: {error!r}") from error


def hour_name(now_ms: int) -> str:
    """The UTC hour of a moment, `00` to `23`."""
    return f"{now_ms // _HOUR_MS % 24:02d}"


def padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    """[rows, longest] the rows side by side, -1 padded."""
    width = max((len(row) for row in rows), default=0)
    table = np.full((len(rows), width), PADDING, np.int32)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table


def fit_encoder(
    name: str, kind: AttributeType, values: Iterable[AttributeValue], n_buckets: int
) -> AttributeEncoder:
    """An encoder fitted to the values seen; categories are numbered in sorted order."""
    if kind is AttributeType.NUMBER:
        numbers = np.array([v for value in values if (v := _as_number(value)) is not None])
        quantiles = np.linspace(0, 1, n_buckets + 1)[1:-1]
        edges = np.unique(np.quantile(numbers, quantiles)) if numbers.size else np.array([])
        return AttributeEncoder(name, kind, Vocabulary(), tuple(edges.tolist()))
    terms = sorted({term for value in values for term in categories(value)})
    return AttributeEncoder(name, kind, Vocabulary(terms))


def fit_spaces(
    schema: Schema,
    items: Sequence[Attributes],
    users: Sequence[Attributes],
    contexts: Sequence[Attributes],
    n_buckets: int,
) -> tuple[AttributeSpace, AttributeSpace]:
    """Item and query attribute spaces fitted to the attributes seen; `TEXT` is left out."""

    def encoders(
        types: Mapping[str, AttributeType], rows: Sequence[Attributes], prefix: str
    ) -> list[AttributeEncoder]:
        return [
            fit_encoder(prefix + name, kind, (r[name] for r in rows if name in r), n_buckets)
            for name, kind in sorted(types.items())
            if kind is not AttributeType.TEXT
        ]

    hours = [hour_name(hour * _HOUR_MS) for hour in range(24)]
    hour = AttributeEncoder(CONTEXT + HOUR, AttributeType.CATEGORY, Vocabulary(hours))
    query = [
        *encoders(schema.user, users, USER),
        *encoders({n: t for n, t in schema.context.items() if n != HOUR}, contexts, CONTEXT),
        hour,
    ]
    return AttributeSpace(encoders(schema.item, items, "")), AttributeSpace(query)


def _as_number(value: AttributeValue) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _encoders_as_json(space: AttributeSpace) -> list[dict[str, Any]]:
    return [
        {"name": e.name, "type": e.kind.value, "terms": e.terms.terms, "edges": list(e.edges)}
        for e in space.encoders
    ]


def _encoders_from_json(stored: Sequence[Mapping[str, Any]]) -> AttributeSpace:
    return AttributeSpace(
        [
            AttributeEncoder(
                row["name"],
                AttributeType(row["type"]),
                Vocabulary(row["terms"]),
                tuple(float(edge) for edge in row["edges"]),
            )
            for row in stored
        ]
    )
