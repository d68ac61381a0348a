"""Starting values of crosses that are new."""

import numpy as np
import pytest

from model.consolidation.handover import PRIOR, handed_over
from model.slow.bundle import Bundle
from model.slow.crosses import CrossTable
from tests.tiny_model import tiny_model


def halves():
    """A model, the same without every second cross, and with those at zero."""
    bundle, examples = tiny_model()
    p = bundle.parameters
    kept = np.arange(len(p["wide_items"])) % 2 == 0
    table = CrossTable(p["wide_indptr"], p["wide_items"], np.where(kept, p["wide_weights"], 0.0))
    before = np.concatenate([[0], np.cumsum(kept)])[table.indptr]
    poorer = {
        "wide_indptr": before,
        "wide_items": table.items[kept],
        "wide_weights": table.weights[kept],
    }
    served = Bundle(bundle.space, {**p, **poorer}, bundle.calibration)
    zeros = table.weights.astype(np.float32)
    return Bundle(bundle.space, {**p, "wide_weights": zeros}, None), served, examples, kept


def test_known_crosses_keep_their_weights_and_new_ones_begin_at_the_share_of_their_lift():
    bundle, served, examples, kept = halves()
    which = np.arange(400, 900)
    found = handed_over(bundle, served, examples, which, 0.5).parameters["wide_weights"]
    assert (found[kept] == bundle.parameters["wide_weights"][kept]).all()
    # by hand, for the new cross that was met most often
    successes = which[examples.success[which]]
    rows = bundle.space.wide_rows(examples.queries(successes))
    items = examples.item[successes]
    table_row = np.repeat(np.arange(bundle.space.n_rows), np.diff(bundle.parameters["wide_indptr"]))
    best = max(
        np.flatnonzero(~kept).tolist(),
        key=lambda n: (
            (rows == table_row[n]).any(axis=1)[items == bundle.parameters["wide_items"][n]].sum()
        ),
    )
    row, item = table_row[best], bundle.parameters["wide_items"][best]
    in_row = (rows == row).sum(axis=1)
    c, total, p = in_row[items == item].sum(), in_row.sum(), (items == item).mean()
    assert c > 2
    expected = 0.5 * max(np.log((c + PRIOR) / (total * p + PRIOR)), 0.0)
    assert found[best] == pytest.approx(expected, rel=1e-5)
    assert (found[~kept] >= 0).all()


def test_without_a_share_or_without_successes_nothing_is_handed_over():
    bundle, served, examples, _ = halves()
    assert handed_over(bundle, served, examples, np.arange(400, 900), 0.0) is bundle
    failures = np.flatnonzero(~examples.success)
    assert handed_over(bundle, served, examples, failures, 0.5) is bundle
    assert handed_over(bundle, bundle, examples, np.arange(400, 900), 0.5) is bundle
