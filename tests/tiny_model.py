"""A small slow model with random weights on the test world, for tests that need no training."""

from typing import NamedTuple

import numpy as np

from model.interactions import EventRules, ItemChange, LogRow, UserChange
from model.slow.bundle import Bundle, Calibration, make_bundle
from model.slow.columns import Metadata, event_columns
from model.slow.config import SlowConfig
from model.slow.examples import Examples
from model.slow.mixture import no_mixture
from model.slow.nearby import PLACES
from model.slow.parameters import initial_parameters
from model.slow.space import admitted, fit_space, nearby, success_counts
from tests.worlds import SCHEMA, metadata, ratings

CONFIG = SlowConfig(
    dimensions=8,
    user_dimensions=4,
    attribute_dimensions=4,
    hidden=16,
    history=10,
    wide_history=5,
    cross_min_count=3,
    batch_size=64,
    max_epochs=6,
    deep_learning_rate=0.01,
)


_STARTS_AT_ZERO = (
    "hidden_bias",
    "query_bias",
    "outcome_query_bias",
    "outcome_item_bias",
    "repeat_weights",
)


class TinyModel(NamedTuple):
    """The model and the events it knows."""

    bundle: Bundle
    examples: Examples


def tiny_world_columns(seed=0):
    """The test world's events as columns, and its metadata."""
    return columns_of(ratings(np.random.default_rng(seed)))


def columns_of(events, described=None):
    """Events as columns, in this order, and the world's metadata, by default the test world's."""
    rows = [
        LogRow(
            n,
            0,
            e.event_id,
            e.event_type,
            e.user_id,
            e.item_id,
            e.value,
            e.timestamp_ms,
            0,
            None,
            None,
        )
        for n, e in enumerate(events, 1)
    ]
    described = metadata() if described is None else described
    return event_columns(rows, EventRules()), Metadata(
        {c.item_id: c.attributes for c in described if isinstance(c, ItemChange) and c.attributes},
        {c.user_id: c.attributes for c in described if isinstance(c, UserChange) and c.attributes},
    )


def tiny_model(seed=0, config=CONFIG) -> TinyModel:
    """A model of the test world whose every array is random, cross weights included."""
    columns, described = tiny_world_columns()
    space = fit_space(columns, described, SCHEMA, config)
    examples = Examples(columns, space, described)
    everything = np.arange(len(examples))
    rng = np.random.default_rng(seed)
    table = admitted(examples, everything, config)
    table = table._replace(weights=rng.normal(scale=0.05, size=len(table.items)).astype(np.float32))
    counts = success_counts(examples, everything)
    near = nearby(examples, everything, config)
    parameters = initial_parameters(space, described.item, counts, table, config, rng)
    parameters |= {**near.arrays(), **no_mixture()}
    parameters["trust"] = np.array([0.8], np.float32)
    parameters["nearby_weights"] = np.geomspace(0.2, 0.02, PLACES).astype(np.float32)
    parameters["return_weights"] = np.geomspace(0.01, 0.001, PLACES).astype(np.float32)
    for name in _STARTS_AT_ZERO:
        parameters[name] = rng.normal(scale=0.1, size=parameters[name].shape).astype(np.float32)
    return TinyModel(make_bundle(space, parameters, Calibration(0.9, 0.1)), examples)


def halves_alone(bundle: Bundle) -> Bundle:
    """The same model without what is chosen nearby."""
    return make_bundle(bundle.space, {**bundle.parameters, **no_mixture()}, bundle.calibration)
