"""Which (row, item) pairs the cross table holds, and how a request finds them.

A pair is admitted when the log supports it (count) and it says more than the item's
popularity does (lift). The table is CSR: it grows with the admitted pairs, never
with items squared (Cheng et al. 2016, section 3.1: the cross-product transformations).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class CrossTable(NamedTuple):
    """Admitted pairs in CSR form.

    Attributes:
      indptr: [n_rows + 1] where each row's entries begin.
      items: [pairs] item number of each entry, rising within a row.
      weights: [pairs] log-odds that the entry adds to the item's score.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    weights: NDArray[np.float32]


def admit(
    rows: NDArray[np.int32],
    targets: NDArray[np.int32],
    n_rows: int,
    n_items: int,
    *,
    min_count: int,
    per_row: int,
) -> CrossTable:
    """The pairs worth a weight, each with weight 0.

    Args:
      rows: [examples, slots] active rows of each success, -1 padded.
      targets: [examples] the item each success was about, 0 for unknown.
      n_rows: Rows of the table.
      n_items: Items, the unknown one included.
      min_count: Least count of a pair.
      per_row: Most pairs a row keeps: those with the largest log-likelihood gain.

    Returns:
      The table. Pairs with a lift of at most 1 and the unknown item are never in it.
    """
    active = rows >= 0
    known = (targets > 0)[:, None] & active
    row = rows[known].astype(np.int64)
    item = np.broadcast_to(targets[:, None], rows.shape)[known]
    pairs, counts = np.unique(row * n_items + item, return_counts=True)
    pair_row, pair_item = pairs // n_items, pairs % n_items
    row_count = np.bincount(row, minlength=n_rows)
    item_share = np.bincount(targets, minlength=n_items) / max(len(targets), 1)
    lift = counts / (row_count[pair_row] * item_share[pair_item])
    gain = counts * np.log(lift)
    kept = (counts >= min_count) & (lift > 1.0)
    pair_row, pair_item, gain = pair_row[kept], pair_item[kept], gain[kept]
    best_first = np.lexsort((pair_item, -gain, pair_row))
    starts = np.searchsorted(pair_row[best_first], np.arange(n_rows))
    rank = np.arange(len(best_first)) - starts[pair_row[best_first]]
    chosen = np.sort(best_first[rank < per_row])
    indptr = np.concatenate([[0], np.cumsum(np.bincount(pair_row[chosen], minlength=n_rows))])
    items = pair_item[chosen].astype(np.int32)
    return CrossTable(indptr.astype(np.int64), items, np.zeros(len(items), np.float32))


def entries(
    indptr: NDArray[np.int64], rows: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The table entries that a batch of active rows touches.

    Args:
      indptr: [n_rows + 1] as in `CrossTable`.
      rows: [batch, slots] active rows, -1 padded.

    Returns:
      positions: [touched] indices into `CrossTable.items` and `weights`.
      slot: [touched] which cell of `rows`, counted row by row, touched each.
    """
    flat = rows.ravel()
    safe = np.where(flat >= 0, flat, 0)
    starts = indptr[safe]
    lengths = np.where(flat >= 0, indptr[safe + 1] - starts, 0)
    slot = np.repeat(np.arange(flat.size), lengths)
    first = np.cumsum(lengths) - lengths
    positions = np.arange(slot.size) - np.repeat(first - starts, lengths)
    return positions, slot


def without_zeros(table: CrossTable) -> CrossTable:
    """The same table with the entries that L1 pushed to zero left out."""
    alive = table.weights != 0.0
    before = np.concatenate([[0], np.cumsum(alive)])
    return CrossTable(before[table.indptr], table.items[alive], table.weights[alive])
