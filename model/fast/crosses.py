"""Fast crosses: what follows upon what, and what is read under which circumstances, now.

A row is one value of a query-side feature, as in the slow model's cross table: a recent
success (`liked=item`) or a value of the moment (`device=phone`). A cross says how much
more often an item succeeds in its row than everywhere, in two ways. Its residual is
cautious and adds up over rows: it needs many events, and suits dense data. Its lift is
bold and is a share of what may come next: rows with few events, each on something that
hardly anybody chooses, are best read so. How much either counts is learned.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.fast.arrays import Arrays, part, under
from model.fast.cells import REST, CellTable
from model.fast.config import MemoryConfig
from model.fast.trending import CROSS_HALF_LIVES, HALF_LIVES_S

CROSS_HALF_LIVES_S: Final = tuple(HALF_LIVES_S[which] for which in CROSS_HALF_LIVES)

Shares: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.floating]]
"""[half-lives, items] share of all successes that items have now, at the crosses' half-lives."""

_GATE_FROM: Final = 16_384
_CELL_BYTES: Final = 8 + 8 * len(CROSS_HALF_LIVES)
_SALT: Final = 0x9E3779B97F4A7C15


def liked_row(item: int) -> int:
    """The row of those who liked an item."""
    return 2 * item


def context_row(slot: int) -> int:
    """The row of a moment's attribute value, by its joint number."""
    return 2 * slot + 1


def pair_keys(
    sources: NDArray[np.int64], items: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[pairs] the cells of items in the rows of those who liked others, and theirs in its row."""
    return sources << 33 | items, items << 33 | sources


def context_keys(slots: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.int64]:
    """[pairs] the cells of items in the rows of attribute values."""
    return slots << 33 | 1 << 32 | items


class Found(NamedTuple):
    """What crosses add to scores, cell by cell.

    Attributes:
      slot: [cells] which of the rows that were asked for.
      item: [cells] item number.
      added: [cells] log-odds, at least 0.
      lift: [cells] times the item's present share: what the chance of the item grows by.
    """

    slot: NDArray[np.int64]
    item: NDArray[np.int64]
    added: NDArray[np.float32]
    lift: NDArray[np.float32]

    def of_items(self, n_items: int) -> NDArray[np.float64]:
        """[items] log-odds of all cells of an item together."""
        lifts = np.bincount(self.item, self.lift, n_items)
        # of no cells the counts are whole numbers
        total = np.bincount(self.item, self.added, n_items).astype(np.float64, copy=False)
        # an item may stand here several times, but is assigned the same each time
        total[self.item] += np.log1p(lifts.take(self.item))
        return total

    def of_item(self, item: int) -> list[tuple[int, float]]:
        """The slots that say something of an item, and how far its score falls without each."""
        mine = self.item == item
        lift = self.lift[mine].astype(np.float64)
        rest = np.maximum(lift.sum() - lift, 0.0)
        falls = self.added[mine] + np.log1p(lift.sum()) - np.log1p(rest)
        return list(zip(self.slot[mine].tolist(), falls.tolist(), strict=True))


class Cells(NamedTuple):
    """What cells say before any factor.

    Attributes:
      slot: [cells] which of the rows that were asked for.
      item: [cells] item number.
      residual: [half-lives, cells] log-odds, at least 0.
      lift: [cells] how many times the item's share its share of the row is, at the longest
        half-life.
    """

    slot: NDArray[np.int64]
    item: NDArray[np.int64]
    residual: NDArray[np.float32]
    lift: NDArray[np.float32]


class Crosses:
    """Counts of (row, item) against what the row's and the item's totals let expect.

    With c the decayed successes in the cell, C those in the row, p the item's share of all
    successes of late and a the prior, the residual of a cross is log((c + a) / (C·p + a))
    where that is above 0. Its lift is c / ((C + b)·p), b another prior.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self._config = config
        self._table = CellTable(CROSS_HALF_LIVES_S)
        self._gate_at = _GATE_FROM

    def __len__(self) -> int:
        """Number of crosses that are kept."""
        return len(self._table)

    @property
    def n_bytes(self) -> int:
        """Bytes that they take."""
        return self._table.n_bytes

    def state(self) -> Arrays:
        """What `restore` takes."""
        return {"gate_at": np.array([self._gate_at]), **under("table", self._table.state())}

    def restore(self, arrays: Arrays) -> None:
        """Goes on from a state."""
        self._gate_at = int(arrays["gate_at"][0])
        self._table.restore(part("table", arrays))

    def add(
        self,
        keys: Sequence[int] | NDArray[np.int64],
        timestamps_ms: NDArray[np.int64],
        weights: NDArray[np.float64],
        of: NDArray[np.integer] | None = None,
    ) -> None:
        """Counts successes in cells; see `CellTable.add`."""
        self._table.add(keys, timestamps_ms, weights, of)

    def found(
        self,
        rows: Sequence[int],
        factors: NDArray[np.float32],
        chances: NDArray[np.float32],
        now_ms: int,
        shares: Shares,
    ) -> Found:
        """What these rows add to which items.

        Args:
          rows: Rows that a request activates.
          factors: [half-lives, rows] how much each residual says.
          chances: [rows] how much each lift says.
          now_ms: The moment to decay to.
          shares: Present shares of items.
        """
        slot, item, residual, lift = self.cells(rows, now_ms, shares)
        residual *= factors.take(slot, axis=1)
        lift *= chances.take(slot)
        return Found(slot, item, np.add.reduce(residual), lift)

    def cells(self, rows: Sequence[int], now_ms: int, shares: Shares) -> Cells:
        """What the cells of these rows say."""
        slot, item, sums, totals = self._table.rows(rows, now_ms)
        # shares are no more exact than this
        sums, totals = sums.astype(np.float32), totals.astype(np.float32)
        share, prior = shares(item), self._config.cross_prior
        lift = (totals[-1] + self._config.lift_prior).take(slot)
        lift *= share[-1]
        np.divide(sums[-1], lift, out=lift)
        expected = totals.take(slot, axis=1)
        expected *= share
        expected += prior
        sums += prior
        sums /= expected
        residual = np.log(sums, out=sums)
        np.maximum(residual, 0.0, out=residual)
        return Cells(slot, item, residual, lift)

    def gate(self, seed: int, shares: Shares) -> None:
        """Keeps the crosses that are worth their memory, once enough new ones have come.

        Args:
          seed: Decides what the gate `random` draws.
          shares: Present shares of items.
        """
        self._table.settle()
        if self._config.gate == "all" or len(self._table) < self._gate_at:
            return
        self._table.keep(lambda *cells: self._worth_keeping(cells, seed, shares))
        self._gate_at = max(len(self._table) * 5 // 4, _GATE_FROM)

    def _worth_keeping(
        self,
        cells: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
        seed: int,
        shares: Shares,
    ) -> NDArray[np.bool_]:
        rows, items, sums = cells
        prior = self._config.cross_prior
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        row = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(rows)))
        totals = np.add.reduceat(sums, starts, axis=1)[:, row]
        # what the cell is worth: its events, each by how much less surprising it gets
        nats = sums * np.log((sums + prior) / (totals * shares(items) + prior))
        rest = items == REST
        worth = np.where(rest, np.inf, nats.max(axis=0))
        kept = worth >= self._config.gate_nats
        # the rest of a row ranks first where there is one, and is no cross
        most = self._config.crosses_per_row + np.maximum.reduceat(rest, starts)
        crowded = np.add.reduceat(kept, starts, dtype=np.int64) > most
        at = np.flatnonzero(kept & crowded[row])
        at = at[np.lexsort((-worth[at], row[at]))]
        rank = np.arange(len(at)) - np.searchsorted(row[at], row[at])
        kept[at[rank >= most[row[at]]]] = False
        kept = _best(worth, kept, self._config.cross_megabytes * 1_000_000 // _CELL_BYTES)
        if self._config.gate == "random":
            kept = (
                _best(_lots(rows, items, seed), ~rest, int(np.count_nonzero(kept & ~rest))) | rest
            )
        return kept


def _best(
    worth: NDArray[np.floating] | NDArray[np.uint64], among: NDArray[np.bool_], most: int
) -> NDArray[np.bool_]:
    """[cells] the cells of the greatest worth among some, at most so many; first come, first."""
    at = np.flatnonzero(among)
    if len(at) <= most:
        return among
    kept = np.zeros(len(among), bool)
    # the largest last, and of equal ones the first
    kept[at[::-1][np.argsort(worth[at][::-1], kind="stable")][len(at) - most :]] = True
    return kept


def _lots(rows: NDArray[np.int64], items: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """[cells] a lot for each cell: what it draws depends on cell and seed alone."""
    mixed = (rows << 32 | items).astype(np.uint64) ^ np.uint64((seed * _SALT) & (2**64 - 1))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
