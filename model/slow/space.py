"""Fits the feature space, the admitted crosses and the popularity to a set of events."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.slow.columns import EventColumns, Metadata
from model.slow.config import SlowConfig
from model.slow.crosses import CrossTable, admit
from model.slow.examples import Examples
from model.slow.features import FeatureSpace, fit_spaces
from model.slow.nearby import Nearby, counted
from model.slow.schema import Schema
from model.slow.vocabulary import Vocabulary

_EVENTS_AT_ONCE: Final = 65_536


def fit_space(
    columns: EventColumns, metadata: Metadata, schema: Schema, config: SlowConfig
) -> FeatureSpace:
    """Vocabularies and attribute encoders of these events, ids in order of appearance.

    Items that nobody has interacted with stay out: an id that was never trained
    would be noise, while the unknown id with the item's attributes is not.
    """
    items = columns.item.different()
    actors = columns.actor.different()
    signed_in = columns.actor.take(columns.signed_in).different()
    item_space, query_space = fit_spaces(
        schema,
        [metadata.item(item) for item in items],
        [metadata.user(actor) for actor in actors],
        columns.moments_met(),
        config.number_buckets,
    )
    return FeatureSpace(
        items=Vocabulary(items),
        users=Vocabulary(signed_in),
        item_attributes=item_space,
        query_attributes=query_space,
        history=config.history,
        wide_history=config.wide_history,
    )


def success_counts(examples: Examples, which: NDArray[np.intp]) -> NDArray[np.float64]:
    """[items] weighted successes of each item among the events at these positions."""
    chosen = which[examples.success[which]]
    size = examples.space.items.size
    counts = np.bincount(examples.item[chosen], examples.weight[chosen], minlength=size)
    counts[0] = 0.0
    return np.asarray(counts, np.float64)


def nearby(examples: Examples, which: NDArray[np.intp], config: SlowConfig) -> Nearby:
    """What the successes at these positions say of what is chosen near what."""
    per_row = 0 if config.halves == "deep" else config.nearby_per_row
    return counted(examples, which, per_row)


def admitted(examples: Examples, which: NDArray[np.intp], config: SlowConfig) -> CrossTable:
    """The crosses that the successes at these positions support."""
    chosen = which[examples.success[which]]
    space = examples.space
    if config.halves == "deep":
        chosen = chosen[:0]

    def batches() -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        for start in range(0, len(chosen), _EVENTS_AT_ONCE):
            which = chosen[start : start + _EVENTS_AT_ONCE]
            yield space.wide_rows(examples.queries(which)), examples.item[which]

    return admit(
        batches,
        space.n_rows,
        space.items.size,
        min_count=config.cross_min_count,
        per_row=config.crosses_per_row,
    )
