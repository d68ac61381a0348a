"""Fast crosses handed to the slow model: a cross that is new begins at what the day said of it.

The fast memory says of a (row, item) pair how much more often the item succeeded in the row
than everywhere: log((c + a) / (C·p + a)), see `model/fast/crosses.py`. A cross that the
night admits begins at a share of this instead of at zero; FTRL with L1 then decides. What
the slow model knows already keeps its weight.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.slow.bundle import Bundle
from model.slow.examples import Examples

PRIOR: Final = 10.0
_EVENTS_AT_ONCE: Final = 65_536


def handed_over(
    bundle: Bundle, served: Bundle, examples: Examples, which: NDArray[np.intp], share: float
) -> Bundle:
    """The bundle with its new crosses at a share of their fast value.

    Args:
      bundle: Has the crosses that were admitted tonight; left unchanged.
      served: The same feature space, with the crosses before.
      examples: Events.
      which: Positions of the new events.
      share: How much of the fast value a cross begins at; 0 leaves all at zero.
    """
    n_items = bundle.space.items.size
    keys, known = (_keys(one, n_items) for one in (bundle, served))
    fresh = ~np.isin(keys, known, assume_unique=True)
    successes = which[examples.success[which]]
    if share <= 0 or not fresh.any() or not len(successes):
        return bundle
    count, of_row = np.zeros(len(keys)), np.zeros(bundle.space.n_rows)
    for start in range(0, len(successes), _EVENTS_AT_ONCE):
        part = successes[start : start + _EVENTS_AT_ONCE]
        rows = bundle.space.wide_rows(examples.queries(part))
        items = np.broadcast_to(examples.item[part][:, None], rows.shape)
        there = rows >= 0
        of_row += np.bincount(rows[there], minlength=len(of_row))
        met, times = np.unique(
            rows[there].astype(np.int64) * n_items + items[there], return_counts=True
        )
        at = np.searchsorted(keys, met)
        hit = (at < len(keys)) & (keys[np.minimum(at, len(keys) - 1)] == met)
        count[at[hit]] += times[hit]
    row, item = np.divmod(keys, n_items)
    share_of = np.bincount(examples.item[successes], minlength=n_items) / len(successes)
    lift = np.log((count + PRIOR) / (of_row[row] * share_of[item] + PRIOR))
    weights = bundle.parameters["wide_weights"].copy()
    weights[fresh] = (share * np.maximum(lift, 0.0))[fresh]
    return Bundle(bundle.space, {**bundle.parameters, "wide_weights": weights}, bundle.calibration)


def _keys(bundle: Bundle, n_items: int) -> NDArray[np.int64]:
    """[pairs] each cross as one number, rising."""
    indptr = bundle.parameters["wide_indptr"]
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return np.asarray(rows * n_items + bundle.parameters["wide_items"], np.int64)
