"""The slow model's arrays: how they start, and how they grow when ids are new."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.interactions import Attributes
from model.slow.config import SlowConfig
from model.slow.crosses import CrossTable
from model.slow.features import AttributeSpace, FeatureSpace
from model.slow.vocabulary import UNKNOWN

Parameters: TypeAlias = dict[str, NDArray[Any]]
"""Arrays by name, as in the bundle; `docs/bundle.md` lists shapes and meanings."""

_EMBEDDING_SCALE = 0.1
_COSINE_SCALE = 16.0
_LEAST_SQUARE = np.float32(1e-12)


def initial_parameters(
    space: FeatureSpace,
    item_attributes: Callable[[str], Attributes],
    success_counts: NDArray[np.float64],
    table: CrossTable,
    config: SlowConfig,
    rng: np.random.Generator,
) -> Parameters:
    """Arrays before training; biases start at log popularity, crosses at zero.

    Args:
      space: The feature space.
      item_attributes: Attributes of an item id.
      success_counts: [items.size] successes of each item, the unknown one first.
      table: Admitted crosses.
      config: Shapes.
      rng: Where the random starting values come from.

    Returns:
      Every array of the bundle but the derived ones, and those of what is counted nearby.
    """
    d, hidden = config.dimensions, config.hidden
    n_inputs = config.user_dimensions + config.attribute_dimensions + 3 * d + 2

    normal, glorot = partial(_normal, rng), partial(_glorot, rng)
    # recency starts with a half-life of 20 events, and is then learned
    decay = (-np.log(2) / 20 * np.arange(space.history)).astype(np.float32)
    items = normal(space.items.size, d)
    items[UNKNOWN] = 0.0
    deep = config.halves != "wide"
    # at first a query is what was liked and what came last: training starts from likeness
    straight = np.concatenate([np.eye(d), np.zeros((d, d)), np.eye(d)])
    cosine = config.similarity == "cosine"
    return {
        "item_embedding": items,
        "item_attribute_embedding": normal(max(space.item_attributes.size, 1), d),
        **item_slots(space.items.terms, space.item_attributes, item_attributes),
        "item_bias": log_share(success_counts),
        "item_share": share(success_counts),
        "user_embedding": normal(space.users.size, config.user_dimensions),
        "query_attribute_embedding": normal(
            space.query_attributes.size, config.attribute_dimensions
        ),
        "liked_decay": decay,
        "disliked_decay": decay.copy(),
        "hidden_kernel": glorot(n_inputs, hidden),
        "hidden_bias": np.zeros(hidden, np.float32),
        "query_kernel": deep * np.concatenate([glorot(hidden, d), straight], dtype=np.float32),
        "query_bias": np.zeros(d, np.float32),
        "query_scale": np.array([_COSINE_SCALE if cosine else 0.0], np.float32),
        "outcome_kernel": glorot(hidden + 3 * d, d),
        "outcome_query_bias": np.zeros(d, np.float32),
        "outcome_user_kernel": glorot(hidden + 3 * d, 1),
        "outcome_item_bias": np.zeros(space.items.size, np.float32),
        "wide_indptr": table.indptr,
        "wide_items": table.items,
        "wide_weights": table.weights,
        "repeat_weights": np.zeros(2 * space.wide_history + 1, np.float32),
    }


def _normal(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return (_EMBEDDING_SCALE * rng.standard_normal(shape)).astype(np.float32)


def _glorot(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    limit = np.sqrt(6.0 / (rows + columns))
    return rng.uniform(-limit, limit, (rows, columns)).astype(np.float32)


def share(success_counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """[items] share of all successes, one pseudo-success given to every item."""
    smoothed = success_counts + 1.0
    return np.asarray(smoothed / smoothed.sum(), np.float32)


def log_share(success_counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """[items] log of `share`."""
    return np.log(share(success_counts)).astype(np.float32)


def item_slots(
    items: Sequence[str],
    attributes: AttributeSpace,
    item_attributes: Callable[[str], Attributes],
) -> Parameters:
    """The attribute values of every item in CSR form, the unknown item first.

    Returns:
      item_slot_indptr [items + 2], item_slots and item_slot_weights [values]; the
      weights of one attribute of one item add up to 1.
    """
    rows = [attributes.weighted_slots({})]
    return slot_arrays(rows + [attributes.weighted_slots(item_attributes(i)) for i in items])


def slot_arrays(rows: Sequence[tuple[Sequence[int], Sequence[float]]]) -> Parameters:
    """The slots and weights of every item, the unknown one first, as `item_slots` has them."""
    lengths = [len(slots) for slots, _ in rows]
    return {
        "item_slot_indptr": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "item_slots": np.array([s for slots, _ in rows for s in slots], np.int32),
        "item_slot_weights": np.array([w for _, ws in rows for w in ws], np.float32),
    }


def item_vectors(parameters: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """[items, d] id embedding plus the mean embedding of each attribute's values.

    At length 1 where vectors meet by cosine.
    """
    indptr = parameters["item_slot_indptr"]
    vectors = parameters["item_embedding"].astype(np.float32).copy()
    slots = parameters["item_slots"]
    if len(slots):
        weighted = parameters["item_attribute_embedding"][slots]
        weighted = weighted * parameters["item_slot_weights"][:, None]
        rows = np.repeat(np.arange(len(vectors)), np.diff(indptr))
        np.add.at(vectors, rows, weighted)
    return normalised(vectors) if parameters["query_scale"][0] > 0 else vectors


def normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """[..., d] the vectors at length 1, but for those that are almost zero."""
    squares = (vectors * vectors).sum(axis=-1, keepdims=True)
    return np.asarray(vectors / np.sqrt(np.maximum(squares, _LEAST_SQUARE)))
