"""Intervals: a paired bootstrap that draws blocks of time, and users within them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError

FloatArray: TypeAlias = NDArray[np.float64]
Value: TypeAlias = Callable[[FloatArray], FloatArray]
"""[..., columns] sums over questions to [..., values]."""

# Draws that are counted at once, which must fit the cache, and counts that are held at once.
_AT_ONCE: Final = 50_000
_HELD: Final = 1_000_000
_TAIL: Final = 0.025


class Estimate(NamedTuple):
    """A number and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0.0 or self.high < 0.0

    def as_json(self) -> dict[str, float | None]:
        """Rounded to six places; null where there is no number."""
        return {
            name: round(value, 6) if np.isfinite(value) else None
            for name, value in self._asdict().items()
        }


class Plan(NamedTuple):
    """How a bootstrap is done.

    Attributes:
      resamples: How often the questions are drawn anew.
      seed: Of the draws; the same seed on the same questions draws the same.
      over_blocks: Whether a value is the mean of the blocks' values, each weighing the
        same, and not the value of all questions together.
    """

    resamples: int = 1_000
    seed: int = 0
    over_blocks: bool = False


@dataclass(frozen=True)
class Cells:
    """Questions by block and user: what a bootstrap draws.

    Attributes:
      of: [questions] number of the question's cell; a block's cells stand together.
      starts: [blocks + 1] first cell of each block, and the number of cells.
    """

    of: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.starts) - 1

    def sums(self, columns: NDArray[np.floating]) -> FloatArray:
        """[cells, columns] of [questions, columns], added up within each cell."""
        n_cells = int(self.starts[-1])
        added = [np.bincount(self.of, column, minlength=n_cells) for column in columns.T]
        return np.stack(added, axis=1)

    def block_sums(self, sums: FloatArray) -> FloatArray:
        """[blocks, columns] of [cells, columns]."""
        return np.add.reduceat(sums, self.starts[:-1], axis=0)


def cells_of(block: NDArray[np.integer], actor: NDArray[np.integer]) -> Cells:
    """Puts questions together by block and user.

    Raises:
      BadInputError: If there is no question.
    """
    if not len(block):
        raise BadInputError("expected at least one question, got none")
    _, block_number = np.unique(block, return_inverse=True)
    _, actor_number = np.unique(actor, return_inverse=True)
    key = block_number.astype(np.int64) * (int(actor_number.max()) + 1) + actor_number
    cells, of = np.unique(key, return_inverse=True)
    n_blocks = int(block_number.max()) + 1
    edges = np.arange(n_blocks + 1) * (int(actor_number.max()) + 1)
    return Cells(of.astype(np.int64), np.searchsorted(cells, edges).astype(np.int64))


def point(cells: Cells, sums: FloatArray, value: Value, plan: Plan) -> FloatArray:
    """[values] as they are, without drawing."""
    if plan.over_blocks:
        return np.asarray(value(cells.block_sums(sums)).mean(axis=0))
    return value(sums.sum(axis=0))


def draws(cells: Cells, sums: FloatArray, value: Value, plan: Plan) -> FloatArray:
    """Values of questions drawn anew, blocks first and then the users of each drawn block.

    As many blocks as there are are drawn with replacement; a block that is drawn twice has
    its users drawn twice. The columns share their draws, so what is computed from two of
    them is paired. Where blocks do not differ beyond their users, the two levels count the
    spread between users twice and the interval is too wide, never too narrow.

    Args:
      cells: Which questions belong together.
      sums: [cells, columns] as `Cells.sums` gives them.
      value: From sums of columns to values.
      plan: How often, and with which seed.

    Returns:
      [resamples, values]
    """
    rng, n_blocks = np.random.default_rng(plan.seed), cells.n_blocks
    times = rng.multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), size=plan.resamples)
    total: Any = 0.0
    for block in range(n_blocks):
        own = sums[cells.starts[block] : cells.starts[block + 1]]
        resample = np.repeat(np.arange(plan.resamples), times[:, block])
        for part in np.array_split(resample, max(1, len(own) * len(resample) // _HELD)):
            drawn = _weights(rng, len(part), len(own)) @ own
            if plan.over_blocks:
                drawn = value(drawn) / n_blocks
            total = total + _added_up(part, drawn, plan.resamples)
    return np.asarray(total if plan.over_blocks else value(total))


def _weights(rng: np.random.Generator, rows: int, n: int) -> FloatArray:
    """[rows, n] how often each of n is drawn in n draws with replacement."""
    weights = np.empty((rows, n))
    step = max(1, _AT_ONCE // n)
    for start in range(0, rows, step):
        part = weights[start : start + step]
        chosen = rng.integers(0, n, size=part.shape) + np.arange(len(part))[:, None] * n
        part[:] = np.bincount(chosen.ravel(), minlength=part.size).reshape(part.shape)
    return weights


def _added_up(row: NDArray[np.int64], values: FloatArray, n_rows: int) -> FloatArray:
    total = np.zeros((n_rows, values.shape[1]))
    np.add.at(total, row, values)
    return total


def ratios(sums: FloatArray) -> FloatArray:
    """[..., columns - 1] of [..., columns]: each column by the last one, which counts."""
    count = sums[..., -1:]
    return np.divide(
        sums[..., :-1], count, out=np.full_like(sums[..., :-1], np.nan), where=count > 0
    )


def interval(drawn: FloatArray) -> tuple[float, float]:
    """The middle 95 % of values that were drawn; NaN where none is a number."""
    numbers = drawn[np.isfinite(drawn)]
    if not len(numbers):
        return float("nan"), float("nan")
    low, high = np.quantile(numbers, (_TAIL, 1.0 - _TAIL))
    return float(low), float(high)


@dataclass(frozen=True)
class Means:
    """Means of several arms on the same questions, and the same means of drawn questions.

    Attributes:
      arms: Their names.
      mean: [arms] of the questions as they are.
      drawn: [resamples, arms] of questions drawn anew.
    """

    arms: tuple[str, ...]
    mean: FloatArray
    drawn: FloatArray

    def of(self, arm: str) -> Estimate:
        """The mean of an arm."""
        at = self.arms.index(arm)
        return Estimate(float(self.mean[at]), *interval(self.drawn[:, at]))

    def difference(self, arm: str, other: str) -> Estimate:
        """The mean of an arm less that of another; exactly 0 for equal values."""
        at, from_ = self.arms.index(arm), self.arms.index(other)
        apart = self.drawn[:, at] - self.drawn[:, from_]
        return Estimate(float(self.mean[at] - self.mean[from_]), *interval(apart))


def means(
    arms: Sequence[str],
    values: NDArray[np.floating],
    by: tuple[NDArray[np.integer], NDArray[np.integer]],
    plan: Plan,
) -> Means:
    """Means with paired draws.

    Questions on which any arm has no number are left out.

    Args:
      arms: Names.
      values: [arms, questions] of one metric.
      by: The questions' blocks and users.
      plan: How to draw.
    """
    block, actor = by
    asked = np.isfinite(values).all(axis=0)
    if not asked.any():
        nothing = np.full(len(arms), np.nan)
        return Means(tuple(arms), nothing, nothing[None])
    cells = cells_of(block[asked], actor[asked])
    columns = np.vstack([values[:, asked], np.ones(int(asked.sum()))])
    sums = cells.sums(columns.T)
    return Means(tuple(arms), point(cells, sums, ratios, plan), draws(cells, sums, ratios, plan))


def set_share(top: NDArray[np.int32], block: NDArray[np.integer], n: int) -> Estimate:
    """Share of n items that stand in any list, with an interval by leaving out blocks in turn.

    A bootstrap would see too few distinct items; the jackknife does not.

    Args:
      top: [questions, k] item numbers, -1 for none.
      block: [questions] blocks.
      n: Items there are.
    """
    _, block_number = np.unique(block, return_inverse=True)
    n_blocks = int(block_number.max()) + 1
    listed = top >= 0
    pairs = np.unique(top[listed].astype(np.int64) * n_blocks + _rows(block_number, top)[listed])
    items, in_blocks = np.unique(pairs // n_blocks, return_counts=True)
    share = len(items) / n
    only_here = np.isin(pairs // n_blocks, items[in_blocks == 1])
    lost = np.bincount(pairs[only_here] % n_blocks, minlength=n_blocks) / n
    # the usual variance of the jackknife, (B - 1) / B times the squares of the differences
    error = float(np.sqrt((n_blocks - 1) / n_blocks * np.square(lost - lost.mean()).sum()))
    reach = 1.96 * error
    return Estimate(share, max(0.0, share - reach), min(1.0, share + reach))


def _rows(values: NDArray[np.int64], like: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.broadcast_to(values[:, None], like.shape)
