"""The error memory of ReLoop2 (Zhu et al., KDD 2023), for ranking a whole catalogue."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from pipelines.evaluation.arm import FloatArray


class Corrections(NamedTuple):
    """What is to be added to the scores of readers, each pair of reader and item once.

    Attributes:
      reader: [cells] place of the reader among those who asked.
      item: [cells] item number.
      value: [cells] correction in probability, in [-1, 1].
    """

    reader: NDArray[np.int64]
    item: NDArray[np.int64]
    value: FloatArray


class ErrorMemory:
    """What the slow model said of the last events, and what happened; read by likeness.

    An entry is the key of an event (the slow model's hidden vector at that moment), its
    item, the probability p that the model gave it, and what happened, y. A reader with key
    q takes its K nearest entries with weights a = softmax(cosine / τ) over those K, and

        correction_i = Σ_j a_j (y_j − p_j) [item_j = i]

    which the caller adds, times a strength, to the slow model's scores. Of entries that are
    equally near the newer ones are read.

    Departures from the paper. ReLoop2 corrects one click probability by the mean of its
    neighbours' errors, whatever their items; that mean moves all items alike and would rank
    nothing, so here an entry speaks of its own item only. Its error term with γ = 0 is the
    first line. Neighbours are found exactly, not with a sketch of hashes; the sketch trades
    accuracy for speed. Nothing is left out for being a small error: a success
    under a softmax over thousands of items is never one. Emptying the memory when the slow
    model changes is left to the caller (`clear`), who knows when it does.

    Reading is as of a mark. Entries are numbered as they are written, and a reader sees
    the `capacity` entries before its mark, whatever was written later. So readings can be
    put off and batched, as long as at most `slack` entries are written in between.
    """

    def __init__(self, dims: int, capacity: int, slack: int = 4_096) -> None:
        if dims < 1 or capacity < 1 or slack < 0:
            raise BadInputError(
                f"expected dims and capacity of at least 1 and slack of at least 0, "
                f"got {dims}, {capacity} and {slack}"
            )
        self._capacity = capacity
        size = capacity + slack
        self._keys = np.zeros((size, dims), np.float32)
        self._items = np.zeros(size, np.int64)
        self._errors = np.zeros(size, np.float64)
        self._first, self._written = 0, 0

    @property
    def mark(self) -> int:
        """Number of entries ever written: a reader with this mark sees all there is."""
        return self._written

    def write(
        self,
        keys: NDArray[np.floating],
        items: NDArray[np.integer],
        probabilities: NDArray[np.floating],
        labels: NDArray[np.floating],
    ) -> None:
        """Remembers events, the oldest first; the oldest entries make room.

        Args:
          keys: [events, dims] hidden vectors, of any length.
          items: [events] what the events are about.
          probabilities: [events] what the slow model said, in [0, 1].
          labels: [events] what happened: 1 a success, 0 a failure.
        """
        numbers = self._written + np.arange(len(items))
        kept = slice(max(len(items) - len(self._items), 0), None)
        places = numbers[kept] % len(self._items)
        self._keys[places] = _unit(keys)[kept]
        self._items[places] = items[kept]
        self._errors[places] = (labels - np.asarray(probabilities, np.float64))[kept]
        self._written += len(items)

    def clear(self) -> None:
        """Forgets everything; marks go on, those handed out before see nothing."""
        self._first = self._written

    def correction(
        self,
        keys: NDArray[np.floating],
        marks: NDArray[np.integer],
        *,
        neighbours: int = 50,
        temperature: float = 0.1,
    ) -> Corrections:
        """Corrections for [readers]; an item that is not named has none.

        Args:
          keys: [readers, dims] hidden vectors, of any length.
          marks: [readers] the value of `mark` when the reader came.
          neighbours: K.
          temperature: τ, above 0; the smaller, the more the nearest count.
        """
        seen_from = np.maximum(np.asarray(marks) - self._capacity, self._first)
        if self._written - len(self._items) > seen_from.min(initial=self._written):
            raise BadInputError("expected a mark whose entries are still there; read it sooner")
        first = int(seen_from.min(initial=self._written))
        entries = np.arange(first, max(int(marks.max(initial=first)), first)) % len(self._items)
        likeness = _unit(keys) @ self._keys[entries].T
        reader, near, weight = [], [], []
        windows = zip(likeness, (seen_from - first).tolist(), (marks - first).tolist(), strict=True)
        for place, (row, start, stop) in enumerate(windows):
            chosen, weights = _nearest(row[start : max(start, stop)], neighbours, temperature)
            reader.append(np.full(len(chosen), place))
            near.append(entries[start + chosen])
            weight.append(weights)
        return self._sums(np.concatenate(reader), np.concatenate(near), np.concatenate(weight))

    def _sums(
        self, reader: NDArray[np.int64], entries: NDArray[np.int64], weight: NDArray[np.float64]
    ) -> Corrections:
        """Weighted errors of readers' entries, added up by item."""
        pair = np.stack([reader, self._items[entries]])
        (readers, items), cell = np.unique(pair, axis=1, return_inverse=True)
        sums = np.bincount(cell.ravel(), weight * self._errors[entries])
        return Corrections(readers, items, sums.astype(np.float32))


def _nearest(
    likeness: FloatArray, neighbours: int, temperature: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """[K] places of the likest of [entries], the newer of equals, and their weights."""
    k = min(neighbours, len(likeness))
    if not k:
        return np.zeros(0, np.intp), np.zeros(0)
    least = np.partition(likeness, -k)[-k]
    near = np.flatnonzero(likeness >= least)
    near = near[np.argsort(likeness[near], kind="stable")][-k:]
    closeness = likeness[near].astype(np.float64) / temperature
    weights = np.exp(closeness - closeness[-1])
    return near, weights / weights.sum()


def _unit(keys: NDArray[np.floating]) -> FloatArray:
    """[rows, dims] at length 1; zero stays zero, like nothing in particular."""
    lengths = np.linalg.norm(keys, axis=1, keepdims=True)
    return (keys / np.where(lengths > 0.0, lengths, 1.0)).astype(np.float32)
