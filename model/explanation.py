"""Why an item is in a list: crosses, lessons, events and the moment that moved it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.catalogue import Catalogue
from model.fast.crosses import Found
from model.fast.exemplars import Episode
from model.fast.lessons import Lesson
from model.fast_wide import Active
from model.slow.features import PADDING, QueryBatch
from model.slow.nearby import PLACES
from model.slow.scorer import FloatArray, SlowScorer

_MOST_CAUSES: Final = 5
_HISTORY_LOOKED_AT: Final = 8
_LEAST_SAID: Final = 0.01


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that moved an item's score.

    Attributes:
      kind: `cross` (the slow wide half remembered a pair, by its weight or by counts),
        `history` (the slow deep half
        reacts to an event), `trending`, `recent` (what others choose beside it of late, or
        do under the same circumstances, or that people come back to such), `lesson` (what
        fails or works with the user's like) or `surprise` (an event that the slow model did
        not expect of the user).
      text: In words.
      contribution: In log-odds: how far the score falls without what is named.
      item_id: The item of the user's history that is meant, where there is one.
      event_id: The event that is meant, where there is one.
    """

    kind: str
    text: str
    contribution: float
    item_id: str | None = None
    event_id: str | None = None


class Grounds(NamedTuple):
    """What the scores of a reply rest on.

    Attributes:
      batch: The one request.
      trust: Factor on the slow model.
      trending: [items] the row `everyone`.
      active: The rows of fast crosses that the request activates.
      found: What they add.
      lessons: Lessons that apply, `shift` as it adds to scores.
      given: Events with [d] what each has given to the user's fast weights; None where
        this was not asked for, nor what the history does.
    """

    batch: QueryBatch
    trust: float
    trending: FloatArray
    active: Active
    found: Found
    lessons: Sequence[Lesson]
    given: Sequence[tuple[Episode, NDArray[np.float64]]] | None


class Explainer:
    """Finds the causes behind scores of one model version."""

    def __init__(self, scorer: SlowScorer, catalogue: Catalogue) -> None:
        self._scorer = scorer
        self._catalogue = catalogue

    def causes(self, grounds: Grounds, top: NDArray[np.intp]) -> list[list[Cause]]:
        """For each item its largest causes, largest first.

        Args:
          grounds: What the scores rest on.
          top: [k] item numbers.
        """
        history: list[list[Cause]] = [[] for _ in top]
        if grounds.given is not None:
            history = self._history(grounds, top)
        rows = self._scorer.space.wide_rows(grounds.batch)
        found: list[list[Cause]] = []
        for place, number in enumerate(top.tolist()):
            causes = [
                self._cross(row, grounds.trust * weight)
                for row, weight in self._scorer.crosses(rows, number)
            ]
            causes += [*history[place], *self._fast(grounds, number)]
            causes = [cause for cause in causes if abs(cause.contribution) >= _LEAST_SAID]
            causes.sort(key=lambda cause: -abs(cause.contribution))
            found.append(causes[:_MOST_CAUSES])
        return found

    def _fast(self, grounds: Grounds, number: int) -> list[Cause]:
        """What the fast memory has to say of an item."""
        trending = float(grounds.trending[number])
        text = "trending now" if trending > 0 else "cooler than usual now"
        causes = [Cause("trending", text, trending)]
        causes += [
            self._recent(grounds.active, grounds.batch.liked[0], row, added)
            for row, added in grounds.found.of_item(number)
        ]
        slots = set(self._catalogue.attribute_slots(number))
        applying = [one for one in grounds.lessons if one.attribute in slots]
        causes += [self._lesson(one, one.shift / math.sqrt(len(applying))) for one in applying]
        causes += [
            self._surprise(episode, float(self._catalogue.vectors[number] @ given))
            for episode, given in grounds.given or ()
        ]
        return causes

    def _recent(self, active: Active, liked: NDArray[np.int32], row: int, added: float) -> Cause:
        if row < len(active.liked):
            number = active.liked[row]
            text = f"others chose this beside {self._catalogue.title(number)}"
            return Cause("recent", text, added, self._catalogue.ids[number])
        beyond = row - len(active.rows) - len(active.liked)
        if beyond >= 0:
            number = liked[beyond % PLACES]
            title = self._catalogue.title(number)
            text = f"often chosen near {title}" if beyond < PLACES else f"people return to {title}"
            return Cause("cross", text, added, self._catalogue.ids[number])
        if row >= len(active.rows):
            number = active.liked[row - len(active.rows)]
            return Cause(
                "recent",
                "people come back to what they chose a moment ago",
                added,
                self._catalogue.ids[number],
            )
        slot = active.slots[row - len(active.liked)]
        name, _, value = self._scorer.space.query_attributes.words(slot).partition("=")
        return Cause("recent", f"in demand of late where {name} is {value}", added)

    def _lesson(self, lesson: Lesson, added: float) -> Cause:
        space = self._scorer.space
        who = space.query_attributes.words(lesson.segment).replace("=", " ")
        what = space.item_attributes.words(lesson.attribute).replace("=", " ")
        does = "works better" if lesson.shift > 0 else "fails more often"
        return Cause("lesson", f"{what} {does} than expected with {who}", added)

    def _surprise(self, episode: Episode, added: float) -> Cause:
        title = self._catalogue.title(self._catalogue.number(episode.item_id))
        verb = "liked" if episode.outcome > 0 else "disliked"
        text = f"you {verb} {title}, which was not expected"
        return Cause("surprise", text, added, episode.item_id, episode.event_id)

    def _cross(self, row: int, weight: float) -> Cause:
        feature, value = self._scorer.space.row_words(row)
        words = {"liked": "you liked", "disliked": "you disliked", "last": "your last was"}
        if feature not in words:
            return Cause("cross", f"{feature} is {value}", weight)
        title = self._catalogue.title(self._catalogue.number(value))
        return Cause("cross", f"{words[feature]} {title}", weight, value)

    def _history(self, grounds: Grounds, top: NDArray[np.intp]) -> list[list[Cause]]:
        """The deep score's fall when one of the newest events is left out of the history."""
        batch = grounds.batch
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
        falls = grounds.trust * (deep[0] - deep[1:])
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
