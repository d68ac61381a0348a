"""Which (row, item) pairs the cross table holds, and how a request finds them.

A pair is admitted when the log supports it (count) and it says more than the item's
popularity does (lift). The table is CSR: it grows with the admitted pairs, never
with items squared (Cheng et al. 2016, section 3.1: the cross-product transformations).
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

_PAIRS_AT_ONCE: Final = 2**24

Batches: TypeAlias = Callable[[], Iterable[tuple[NDArray[np.int32], NDArray[np.int32]]]]
"""Gives batches of active rows [batch, slots] and targets [batch], from the start each time."""


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
    batches: Batches, n_rows: int, n_items: int, *, min_count: int, per_row: int
) -> CrossTable:
    """The pairs worth a weight, each with weight 0.

    The pairs are counted a bounded number at a time, a share of the rows after the other,
    so memory grows with what is admitted and not with what occurs.

    Args:
      batches: Gives the successes batch by batch, anew at every call: [batch, slots]
        active rows of each, -1 padded, and [batch] the item it was about, 0 for unknown.
      n_rows: Rows of the table.
      n_items: Items, the unknown one included.
      min_count: Least count of a pair.
      per_row: Most pairs a row keeps: those with the largest log-likelihood gain.

    Returns:
      The table. Pairs with a lift of at most 1 and the unknown item are never in it.
    """
    row_count, item_count = np.zeros(n_rows, np.int64), np.zeros(n_items, np.int64)
    for rows, targets in batches():
        row, _ = _pairs(rows, targets)
        row_count += np.bincount(row, minlength=n_rows)
        item_count += np.bincount(targets, minlength=n_items)
    share = item_count / max(int(item_count.sum()), 1)
    n_parts = 1 + int(row_count.sum()) // _PAIRS_AT_ONCE
    admitted = [
        _admitted(_keys(batches, n_items, part, n_parts), row_count, share, min_count, per_row)
        for part in range(n_parts)
    ]
    row, item = np.divmod(np.sort(np.concatenate(admitted)), n_items)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n_rows))])
    weights = np.zeros(len(item), np.float32)
    return CrossTable(indptr.astype(np.int64), item.astype(np.int32), weights)


def _pairs(
    rows: NDArray[np.int32], targets: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """[pairs] row, and item, of every pair that occurs, the unknown item left out."""
    known = (rows >= 0) & (targets > 0)[:, None]
    return rows[known], np.broadcast_to(targets[:, None], rows.shape)[known]


def _keys(batches: Batches, n_items: int, part: int, n_parts: int) -> NDArray[np.int64]:
    """[pairs] each pair that occurs in one share of the rows, as one number."""
    found = [np.empty(0, np.int64)]
    for rows, targets in batches():
        if n_parts > 1:
            rows = np.where(rows % n_parts == part, rows, -1)
        row, item = _pairs(rows, targets)
        found.append(row.astype(np.int64) * n_items + item)
    return np.concatenate(found)


def _admitted(
    keys: NDArray[np.int64],
    row_count: NDArray[np.int64],
    item_share: NDArray[np.float64],
    min_count: int,
    per_row: int,
) -> NDArray[np.int64]:
    """[pairs] those of these pairs that are worth a weight."""
    keys, counts = np.unique(keys, return_counts=True)
    often = counts >= min_count
    keys, counts = keys[often], counts[often]
    row, item = np.divmod(keys, len(item_share))
    lift = counts / (row_count[row] * item_share[item])
    says = lift > 1.0
    keys, row, gain = keys[says], row[says], (counts * np.log(lift))[says]
    best_first = np.lexsort((keys, -gain, row))
    row = row[best_first]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    return keys[best_first[rank < per_row]]


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
