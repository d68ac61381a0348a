"""The error memory of ReLoop2 (Zhu et al., KDD 2023), for ranking a whole catalogue."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from pipelines.evaluation.arm import FloatArray

_PRIOR: Final = 1e-3


class ErrorMemory:
    """What the slow model said of the last events, and what happened; read by likeness.

    An entry is the key of an event (the slow model's hidden vector at that moment), its
    item, the probability p that the model gave it, and what happened, y. A reader with key
    q takes its K nearest entries with weights a = softmax(cosine / τ) over those K, and

        correction_i = Σ_j a_j (y_j − p_j) [item_j = i]                 in probability
        correction_i = the same / (Σ_j a_j p_j (1 − p_j) [item_j = i] + λ₀)   in log-odds

    which the caller adds, times a strength, to the slow model's scores.

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
        self._spreads = np.zeros(size, np.float64)
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
        p = np.asarray(probabilities, np.float64)
        numbers = self._written + np.arange(len(items))
        kept = slice(max(len(items) - len(self._items), 0), None)
        places = numbers[kept] % len(self._items)
        self._keys[places] = _unit(keys)[kept]
        self._items[places] = items[kept]
        self._errors[places] = (labels - p)[kept]
        self._spreads[places] = (p * (1.0 - p))[kept]
        self._written += len(items)

    def clear(self) -> None:
        """Forgets everything; marks go on, those handed out before see nothing."""
        self._first = self._written

    def correction(
        self,
        keys: NDArray[np.floating],
        marks: NDArray[np.integer],
        n_items: int,
        *,
        neighbours: int = 50,
        temperature: float = 0.1,
    ) -> FloatArray:
        """[readers, n_items] corrections in probability, in [-1, 1].

        Args:
          keys: [readers, dims] hidden vectors, of any length.
          marks: [readers] the value of `mark` when the reader came.
          n_items: Number of items.
          neighbours: K.
          temperature: τ, above 0; the smaller, the more the nearest count.
        """
        weights, places = self._nearest(keys, marks, neighbours, temperature)
        return self._sums(weights * self._errors[places], places, n_items).astype(np.float32)

    def log_odds(
        self,
        keys: NDArray[np.floating],
        marks: NDArray[np.integer],
        n_items: int,
        *,
        neighbours: int = 50,
        temperature: float = 0.1,
        prior: float = _PRIOR,
    ) -> FloatArray:
        """[readers, n_items] corrections in log-odds: one Newton step, held back by a prior.

        Args:
          keys: [readers, dims] hidden vectors, of any length.
          marks: [readers] the value of `mark` when the reader came.
          n_items: Number of items.
          neighbours: K.
          temperature: τ, above 0.
          prior: λ₀, above 0; the correction is at most 1/λ₀.
        """
        weights, places = self._nearest(keys, marks, neighbours, temperature)
        errors = self._sums(weights * self._errors[places], places, n_items)
        spreads = self._sums(weights * self._spreads[places], places, n_items)
        return (errors / (spreads + prior)).astype(np.float32)

    def _nearest(
        self,
        keys: NDArray[np.floating],
        marks: NDArray[np.integer],
        neighbours: int,
        temperature: float,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """[readers, K] weights, and places of the entries; weight 0 where there are fewer."""
        filled = min(self._written, len(self._items))
        numbers = self._numbers(filled)
        oldest = np.maximum(np.asarray(marks) - self._capacity, self._first)
        if self._written - len(self._items) > oldest.min(initial=self._written):
            raise BadInputError("expected a mark whose entries are still there; read it sooner")
        if filled == 0:
            nothing = np.zeros((len(marks), 0))
            return nothing, nothing.astype(np.int64)
        likeness = (_unit(keys) @ self._keys[:filled].T).astype(np.float64)
        seen = (numbers >= oldest[:, None]) & (numbers < np.asarray(marks)[:, None])
        likeness[~seen] = -np.inf
        k = min(neighbours, filled)
        places = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(likeness, places, axis=1) / temperature
        top = near.max(axis=1, keepdims=True)
        weights = np.exp(near - np.where(np.isfinite(top), top, 0.0))
        return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300), places

    def _numbers(self, filled: int) -> NDArray[np.int64]:
        """[filled] number of the entry in each place."""
        places, size = np.arange(filled), len(self._items)
        rounds = (self._written - 1 - places) // size
        return np.asarray(places + rounds * size, np.int64)

    def _sums(
        self, values: NDArray[np.float64], places: NDArray[np.int64], n_items: int
    ) -> NDArray[np.float64]:
        """[readers, n_items] values added up by item."""
        readers = np.arange(len(values))[:, None]
        cells = readers * n_items + self._items[places]
        sums = np.bincount(cells.ravel(), values.ravel(), minlength=len(values) * n_items)
        return np.asarray(sums, np.float64).reshape(len(values), n_items)


def _unit(keys: NDArray[np.floating]) -> FloatArray:
    """[rows, dims] at length 1; zero stays zero, like nothing in particular."""
    lengths = np.linalg.norm(keys, axis=1, keepdims=True)
    return (keys / np.where(lengths > 0.0, lengths, 1.0)).astype(np.float32)
