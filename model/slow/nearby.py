"""What is chosen near what: counted chances that stand beside the trained halves.

Where an item has been met a few times only, a weight of its own for every cross learns little,
and an embedding learns less. A count says something at once: how often two items were chosen
near each other, as a share of all that was chosen near the first. Its lift is that share over
the item's share of everything. With z the log-odds that were trained and L the lifts of the
items that somebody chose last, the score is

    trust · z + log(1 + Σ weight · L)

A return to one of these items is such a chance too: its lift is one over the item's share.

The counts are not trained with the halves: a count that holds the very choice it is to explain
drowns them, and one that leaves it out teaches them to say the opposite. Trust and weights are
few, and are fitted on choices that neither the halves nor the counts have seen.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.slow.crosses import entries
from model.slow.examples import Examples

PLACES: Final = 10
"""How many of the newest successes of a history are looked at."""

_PAIRED: Final = 5
_NEARNESS: Final = 0.8
# What a row must have counted before its neighbours say half of what they could.
_PRIOR: Final = 10.0
_EVENTS_AT_ONCE: Final = 65_536
_PAIRS_AT_ONCE: Final = 2**23


class Nearby(NamedTuple):
    """Counts of items chosen near an item, in CSR form.

    Attributes:
      indptr: [items + 1] where each item's neighbours begin.
      items: [pairs] item numbers, rising within a row.
      counts: [pairs] how often, the farther apart the less; the same both ways.
      totals: [items] all that was counted near each, neighbours that were let go included.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    counts: NDArray[np.float32]
    totals: NDArray[np.float32]

    @classmethod
    def of(cls, parameters: Mapping[str, NDArray[Any]]) -> "Nearby":
        """Those of a model."""
        return cls(*(parameters[f"nearby_{name}"] for name in cls._fields))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `of` takes."""
        return {f"nearby_{name}": array for name, array in self._asdict().items()}

    @property
    def rows(self) -> NDArray[np.int64]:
        """[pairs] the item whose neighbours they are."""
        return np.repeat(np.arange(len(self.totals)), np.diff(self.indptr))

    def lifts(self, share: NDArray[np.floating]) -> NDArray[np.float32]:
        """[pairs] how many times its share of everything an item has of its row.

        Args:
          share: [items] share of all successes.
        """
        row_share = self.counts / (self.totals[self.rows] + _PRIOR)
        return np.asarray(row_share / share[self.items], np.float32)

    def grown(self, n_items: int) -> "Nearby":
        """The same with rows for further items, near which nothing was chosen yet."""
        more = n_items - len(self.totals)
        return self._replace(
            indptr=np.pad(self.indptr, (0, more), mode="edge"),
            totals=np.pad(self.totals, (0, more)),
        )


def said(
    indptr: NDArray[np.int64], newest: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs that histories touch.

    Args:
      indptr: As in `Nearby`.
      newest: [batch, any] items of successes, newest first; -1, or beyond the table, for none.

    Returns:
      positions: [touched] indices of pairs.
      slot: [touched] which cell of [batch, `PLACES`], counted row by row, touched each.
    """
    met = np.full((len(newest), PLACES), -1, np.int32)
    looked_at = newest[:, :PLACES]
    met[:, : looked_at.shape[1]] = np.where(looked_at < len(indptr) - 1, looked_at, -1)
    return entries(indptr, met)


def counted(examples: Examples, which: NDArray[np.intp], per_row: int) -> Nearby:
    """What the successes at these positions say, beside those before them.

    Args:
      examples: Events.
      which: Positions.
      per_row: Most neighbours of an item: those counted most; 0 to count nothing.
    """
    n_items = examples.space.items.size
    totals, waiting = np.zeros(n_items), 0
    summed = [(np.empty(0, np.int64), np.empty(0))]
    for keys, counts in _pairs(examples, which[examples.success[which] & (per_row > 0)]):
        totals += np.bincount(keys // n_items, counts, n_items)
        summed.append((keys, counts))
        waiting += len(keys)
        if waiting > _PAIRS_AT_ONCE:
            summed, waiting = [_summed(summed)], 0
    return _table(*_summed(summed), totals, per_row)


def merged(first: Nearby, second: Nearby, per_row: int) -> Nearby:
    """Both counts together, of the same items; arguments as in `counted`."""
    n_items = len(first.totals)
    parts = [(t.rows * n_items + t.items, t.counts.astype(np.float64)) for t in (first, second)]
    totals = first.totals.astype(np.float64) + second.totals
    return _table(*_summed(parts), totals, per_row)


def _pairs(
    examples: Examples, which: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Keys of pairs of items, both ways, and what each counts."""
    n_items = examples.space.items.size
    for start in range(0, len(which), _EVENTS_AT_ONCE):
        batch = which[start : start + _EVENTS_AT_ONCE]
        met = examples.queries(batch).liked[:, :_PAIRED].astype(np.int64)
        target = np.broadcast_to(examples.item[batch][:, None], met.shape).astype(np.int64)
        near = (met > 0) & (target > 0) & (met != target)
        count = np.broadcast_to(_NEARNESS ** np.arange(met.shape[1]), met.shape)[near]
        a, b = met[near], target[near]
        yield np.concatenate([a * n_items + b, b * n_items + a]), np.tile(count, 2)


def _summed(
    parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    keys, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    keys, pair = np.unique(keys, return_inverse=True)
    return keys, np.bincount(pair, counts, len(keys)).astype(np.float64)


def _table(
    keys: NDArray[np.int64],
    counts: NDArray[np.float64],
    totals: NDArray[np.float64],
    per_row: int,
) -> Nearby:
    n_items = len(totals)
    row = keys // n_items
    most_first = np.lexsort((keys, -counts, row))
    row = row[most_first]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = np.sort(most_first[rank < per_row])
    row, item = np.divmod(keys[kept], n_items)
    return Nearby(
        np.searchsorted(row, np.arange(n_items + 1)).astype(np.int64),
        item.astype(np.int32),
        counts[kept].astype(np.float32),
        totals.astype(np.float32),
    )
