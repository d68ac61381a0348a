"""A sparse table of decayed sums: cells (row, item), only those that something fell into."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.fast.arrays import Arrays, part, under
from model.fast.decay import DecayClock

REST: Final = 0
"""The column that holds what was let go of a row; item numbers begin at 1."""

Judge: TypeAlias = Callable[
    [NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]], NDArray[np.bool_]
]

_NONE: Final[list[int]] = []
_ITEM_BITS: Final = 32
_ITEMS: Final = (1 << _ITEM_BITS) - 1
_ROOM: Final = 1_024
_ROWS_READ: Final = 2_048


class Cells(NamedTuple):
    """Cells of several rows, side by side.

    Attributes:
      slot: [cells] which of the rows that were asked for.
      item: [cells] column.
      sums: [half-lives, cells] decayed sums.
      totals: [half-lives, rows] sums of whole rows, with what they have let go.
    """

    slot: NDArray[np.int64]
    item: NDArray[np.int64]
    sums: NDArray[np.float64]
    totals: NDArray[np.float64]


class _Row(NamedTuple):
    """The same of one row, on the scale that sums are kept on; totals are [half-lives, 1]."""

    item: NDArray[np.int64]
    sums: NDArray[np.float64]
    totals: NDArray[np.float64]


def cell_key(row: int, item: int) -> int:
    """One number for a cell; rows lie in [0, 2^31), items in [0, 2^32)."""
    return row << _ITEM_BITS | item


class CellTable:
    """Decayed sums by cell.

    Settled cells lie in arrays sorted by key; new ones are kept beside them until
    `settle`. Every cell's sum is that of its events in their order, whatever the calls; the
    order in which cells are read depends on when the new ones settled, so that must be
    decided by the log and not by the calls.
    """

    def __init__(self, half_lives_s: Sequence[float], *, signed: bool = False) -> None:
        """An empty table.

        Args:
          half_lives_s: One for each sum of a cell.
          signed: Whether a sum may be below 0; counts that were taken back may not.
        """
        self._clock = DecayClock(half_lives_s)
        self._least = -np.inf if signed else 0.0
        self._keys = np.zeros(0, np.int64)
        self._sums = np.zeros((len(half_lives_s), 0), np.float64)
        self._fresh: dict[int, int] = {}
        self._fresh_of_row: dict[int, list[int]] = {}
        self._fresh_read = 0
        self._rows: dict[int, _Row] = {}
        self._fresh_keys = np.zeros(_ROOM, np.int64)
        self._fresh_sums = np.zeros((len(half_lives_s), _ROOM), np.float64)

    def __len__(self) -> int:
        """Number of cells."""
        return len(self._keys) + len(self._fresh)

    @property
    def newest_ms(self) -> int:
        """The latest event that was counted."""
        return self._clock.newest_ms

    @property
    def n_bytes(self) -> int:
        """Bytes of the settled arrays once all cells have settled."""
        return len(self) * (8 + 8 * len(self._clock))

    def add(
        self,
        keys: Sequence[int] | NDArray[np.int64],
        timestamps_ms: NDArray[np.int64],
        weights: NDArray[np.float64],
        of: NDArray[np.integer] | None = None,
    ) -> None:
        """Adds weights to cells, in the order given; a negative weight takes one back.

        Args:
          keys: [keys] as `cell_key` makes them; a cell may come several times.
          timestamps_ms: [events] when, in any order.
          weights: [keys] how much, or [half-lives, keys] for each sum.
          of: [keys] which event each belongs to; None for an event of its own.
        """
        key = np.asarray(keys, np.int64)
        if not key.size:
            return
        moved = self._clock.advance(int(timestamps_ms.max()))
        if moved is not None:
            self._sums = np.ldexp(self._sums, moved)
            self._fresh_sums = np.ldexp(self._fresh_sums, moved)
            self._rows.clear()
        if self._rows:
            for row in self._rows.keys() & (key >> _ITEM_BITS).tolist():
                del self._rows[row]
        growth = self._clock.growth(timestamps_ms)
        grown = weights * (growth if of is None else growth.take(of, axis=1))
        at = np.searchsorted(self._keys, key)
        settled = self._is_at(at, key)
        if settled.all():
            _add(self._sums, at, grown)
            return
        strange = ~settled
        _add(self._sums, at[settled], grown.compress(settled, axis=1))
        places = self._places(key[strange].tolist())
        _add(self._fresh_sums, places, grown.compress(strange, axis=1))

    def _is_at(self, at: NDArray[np.intp], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """[keys] whether the cell is the settled one at its place."""
        if not len(self._keys):
            return np.zeros(len(keys), bool)
        return np.asarray(self._keys.take(at, mode="clip") == keys)

    def _places(self, keys: list[int]) -> NDArray[np.intp]:
        """[keys] the place of each among the new cells, made where there is none."""
        fresh, before = self._fresh, len(self._fresh)
        places = [fresh.setdefault(key, len(fresh)) for key in keys]
        new = list(islice(reversed(fresh), len(fresh) - before))[::-1]
        if len(fresh) > len(self._fresh_keys):
            room = np.zeros((1 + len(self._clock), len(fresh)))
            self._fresh_keys = np.concatenate([self._fresh_keys, room[0].astype(np.int64)])
            self._fresh_sums = np.concatenate([self._fresh_sums, room[1:]], axis=1)
        self._fresh_keys[before : len(fresh)] = new
        return np.array(places, np.intp)

    def _places_of_rows(self, rows: Iterable[int]) -> list[list[int]]:
        """The places of each row's new cells; rows are told apart when they are first read."""
        of_row, known = self._fresh_of_row, self._fresh_read
        self._fresh_read = len(self._fresh)
        strange = (self._fresh_keys[known : self._fresh_read] >> _ITEM_BITS).tolist()
        for place, row in enumerate(strange, known):
            of_row.setdefault(row, []).append(place)
        return [of_row.get(row, _NONE) for row in rows]

    def state(self) -> Arrays:
        """What `restore` takes: what has settled and what has not stay apart."""
        n_fresh = len(self._fresh)
        return {
            "keys": self._keys,
            "sums": self._sums,
            "fresh_keys": self._fresh_keys[:n_fresh],
            "fresh_sums": self._fresh_sums[:, :n_fresh],
            **under("clock", self._clock.state()),
        }

    def restore(self, arrays: Arrays) -> None:
        """Goes on from a state."""
        self._clock.restore(part("clock", arrays))
        self._keys, self._sums = arrays["keys"], arrays["sums"]
        self._forget_fresh()
        self._places(arrays["fresh_keys"].tolist())
        self._fresh_sums[:, : len(self._fresh)] = arrays["fresh_sums"]

    def settle(self) -> bool:
        """Puts the new cells among the others once there are enough, and says if it did."""
        enough = len(self._fresh) >= max(_ROOM, len(self._keys) // 32)
        if enough:
            self._settle()
        return enough

    def _settle(self) -> None:
        """Puts the new cells among the others."""
        if not self._fresh:
            return
        keys = self._fresh_keys[: len(self._fresh)]
        order = np.argsort(keys)
        keys, sums = keys[order], self._fresh_sums.take(order, axis=1)
        self._insert(keys, sums)
        self._forget_fresh()

    def _insert(self, keys: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        """Puts cells, sorted by key, in their places; `np.insert` takes thrice as long."""
        at = np.searchsorted(self._keys, keys) + np.arange(len(keys))
        old = np.ones(len(self._keys) + len(keys), bool)
        old[at] = False
        before, self._keys = self._keys, np.empty(len(old), np.int64)
        self._keys[old], self._keys[at] = before, keys
        kept, self._sums = self._sums, np.empty((len(sums), len(old)))
        for merged, own, more in zip(self._sums, kept, sums, strict=True):
            merged[old], merged[at] = own, more

    def _forget_fresh(self) -> None:
        self._fresh, self._fresh_of_row, self._fresh_read = {}, {}, 0
        self._rows = {}
        self._fresh_keys = np.zeros(_ROOM, np.int64)
        self._fresh_sums = np.zeros((len(self._clock), _ROOM))

    def rows(self, rows: Sequence[int], now_ms: int) -> Cells:
        """The cells of some rows, decayed to a moment or to the newest event if later.

        Args:
          rows: Their numbers.
          now_ms: The moment.
        """
        if not rows:
            none, no_sums = np.zeros(0, np.int64), np.zeros((len(self._clock), 0))
            return Cells(none, none, no_sums, no_sums)
        known = self._rows
        strange = [row for row in rows if row not in known]
        if strange:
            if len(known) + len(strange) > _ROWS_READ:
                known.clear()
                strange = list(rows)
            known.update(zip(strange, self._read(strange), strict=True))
        found = [known[row] for row in rows]
        item, sums, totals = zip(*found, strict=True)
        faded = self._clock.faded(now_ms)[:, None]
        return Cells(
            np.arange(len(rows)).repeat([len(each) for each in item]),
            np.concatenate(item),
            np.concatenate(sums, axis=1) * faded,
            np.concatenate(totals, axis=1) * faded,
        )

    def _read(self, rows: Sequence[int]) -> Iterator[_Row]:
        firsts = [row << _ITEM_BITS for row in rows]
        borders = np.array([firsts, [first + _ITEMS + 1 for first in firsts]])
        edges = self._keys.searchsorted(borders).T.tolist()
        for (start, end), places in zip(edges, self._places_of_rows(rows), strict=True):
            items, sums = self._keys[start:end] & _ITEMS, self._sums[:, start:end]
            if places:
                items = np.concatenate([items, self._fresh_keys[places] & _ITEMS])
                sums = np.concatenate([sums, self._fresh_sums[:, places]], axis=1)
            sums = np.maximum(sums, self._least)
            totals = sums.sum(axis=1, keepdims=True)
            # sorted as they are, what was let go comes first
            let_go = int(len(items) > 0 and items[0] == REST)
            yield _Row(items[let_go:], sums[:, let_go:], totals)

    def keep(self, judge: Judge) -> int:
        """Lets go of the cells that are not worth keeping; a row's total stays what it is.

        Args:
          judge: Told [cells] row, [cells] item and [half-lives, cells] sums as of the
            newest event, in the order of (row, item); says which to keep.

        Returns:
          How many were let go.
        """
        self._settle()
        if not len(self._keys):
            return 0
        rows, items = self._keys >> _ITEM_BITS, self._keys & _ITEMS
        sums = np.maximum(self._sums * self._clock.faded(0)[:, None], 0.0)
        kept = judge(rows, items, sums) | (items == REST)
        if kept.all():
            return 0
        gone, gone_sums = rows[~kept], self._sums.compress(~kept, axis=1)
        starts = np.flatnonzero(np.diff(gone, prepend=-1))
        rest = np.add.reduceat(gone_sums, starts, axis=1)
        self._keys, self._sums = self._keys[kept], self._sums.compress(kept, axis=1)
        keys = gone[starts] << _ITEM_BITS | REST
        new = keys[~self._is_at(np.searchsorted(self._keys, keys), keys)]
        self._insert(new, np.zeros((len(rest), len(new))))
        _add(self._sums, np.searchsorted(self._keys, keys), rest)
        return int(np.count_nonzero(~kept))


def _add(sums: NDArray[np.float64], at: NDArray[np.intp], grown: NDArray[np.float64]) -> None:
    for row, added in zip(sums, grown, strict=True):
        np.add.at(row, at, added)
