"""Training batches of one shape: built in NumPy, while the step before them computes.

The engine compiles a step for the shapes of its inputs. So every batch holds the same
number of successes and of other events, some repeated with weight 0 where one is short,
and the crosses are padded to one of few lengths.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.slow.config import SlowConfig
from model.slow.examples import Examples
from model.slow.phases import Planning
from model.slow.reference import Competing, Guidance, as_probe
from model.slow.vocabulary import UNKNOWN

# Logit of a candidate that is none; finite, so that nothing times it is not a number.
NO_CANDIDATE: Final = np.float32(1e9)

_LENGTH_STEP: Final = 1.25
_LEAST_LENGTH: Final = 256


class Crosses(NamedTuple):
    """The cross table as training reads it: where each row's pairs lie, and their items."""

    indptr: NDArray[np.int32]
    items: NDArray[np.int32]

    def touched(
        self, rows: NDArray[np.int32], n_columns: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The pairs that a batch of active rows touches.

        Args:
          rows: [batch, slots] active rows, -1 padded.
          n_columns: Logits of each batch row.

        Returns:
          pair: [touched] indices into `items`.
          first: [touched] the first logit, counted row by row, of the batch row that
            touched each.
        """
        active = rows >= 0
        touching = rows[active]
        starts = self.indptr[touching]
        lengths = self.indptr[touching + 1] - starts
        ends = np.cumsum(lengths, dtype=np.int32)
        batch_row = np.repeat(np.arange(len(rows), dtype=np.int32), active.sum(axis=1))
        pair = np.repeat(starts - (ends - lengths), lengths)
        pair += np.arange(len(pair), dtype=np.int32)
        return pair, np.repeat(batch_row * np.int32(n_columns), lengths)


@dataclass(frozen=True)
class Candidates:
    """The items that compete in one step.

    Attributes:
      items: [candidates] item numbers, the unknown one where there is none.
      correction: [candidates] log of the chance that the item is among the candidates,
        `NO_CANDIDATE` for the unknown one.
      place: [n_items] each item's place among the candidates, -1 where it is none.
    """

    items: NDArray[np.int32]
    correction: NDArray[np.float32]
    place: NDArray[np.int32]


class Sampler:
    """Draws the items that compete with a batch's targets (Bengio and Senécal 2008).

    Half of the draws are uniform and half go by popularity; the batch's own targets
    compete as well. An item that was likely to be drawn stands for fewer others: its
    share of the softmax's sum is divided by the chance that it is there, which makes the
    expected sum that of the whole catalogue.
    """

    def __init__(self, share: NDArray[np.floating[Any]], n_draws: int, n_targets: int) -> None:
        """Prepares the draw.

        Args:
          share: [n_items] each item's share of the targets, the unknown one first.
          n_draws: Draws a step, with replacement.
          n_targets: Targets a step.
        """
        self._n_draws, self._n_targets = n_draws, n_targets
        share = np.asarray(share, np.float64).copy()
        share[UNKNOWN] = 0.0
        share /= share.sum()
        uniform = np.full(len(share), 1.0 / (len(share) - 1))
        uniform[UNKNOWN] = 0.0
        drawn = (uniform + share) / 2.0
        self._cumulative = np.cumsum(drawn)
        missed = n_draws * np.log1p(-np.minimum(drawn, 1 - 1e-12))
        missed += (n_targets - 1) * np.log1p(-np.minimum(share, 1 - 1e-12))
        with np.errstate(divide="ignore"):
            correction = np.log(-np.expm1(missed))
        correction[UNKNOWN] = NO_CANDIDATE
        self._correction = correction.astype(np.float32)

    @property
    def size(self) -> int:
        """Candidates a step."""
        return self._n_draws + self._n_targets

    def draw(self, targets: NDArray[np.int32], rng: np.random.Generator) -> Candidates:
        """Candidates for these targets, each item once."""
        at = rng.random(self._n_draws) * self._cumulative[-1]
        drawn = np.searchsorted(self._cumulative, at, side="right")
        chosen = np.unique(np.concatenate([drawn.astype(np.int32), targets]))
        chosen = chosen[chosen != UNKNOWN]
        items = np.full(self.size, UNKNOWN, np.int32)
        items[: len(chosen)] = chosen
        place = np.full(len(self._correction), -1, np.int32)
        place[chosen] = np.arange(len(chosen))
        return Candidates(items, self._correction[items], place)


def batch_size(n_events: int, config: SlowConfig) -> int:
    """Events a step: the least number, or as many as keep an epoch within `max_steps`."""
    size = config.batch_size
    while size < config.max_batch_size and n_events > size * config.max_steps:
        size *= 2
    return size


class Batches:
    """One pass over events in random order, batch by batch."""

    def __init__(
        self,
        examples: Examples,
        which: NDArray[np.intp],
        parameters: Mapping[str, NDArray[Any]],
        config: SlowConfig,
        guidance: Guidance | None = None,
        planning: Planning | None = None,
    ) -> None:
        self._guidance = guidance or Guidance()
        self._planning = planning
        self._examples = examples
        self._which = which
        self._crosses = Crosses(
            np.asarray(parameters["wide_indptr"], np.int32), np.asarray(parameters["wide_items"])
        )
        self._n_items = len(parameters["item_bias"])
        self._wide = config.halves != "deep"
        success = examples.success[which]
        self.n_steps = -(-len(which) // batch_size(len(which), config))
        self.n_ranked = -(-int(success.sum()) // max(self.n_steps, 1))
        self._sampler = (
            Sampler(parameters["item_share"], config.sampled_candidates, self.n_ranked)
            if self._n_items > config.full_softmax_items
            else None
        )

    @property
    def sampled(self) -> bool:
        """Whether a sample of the catalogue competes, and not all of it."""
        return self._sampler is not None

    def epoch(self, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
        """The batches of one pass, as `WideDeep.compute_loss` wants them."""
        success = self._examples.success[self._which]
        parts = [
            np.array_split(rng.permutation(self._which[chosen]), self.n_steps)
            for chosen in (success, ~success)
        ]
        for ranked, other in zip(*parts, strict=True):
            longest = [max(map(len, part)) for part in parts]
            batch = self.batch(_filled(ranked, longest[0]), _filled(other, longest[1]), rng)
            yield batch | self._probe(rng)

    def _probe(self, rng: np.random.Generator) -> dict[str, Any]:
        """A few of the probes with what the reference says of them."""
        probes = self._guidance.probes
        if probes is None:
            return {}
        size = min(probes.size, len(probes.which))
        which = rng.choice(probes.which, size, replace=False)
        arrays = self.batch(rows_of(which), rows_of(which[:0]), rng)
        competing = self._competing(arrays)
        scores = competing.scores(probes.scorer, self._examples, which, arrays["goal"])
        for name in ("soft", "softness", "planning", "categories"):
            arrays.pop(name, None)
        return {"probe": as_probe(arrays, probes, competing, scores)}

    def _competing(self, arrays: Mapping[str, Any]) -> Competing:
        """The columns of this batch's logits."""
        items = arrays.get("candidates", np.arange(self._n_items, dtype=np.int32))
        mask = np.where(items == UNKNOWN, -NO_CANDIDATE, np.float32(0.0)).astype(np.float32)
        correction = np.where(items == UNKNOWN, 0.0, arrays.get("correction", 0.0))
        return Competing(items, mask, correction.astype(np.float32))

    def batch(self, ranked: "_Rows", other: "_Rows", rng: np.random.Generator) -> dict[str, Any]:
        """The arrays of one step; the rows to rank come first."""
        which = np.concatenate([ranked.which, other.which])
        real = np.concatenate([ranked.real, other.real])
        examples, n_ranked = self._examples, len(ranked.which)
        queries = examples.queries(which)
        target, weight = examples.item[which], examples.weight[which]
        goal = target[:n_ranked]
        arrays = {
            **queries._asdict(),
            "liked": _trimmed(queries.liked),
            "disliked": _trimmed(queries.disliked),
            "target": target,
            "label": examples.label[which],
            "labelled": (examples.labelled[which] & real).astype(np.float32),
            "goal": goal,
            "weight": np.where(real & (target != UNKNOWN), weight, 0.0).astype(np.float32)[
                :n_ranked
            ],
            "seed": rng.integers(2**31, size=2).astype(np.int32),
        }
        place, n_columns = None, self._n_items
        teacher = self._guidance.teacher
        if self._sampler is not None:
            candidates = self._sampler.draw(goal, rng)
            place, n_columns = candidates.place, self._sampler.size
            arrays |= {
                "candidates": candidates.items,
                "correction": candidates.correction,
                "goal": np.maximum(place[goal], 0),
            }
        if teacher is not None:
            arrays |= {
                "label": teacher.outcome(examples, which),
                "soft": teacher.lists(
                    examples, ranked.which, self._competing(arrays), arrays["goal"]
                ),
                "softness": teacher.softness[ranked.which],
                "temperature": np.float32(teacher.temperature),
            }
        if self._planning is not None:
            categories = self._planning.categories
            arrays |= {
                "planning": self._planning.weights[ranked.which],
                "categories": categories[arrays.get("candidates", slice(None))],
            }
        if self._wide:
            rows = examples.space.wide_rows(queries)[:n_ranked]
            return arrays | self._touched(rows, place, n_columns)
        return arrays | _padded(np.empty(0, np.int32), np.empty(0, np.int32))

    def _touched(
        self, rows: NDArray[np.int32], place: NDArray[np.int32] | None, n_columns: int
    ) -> dict[str, NDArray[np.int32]]:
        """The crosses and repeats that the ranked rows touch, and the logits they add to."""
        pair, first = self._crosses.touched(rows, n_columns)
        column = self._crosses.items[pair]
        request, at, item = self._examples.space.repeats(rows)
        pair = np.concatenate([pair, len(self._crosses.items) + at.astype(np.int32)])
        first = np.concatenate([first, (request * n_columns).astype(np.int32)])
        column = np.concatenate([column, item])
        if place is not None:
            column = place[column]
            inside = np.flatnonzero(column >= 0)
            pair, first, column = pair[inside], first[inside], column[inside]
        first += column
        return _padded(pair, first)


def _padded(pair: NDArray[np.int32], logit: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
    """The touched pairs and logits at one of few lengths."""
    length = padded_length(len(pair))
    pairs, logits = np.full(length, -1, np.int32), np.zeros(length, np.int32)
    pairs[: len(pair)], logits[: len(pair)] = pair, logit
    return {"pairs": pairs, "logits": logits}


class _Rows(NamedTuple):
    """Positions of events, and which of them are more than padding."""

    which: NDArray[np.intp]
    real: NDArray[np.bool_]


def rows_of(which: NDArray[np.intp]) -> _Rows:
    """These events, none of them padding."""
    return _Rows(which, np.ones(len(which), bool))


def _filled(which: NDArray[np.intp], length: int) -> _Rows:
    """The events, repeated up to this length."""
    real = np.arange(length) < len(which)
    return _Rows(np.resize(which, length) if len(which) else np.zeros(length, np.intp), real)


def _trimmed(history: NDArray[np.int32]) -> NDArray[np.int32]:
    """The history without the columns at its end that nobody fills."""
    used = np.flatnonzero((history >= 0).any(axis=0))
    return np.ascontiguousarray(history[:, : int(used[-1]) + 1 if len(used) else 0])


def padded_length(length: int) -> int:
    """The least of few lengths that is not shorter."""
    padded = _LEAST_LENGTH
    while padded < length:
        padded = int(padded * _LENGTH_STEP) // 64 * 64
    return padded
