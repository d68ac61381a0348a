"""Several arms on the same questions, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from pipelines.evaluation.intervals import Means, Plan, means
from pipelines.evaluation.record import Asked, Judged, Record

# ADER's protocol is the mean of its sixteen periods.
_MEAN_OVER_BLOCKS: Final = frozenset({"diginetica"})
_BETTER_WHEN_LOWER: Final = ("regret", "logloss", "ece")

Mask: TypeAlias = NDArray[np.bool_]


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better."""
    return metric.partition("@")[0].partition("-")[0] in _BETTER_WHEN_LOWER


@dataclass(frozen=True)
class Panel:
    """One stream's records by arm.

    Attributes:
      stream: Its name.
      asked: The ranking questions, which all arms share.
      records: Of each arm, in the order of seeds.
    """

    stream: str
    asked: Asked
    records: dict[str, list[Record]]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names, in the order in which their records came."""
        return tuple(self.records)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that every question has, the primary one first."""
        return tuple(next(iter(self.records.values()))[0].metrics)

    @property
    def primary(self) -> str:
        """The metric that curves and slices show."""
        return self.metrics[0]

    @property
    def plan(self) -> Plan:
        """How this stream's intervals are drawn."""
        return Plan(over_blocks=self.stream in _MEAN_OVER_BLOCKS)

    @cached_property
    def values(self) -> dict[str, NDArray[np.float64]]:
        """[arms, questions] of each metric, the mean over an arm's seeds."""
        return {
            metric: np.stack([self._mean(arm, metric) for arm in self.arms])
            for metric in self.metrics
        }

    def _mean(self, arm: str, metric: str) -> NDArray[np.float64]:
        total = sum(record.metrics[metric].astype(np.float64) for record in self.records[arm])
        return np.asarray(total / len(self.records[arm]))

    def means(self, metric: str, which: Mask | None = None, plan: Plan | None = None) -> Means:
        """Means of a metric over all questions or some, with paired draws."""
        chosen = slice(None) if which is None else which
        by = (self.asked.block[chosen], self.asked.actor[chosen])
        return means(self.arms, self.values[metric][:, chosen], by, plan or self.plan)

    @cached_property
    def last_third(self) -> Mask:
        """[questions] whether a question is in the last third of the stream."""
        n = len(self.asked.row)
        return np.arange(n) >= n - n // 3

    @cached_property
    def judged(self) -> dict[str, list[Judged]]:
        """Outcome questions of the arms that say a probability for all of them."""
        found = {arm: [r.judged for r in own if r.judged] for arm, own in self.records.items()}
        return {
            arm: own
            for arm, own in found.items()
            if len(own) == len(self.records[arm])
            and all(np.isfinite(each.probability).all() for each in own)
        }


def panel_of(records: Sequence[Record]) -> Panel:
    """Puts records side by side.

    Raises:
      BadInputError: If there are none, if they are of different streams or were asked
        different questions, or if an arm has a seed twice.
    """
    if not records:
        raise BadInputError("expected the records of at least one arm, got none")
    first = records[0]
    by_arm: dict[str, list[Record]] = {}
    for record in records:
        _same(first, record)
        by_arm.setdefault(record.arm, []).append(record)
    for arm, own in by_arm.items():
        own.sort(key=lambda record: record.seed)
        seeds = [record.seed for record in own]
        if len(set(seeds)) < len(seeds):
            raise BadInputError(f"expected every seed of {arm} once, got {seeds}")
    return Panel(first.protocol, first.asked, by_arm)


def same_questions(one: Any, other: Any, ignoring: tuple[str, ...] = ()) -> str | None:
    """The first column that differs between two tables of questions; None if none does."""
    for column in fields(one):
        mine, theirs = getattr(one, column.name), getattr(other, column.name)
        floating = np.issubdtype(mine.dtype, np.floating)
        if column.name not in ignoring and not np.array_equal(mine, theirs, equal_nan=floating):
            return column.name
    return None


def _same(first: Record, record: Record) -> None:
    names = f"{first.arm} (seed {first.seed}) and {record.arm} (seed {record.seed})"
    if record.protocol != first.protocol:
        raise BadInputError(
            f"expected one stream, got {first.protocol} and {record.protocol} by {names}"
        )
    if record.metrics.keys() != first.metrics.keys():
        raise BadInputError(
            f"expected the same metrics, got {', '.join(first.metrics)} "
            f"and {', '.join(record.metrics)} by {names}"
        )
    if column := same_questions(first.asked, record.asked):
        raise BadInputError(f"expected the same questions, but {column} differs between {names}")
