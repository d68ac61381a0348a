"""Why an item is in a list: the crosses, the history and the moment that moved it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.catalogue import Catalogue
from model.slow.features import PADDING, QueryBatch
from model.slow.scorer import FloatArray, SlowScorer

_MOST_CAUSES: Final = 5
_HISTORY_LOOKED_AT: Final = 8
_LEAST_TRENDING: Final = 0.01


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that moved an item's score.

    Attributes:
      kind: `cross` (the wide half remembered a pair), `history` (the deep half
        reacts to an event) or `trending`.
      text: In words.
      contribution: In log-odds. A cross adds this much; for history it is how far
        the deep score falls when the event is left out.
      item_id: The item of the user's history that is meant, where there is one.
    """

    kind: str
    text: str
    contribution: float
    item_id: str | None = None


class Explainer:
    """Finds the causes behind scores of one model version."""

    def __init__(self, scorer: SlowScorer, catalogue: Catalogue) -> None:
        self._scorer = scorer
        self._catalogue = catalogue

    def causes(
        self, batch: QueryBatch, top: NDArray[np.intp], fast: FloatArray, *, full: bool
    ) -> list[list[Cause]]:
        """For each item its largest causes, largest first.

        Args:
          batch: The one request.
          top: [k] item numbers.
          fast: [items] the trending row.
          full: Whether to try the deep half without each recent event, which costs
            one pass of the query tower per event.
        """
        rows = self._scorer.space.wide_rows(batch)
        history = self._history(batch, top) if full else [[] for _ in top]
        found: list[list[Cause]] = []
        for place, number in enumerate(top.tolist()):
            causes = [
                self._cross(row, weight) for row, weight in self._scorer.crosses(rows, number)
            ]
            causes += history[place]
            if abs(trending := float(fast[number])) >= _LEAST_TRENDING:
                text = "trending now" if trending > 0 else "cooler than usual now"
                causes.append(Cause("trending", text, trending))
            causes.sort(key=lambda cause: -abs(cause.contribution))
            found.append(causes[:_MOST_CAUSES])
        return found

    def _cross(self, row: int, weight: float) -> Cause:
        feature, value = self._scorer.space.row_words(row)
        words = {"liked": "you liked", "disliked": "you disliked", "last": "your last was"}
        if feature not in words:
            return Cause("cross", f"{feature} is {value}", weight)
        title = self._catalogue.title(self._catalogue.number(value))
        return Cause("cross", f"{words[feature]} {title}", weight, value)

    def _history(self, batch: QueryBatch, top: NDArray[np.intp]) -> list[list[Cause]]:
        """The deep score's fall when one of the newest events is left out of the history."""
        slots = [
            (name, place)
            for name in ("liked", "disliked")
            for place in range(min(_HISTORY_LOOKED_AT, batch.liked.shape[1]))
            if getattr(batch, name)[0, place] != PADDING
        ]
        if not slots:
            return [[] for _ in top]
        copies = QueryBatch(*(np.repeat(part, len(slots) + 1, axis=0) for part in batch))
        for number, (name, place) in enumerate(slots, start=1):
            row = getattr(copies, name)[number]
            row[place:-1] = row[place + 1 :].copy()
            row[-1] = PADDING
        deep = self._scorer.deep_scores(copies, self._catalogue.vectors, top)
        falls = deep[0] - deep[1:]
        words = {"liked": "you liked", "disliked": "you disliked"}
        causes: list[list[Cause]] = [[] for _ in top]
        for which, (name, place) in enumerate(slots):
            number = int(getattr(batch, name)[0, place])
            text = f"{words[name]} {self._catalogue.title(number)}"
            item_id = self._catalogue.ids[number]
            for column, causes_of_item in enumerate(causes):
                fall = float(falls[which, column])
                causes_of_item.append(Cause("history", text, fall, item_id))
        return causes
