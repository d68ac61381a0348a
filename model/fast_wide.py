"""The fast wide half of a score: what is trending, and what the request's rows add to it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.catalogue import Catalogue
from model.fast.config import MemoryConfig
from model.fast.crosses import CROSS_HALF_LIVES_S, Found, context_row, liked_row
from model.fast.lessons import Lessons
from model.fast.memory import FastMemory
from model.fast.mixing import PLACES, Mixing
from model.fast.trending import CROSS_HALF_LIVES
from model.moments import Moments
from model.slow.scorer import Near

FloatArray = NDArray[np.float32]

# Trending moves slowly, so it is worked out once for a small step of time; the step depends
# on the time asked for alone, never on who asked before.
_STEP_MS: Final = 250
# What a lesson says halves in two weeks.
_LESSON_STEP_MS: Final = 60_000
_LESSON_BYTES: Final = 16_000_000


class Active(NamedTuple):
    """The rows of fast crosses that a request activates.

    Attributes:
      liked: Items of the user's last successes, newest first.
      slots: Joint numbers of the moment's attributes.
    """

    liked: Sequence[int]
    slots: Sequence[int]

    @property
    def rows(self) -> list[int]:
        """One row for each of `liked`, then one for each of `slots`."""
        return [liked_row(item) for item in self.liked] + [context_row(s) for s in self.slots]


class FastWide:
    """Log-odds that the fast wide half adds to every item.

    Attributes:
      context_fields: Attributes of the moment.
    """

    def __init__(
        self,
        memory: FastMemory,
        catalogue: Catalogue,
        moments: Moments,
        config: MemoryConfig,
        mixing: Mixing,
    ) -> None:
        self._memory = memory
        self._catalogue = catalogue
        self._half_life_factors = (config.trending_weight * np.array(mixing.trending)).tolist()
        lengths = [end - start for start, end in PLACES]
        self._place_factors = config.cross_weight * np.repeat(mixing.liked, lengths, axis=0)
        self._nearby = config.cross_weight * np.repeat(mixing.nearby, lengths)
        self._again = config.cross_weight * np.repeat(mixing.again, lengths)
        self._slot_factors = config.cross_weight * np.array(
            [mixing.context.get(name, mixing.other_context) for name in moments.fields()]
        ).reshape(-1, len(CROSS_HALF_LIVES_S))
        self._fields = moments.fields()
        self.context_fields = moments.context_fields()
        self._unknown = moments.unknown
        self._says_nothing = moments.unknown | set(
            np.flatnonzero(~self._slot_factors.any(axis=1)).tolist()
        )
        self._liked_say = bool(self._place_factors.any() or self._nearby.any() or self._again.any())
        self._silent = not (
            any(self._half_life_factors) or self._liked_say or self._slot_factors.any()
        )
        self._lots = np.arange(catalogue.n_attribute_slots)
        if config.shuffled_lessons:
            self._lots = np.random.default_rng(0).permutation(self._lots)
        self._key: tuple[int, int] | None = None
        self._lessons_key: tuple[Lessons, int, int, int] | None = None
        self._lessons: dict[tuple[int, ...], FloatArray | None] = {}
        self._trending: FloatArray = np.zeros(0, np.float32)
        self._shares: FloatArray = np.zeros((0, 0), np.float32)

    def trending(self, now_ms: int) -> FloatArray:
        """[items] what is trending; the same array until it changes."""
        key = (self._memory.as_of, now_ms // _STEP_MS)
        if key != self._key:
            share, trending = self._catalogue.share, self._memory.trending
            levels, shares = trending.levels(share, key[1] * _STEP_MS)
            self._trending = trending.row(levels, self._half_life_factors, len(share))
            self._shares = np.array([shares[place] for place in CROSS_HALF_LIVES])
            self._key = key
        return self._trending

    def active(self, liked: Sequence[int], slots: Sequence[int]) -> Active:
        """The rows that say anything.

        Args:
          liked: Items of the user's successes, newest first.
          slots: Joint numbers of the moment's attributes.
        """
        recent = liked[: len(self._place_factors)] if self._liked_say else []
        return Active(recent, [slot for slot in slots if slot not in self._says_nothing])

    def found(self, active: Active, near: Near, now_ms: int) -> Found:
        """What is added to which items: chances of one item add up.

        A slot is a row of `active`; beyond them come returns to the liked items, in the order
        of `liked`, then what the slow model says is chosen near these, by chance.
        """
        n_liked, rows = len(active.liked), active.rows
        beyond = len(rows) + n_liked
        slow = Found(beyond + near.chance, near.item, np.zeros_like(near.lift), near.lift)
        if not rows:
            return slow
        places = self._place_factors[:n_liked]
        factors = np.concatenate([places, self._slot_factors[list(active.slots)]])
        chances = np.concatenate([self._nearby[:n_liked], np.zeros(len(active.slots))])
        self.trending(now_ms)
        present = self._shares
        crosses = self._memory.crosses.found(
            rows, factors, chances, now_ms, lambda which: present.take(which, axis=1)
        )
        liked = np.array(active.liked, np.int64)
        lift = (self._again[:n_liked] / present[-1, liked]).astype(np.float32)
        again = np.zeros(n_liked, np.float32)
        return Found(
            np.concatenate([crosses.slot, len(rows) + np.arange(n_liked), slow.slot]),
            np.concatenate([crosses.item, liked, slow.item]),
            np.concatenate([crosses.added, again, slow.added]),
            np.concatenate([crosses.lift, lift, slow.lift]),
        )

    def row(self, active: Active, near: Near, now_ms: int) -> FloatArray:
        """[items] trending and crosses together, with what the slow model says is near."""
        n_items = len(self._catalogue)
        # what does not count is not worked out
        trending = np.zeros(n_items, np.float32) if self._silent else self.trending(now_ms)
        if not active.rows and not len(near.item):
            return trending
        added = self.found(active, near, now_ms).of_items(n_items)
        return np.asarray(trending + added, np.float32)

    def lessons(self, segments: Sequence[int], now_ms: int) -> FloatArray | None:
        """[items] log-odds that lessons shift outcomes by, None where none applies.

        Lessons of one item say much the same in several slots, so n of them count √n times
        their mean: less than independent ones would, more than one would.

        The same array for all users of these segments until it changes.
        """
        lessons = self._memory.lessons
        if not segments or not len(lessons):
            return None
        step = now_ms // _LESSON_STEP_MS
        key = (lessons, lessons.revision, self._catalogue.revision, step)
        full = len(self._lessons) * 4 * len(self._catalogue) >= _LESSON_BYTES
        if key != self._lessons_key or full:
            self._lessons_key, self._lessons = key, {}
        known = tuple(segments)
        if known not in self._lessons:
            self._lessons[known] = self._said_to(known, step * _LESSON_STEP_MS)
        return self._lessons[known]

    def _said_to(self, segments: Sequence[int], now_ms: int) -> FloatArray | None:
        found = self._memory.lessons.shifts(segments, now_ms)
        if not len(found.shift):
            return None
        attributes = self._lots[found.attribute]
        shifts = np.bincount(attributes, found.shift, len(self._lots))
        numbers = np.bincount(attributes, minlength=len(self._lots))
        items, slots = self._catalogue.attribute_pairs()
        added = np.bincount(items, shifts[slots], len(self._catalogue))
        applying = np.bincount(items, numbers[slots], len(self._catalogue))
        return np.asarray(added / np.sqrt(np.maximum(applying, 1.0)), np.float32)

    def parts(
        self, liked: Sequence[int], slots: Sequence[int], now_ms: int
    ) -> tuple[FloatArray, FloatArray]:
        """What the fast wide half consists of, each before its factor.

        Returns:
          In the order of `Mixing.as_factors`, [parts, items] log shares at each half-life,
          then residuals of crosses by place and by attribute of the moment; and [2 · places,
          items] lifts.
        """
        share, memory = self._catalogue.share, self._memory
        levels, shares = memory.trending.levels(share, now_ms)
        n_levels, n_decays = len(levels), len(CROSS_HALF_LIVES)
        groups = len(PLACES) + len(self.context_fields)
        found = np.zeros((n_levels + groups * n_decays, len(share)), np.float32)
        for place in reversed(range(n_levels)):
            found[place] = memory.trending.row([levels[place]], [1.0], len(share))
            if place + 1 < n_levels:
                found[place] += found[place + 1]
        lifts = np.zeros((2 * len(PLACES), len(share)), np.float32)
        recent = liked[: PLACES[-1][1]]
        known = [slot for slot in slots if slot not in self._unknown]
        if not recent and not known:
            return found, lifts
        present = np.array([shares[place] for place in CROSS_HALF_LIVES])
        rows = Active(recent, known).rows
        cells = memory.crosses.cells(rows, now_ms, lambda which: present[:, which])
        of_row = [n for n, (start, end) in enumerate(PLACES) for _ in range(start, end)]
        of_row = of_row[: len(recent)] + [
            len(PLACES) + self.context_fields.index(self._fields[slot]) for slot in known
        ]
        group = np.array(of_row, np.int64)
        cell_group = group[cells.slot]
        for decay, added in enumerate(cells.residual):
            at = (n_levels + cell_group * n_decays + decay, cells.item)
            np.add.at(found, at, added.astype(np.float32))
        near = cell_group < len(PLACES)
        at = (cell_group[near], cells.item[near])
        np.add.at(lifts, at, cells.lift[near].astype(np.float32))
        again = np.array(recent, np.int64)
        np.add.at(lifts, (len(PLACES) + group[: len(recent)], again), 1.0 / present[-1, again])
        return found, lifts
