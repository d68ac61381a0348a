"""Grows a bundle for ids, attribute values and crosses that came after it was trained.

Vocabularies only ever append, so a grown table is the old one with rows gathered from
it: the old rows where they now belong, and for everything new the row that stood for it
so far, the unknown one. Hence nothing moves: the grown bundle scores every request as
the old one did, and every new item as the serving catalogue did.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.interactions import Attributes
from model.slow.bundle import DERIVED, Bundle, make_bundle
from model.slow.columns import EventColumns, Metadata
from model.slow.crosses import CrossTable, entries
from model.slow.features import (
    CONTEXT,
    HOUR,
    USER,
    AttributeEncoder,
    AttributeSpace,
    FeatureSpace,
    categories,
)
from model.slow.nearby import Nearby
from model.slow.parameters import Parameters, slot_arrays
from model.slow.schema import AttributeType

NOWHERE: Final = -1

Sources: TypeAlias = NDArray[np.int64]
"""For each row of a grown table the row of the old one that it starts from, or -1."""

SlotRow: TypeAlias = tuple[list[int], list[float]]
"""An item's attribute values and their weights."""


def grown_space(space: FeatureSpace, columns: EventColumns, metadata: Metadata) -> FeatureSpace:
    """The space with the users, items and attribute values of these events appended.

    Numeric attributes keep their buckets. Attributes that the schema gained since the
    model was trained stay out until it is trained from scratch.
    """
    items = space.items.extended(columns.item.different())
    signed_in = columns.actor.take(columns.signed_in).different()
    actors = columns.actor.different()
    return replace(
        space,
        items=items,
        users=space.users.extended(signed_in),
        item_attributes=_grown(space.item_attributes, [metadata.item(i) for i in items.terms]),
        query_attributes=_grown(
            space.query_attributes,
            [
                *(_prefixed(USER, metadata.user(actor)) for actor in actors),
                *(_prefixed(CONTEXT, moment) for moment in columns.moments_met()),
            ],
        ),
    )


def _prefixed(prefix: str, attributes: Attributes) -> Attributes:
    return {prefix + name: value for name, value in attributes.items()}


def _grown(space: AttributeSpace, rows: Sequence[Attributes]) -> AttributeSpace:
    return AttributeSpace([_grown_encoder(encoder, rows) for encoder in space.encoders])


def _grown_encoder(encoder: AttributeEncoder, rows: Iterable[Attributes]) -> AttributeEncoder:
    # the hour of the day is complete from the start and comes from the clock alone
    if encoder.kind is AttributeType.NUMBER or encoder.name == CONTEXT + HOUR:
        return encoder
    values = (row[encoder.name] for row in rows if encoder.name in row)
    terms = sorted({term for value in values for term in categories(value)})
    return replace(encoder, terms=encoder.terms.extended(terms))


def growth(old: FeatureSpace, new: FeatureSpace) -> dict[str, int]:
    """How many users, items and attribute values `new` has that `old` has not."""
    return {
        "new_users": len(new.users) - len(old.users),
        "new_items": len(new.items) - len(old.items),
        "new_attribute_values": new.item_attributes.size
        + new.query_attributes.size
        - old.item_attributes.size
        - old.query_attributes.size,
    }


def grown(bundle: Bundle, space: FeatureSpace, metadata: Metadata) -> Bundle:
    """The same model in a larger feature space; nothing moves, to the bit.

    What is new stands where the serving path put it: a new item has the unknown's
    embedding and bias, its known attribute values and no crosses; a new user is the
    unknown user; a new attribute value is its attribute's unknown one, crosses included.
    (A request that lists known categories together with new ones is the exception: the
    new ones, passed over so far, now count.)

    Args:
      bundle: The model; left unchanged.
      space: From `grown_space`, of the bundle's own space.
      metadata: Attributes of the new items.
    """
    old, p = bundle.space, bundle.parameters
    items = _appended(old.items.size, space.items.size)
    users = _appended(old.users.size, space.users.size)
    query = _attribute_sources(old.query_attributes, space.query_attributes)
    item_rows = _attribute_sources(old.item_attributes, space.item_attributes)
    starts: dict[str, Sources] = {
        "item_embedding": items,
        "item_bias": items,
        "item_share": items,
        "outcome_item_bias": items,
        "user_embedding": users,
        "query_attribute_embedding": query,
    }
    if len(item_rows):  # without attributes the table holds one row that nothing names
        starts["item_attribute_embedding"] = item_rows
    arrays: Parameters = {name: p[name] for name in p if name not in DERIVED}
    arrays |= {name: p[name][rows] for name, rows in starts.items()}
    arrays |= _grown_slots(bundle, space, metadata)
    arrays |= _grown_table(bundle, items, query)
    arrays |= Nearby.of(p).grown(space.items.size).arrays()
    return make_bundle(space, arrays, bundle.calibration)


def _appended(old_size: int, new_size: int) -> Sources:
    """Rows of a vocabulary's table: the old ones, then the unknown's for each new term."""
    rows = np.zeros(new_size, np.int64)
    rows[:old_size] = np.arange(old_size)
    return rows


def _attribute_sources(old: AttributeSpace, new: AttributeSpace) -> Sources:
    """Rows of a joint attribute table: encoders that grow push later ones along."""
    parts = [
        offset + _appended(before.size, after.size)
        for before, after, offset in zip(old.encoders, new.encoders, old.offsets, strict=False)
    ]
    return np.concatenate([np.empty(0, np.int64), *parts])


def _slot_rows(bundle: Bundle) -> list[SlotRow]:
    """The attribute values of every item, the unknown one first."""
    slots, weights = bundle.parameters["item_slots"], bundle.parameters["item_slot_weights"]
    borders = bundle.parameters["item_slot_indptr"].tolist()
    return [
        (slots[start:end].tolist(), weights[start:end].tolist())
        for start, end in itertools.pairwise(borders)
    ]


def _grown_slots(bundle: Bundle, space: FeatureSpace, metadata: Metadata) -> Parameters:
    """The items' attribute values where the larger space has them; none is a new one yet."""
    old = bundle.space.item_attributes
    fresh = space.items.terms[len(bundle.space.items) :]
    rows = [old.weighted_slots(metadata.item(item)) for item in fresh]
    arrays = slot_arrays(_slot_rows(bundle) + rows)
    shifts = np.subtract(space.item_attributes.offsets, old.offsets).astype(np.int32)
    slots = arrays["item_slots"]
    arrays["item_slots"] = slots + shifts[np.searchsorted(old.offsets, slots, side="right") - 1]
    return arrays


def _grown_table(bundle: Bundle, items: Sources, query: Sources) -> Parameters:
    """The cross table with its rows where the larger space looks for them."""
    p, size = bundle.parameters, bundle.space.items.size
    # a new item's own rows are empty: what is unknown was never crossed as an item
    own = np.where(np.arange(len(items)) < size, items, NOWHERE)
    blocks = [np.where(own >= 0, own + block * size, NOWHERE) for block in range(3)]
    rows = np.concatenate([*blocks, 3 * size + query])
    positions, row = entries(p["wide_indptr"], rows[:, None].astype(np.int32))
    lengths = np.bincount(row, minlength=len(rows))
    return {
        "wide_indptr": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "wide_items": p["wide_items"][positions],
        "wide_weights": p["wide_weights"][positions],
    }


def with_crosses(bundle: Bundle, admitted: CrossTable) -> Bundle:
    """The same model with newly admitted pairs in its cross table, at weight 0.

    Args:
      bundle: The model; left unchanged.
      admitted: Pairs to have, in the model's own numbers. Those that its table holds
        already keep their weights.
    """
    p, n_items = dict(bundle.parameters), bundle.space.items.size
    present = _keys(p["wide_indptr"], p["wide_items"], n_items)
    fresh = np.setdiff1d(_keys(admitted.indptr, admitted.items, n_items), present)
    keys = np.concatenate([present, fresh])
    order = np.argsort(keys, kind="stable")
    row, item = np.divmod(keys[order], n_items)
    p["wide_indptr"] = np.searchsorted(row, np.arange(bundle.space.n_rows + 1)).astype(np.int64)
    p["wide_items"] = item.astype(np.int32)
    p["wide_weights"] = np.pad(p["wide_weights"], (0, len(fresh)))[order]
    return replace(bundle, parameters=p)


def _keys(indptr: NDArray[np.int64], items: NDArray[np.int32], n_items: int) -> NDArray[np.int64]:
    """[pairs] each pair as one number, in the order of rows, then items."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return np.asarray(rows * n_items + items, np.int64)


def described(bundle: Bundle, metadata: Metadata) -> Bundle:
    """The same model with every item's attributes as they are now, new values included.

    Items that nobody describes any more, such as deleted ones, keep what they had: they
    live on in people's histories.
    """
    space = bundle.space
    rows = _slot_rows(bundle)
    for number, item in enumerate(space.items.terms, start=1):
        if attributes := metadata.item(item):
            rows[number] = space.item_attributes.weighted_slots(attributes)
    arrays = {name: array for name, array in bundle.parameters.items() if name not in DERIVED}
    return make_bundle(space, arrays | slot_arrays(rows), bundle.calibration)
