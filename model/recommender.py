"""The recommend path: slow score plus fast memory over the catalogue, top n.

Online service and offline evaluation both run this code.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.adaptation import Adaptation
from model.catalogue import Catalogue
from model.expectations import Expectations
from model.explanation import Explainer, Grounds
from model.fast.config import MemoryConfig
from model.fast.lessons import Lesson
from model.fast.memory import FastMemory
from model.fast.mixing import Mixing
from model.fast_wide import FastWide
from model.interactions import EventRules, Kind, LogRow, actor_of
from model.moments import Moments
from model.prepared import Part, Prepared, as_added, best, shifted, sources
from model.recollection import Fate, Recollection, fate_of, recollection
from model.request import PARTS, Query, Recommendation
from model.scoring import Asked, Scoring
from model.shortlist import Shortlist
from model.slow.bundle import load_bundle
from model.slow.nearby import PLACES
from model.slow.scorer import FloatArray, Near, SlowScorer
from model.snapshot import Snapshot
from model.storage.event_log import ReadableLog
from model.views import View, Views

_CHUNK: Final = 10_000
# Histories of which it is kept what is chosen near them: some 30 kB each.
_NEARBY_KEPT: Final = 1_000


def _nearby(scorer: SlowScorer, factor: np.float32, newest: tuple[int, ...]) -> Near:
    """What the slow model says is chosen near a request's newest successes."""
    near = scorer.nearby(np.array([newest], np.int64))
    return near._replace(lift=factor * near.lift)


class _Scored(NamedTuple):
    """A request on its way through: every item's score and the chosen items' numbers."""

    request: Prepared
    asked: Asked
    scores: FloatArray
    top: NDArray[np.intp]


class Recommender:
    """One model version with the fast memory built on it.

    Not safe for use by several threads at once.

    Attributes:
      version: The model version.
      scorer: The slow model's arithmetic.
      catalogue: The items.
      memory: What is remembered of everyone.
    """

    def __init__(  # noqa: PLR0913 - what a memory is a function of
        self,
        scorer: SlowScorer,
        version: str,
        log: ReadableLog,
        rules: EventRules,
        memory: MemoryConfig,
        mixing: Mixing = Mixing(),  # noqa: B008 - frozen
        snapshot: Snapshot | None = None,
        exact_items: int | None = None,
    ) -> None:
        """Reads the log.

        Args:
          scorer: The slow model.
          version: Its name.
          log: The log.
          rules: What events mean.
          memory: Settings of the fast memory.
          mixing: How much each of its parts says.
          snapshot: What to begin with instead of the log's beginning.
          exact_items: Where the model knows more items, `recommend` scores those alone that
            come into question; None for all always.
        """
        self.version = version
        self.scorer = scorer
        self._log = log
        self._config = memory
        self.catalogue = Catalogue(scorer)
        self._moments = Moments(scorer.space)
        reading = Expectations(scorer, self.catalogue, self._moments)
        self.memory = FastMemory(memory, rules, log.actor_rows, log.event, reading)
        self._fast = FastWide(self.memory, self.catalogue, self._moments, memory, mixing)
        self._mixing = mixing if memory.moves_scores else mixing.alone(scorer.trust)
        factor = np.float32(self._mixing.slow_nearby)
        # not a method: a cycle would outlive a replaced model
        self._nearby = lru_cache(_NEARBY_KEPT)(partial(_nearby, scorer, factor))
        self._fast_factor = np.float32(memory.fast_weight * mixing.fast)
        adaptation = Adaptation(scorer, self.catalogue, memory, self._moments.of_event)
        self._views = Views(
            scorer, self.catalogue, self.memory, adaptation, log, cached=memory.cached_users
        )
        lists = None
        if exact_items is not None and scorer.space.items.size > exact_items:
            bias = np.float32(self._mixing.bias) * scorer.bias
            lists = Shortlist(scorer.vectors, bias, np.random.default_rng(0))
        self._scoring = Scoring(scorer, self.catalogue, self._mixing.slow, lists)
        self._explainer = Explainer(scorer, self.catalogue)
        # who was erased before this is not in the log that is read now
        self._erased = log.head()
        if snapshot is not None:
            self.catalogue.put(snapshot.items)
            self.memory.restore(snapshot.arrays)
        self.catch_up()

    @classmethod
    def open(  # noqa: PLR0913 - as above
        cls,
        folder: Path,
        manifest: Mapping[str, Any],
        log: ReadableLog,
        rules: EventRules,
        memory: MemoryConfig,
        snapshot: Snapshot | None = None,
        exact_items: int | None = None,
    ) -> "Recommender":
        """A recommender on a published bundle, from a snapshot where there is one.

        Raises:
          CorruptBundleError: If the bundle cannot be read.
        """
        version = str(manifest["version"])
        stored = manifest.get("memory")
        mixing = Mixing() if stored is None else Mixing.from_json(stored)
        scorer = SlowScorer(load_bundle(folder))
        return cls(scorer, version, log, rules, memory, mixing, snapshot, exact_items)

    def snapshot(self) -> Snapshot:
        """What is remembered of everyone, as of now."""
        return Snapshot(self.catalogue.items(), self.memory.state())

    @property
    def as_of(self) -> int:
        """Last log position that is reflected."""
        return self.memory.as_of

    def catch_up(self) -> int:
        """Reads what the log holds since the last call.

        Returns:
          The last log position that is now reflected.
        """
        head = self._log.head()
        while self.as_of < head:
            rows = self._log.tail(self.as_of, through_seq=head, limit=_CHUNK)
            if not rows:
                break
            self._take(rows)
        return self.as_of

    def _take(self, rows: list[LogRow]) -> None:
        # in the log's own order, so that numbers are the same wherever calls are cut
        for _, part in groupby(rows, lambda row: row.kind == Kind.ITEM):
            same = list(part)
            if self.catalogue.follow(same):
                # an item newer than the model may have a new vector, and be in any history
                self._views.clear()
            for row in same:
                if row.kind == Kind.USER and row.user_id is not None:
                    self._views.described(row.user_id)
            self._views.changed(self.memory.add(same, self.catalogue))
        erasures = [row.seq for row in rows if row.kind == Kind.ERASURE]
        if erasures and erasures[-1] > self._erased:
            # it names nobody: whoever it was is gone from the log, where memories begin
            self._erased = erasures[-1]
            self.memory.clear()
            self._views.clear()

    def recommend(self, query: Query) -> Recommendation:
        """The best allowed items for this query, after catching up with the log.

        Raises:
          BadInputError: If a filter names an attribute that no item has.
        """
        prepared = self.prepare(query)
        view, asked = prepared.view, self._scoring.asked([prepared])
        fallback = None if view.known else "popular"
        # conditions may leave few of a few, so they are asked of all
        scores = None if query.filters else self._scoring.scores_of_few(asked, prepared)
        if scores is not None:
            top = self._top(scores, query, view, exclude_seen=query.exclude_seen)
            if len(top) == query.n:
                return self._reply(query, _Scored(prepared, asked, scores, top), fallback)
        scores = self._scoring.scores(asked, [prepared])[0]
        top = self._top(scores, query, view, exclude_seen=query.exclude_seen)
        if not len(top) and query.exclude_seen:
            top = self._top(scores, query, view, exclude_seen=False)
            fallback = "seen" if len(top) else fallback
        return self._reply(query, _Scored(prepared, asked, scores, top), fallback)

    def prepare(self, query: Query) -> Prepared:
        """Catches up with the log and gathers what the query's answer depends on now."""
        self.catch_up()
        view, now_ms = self._views.of(query), query.now_ms
        slots = self._moments.of_request(query.context, now_ms)
        active = self._fast.active(view.liked, slots)
        near = self._nearby(tuple(view.liked[:PLACES]))
        fast = self._fast.row(active, near, now_ms)
        weight, mixing = self._config.lesson_weight, self._mixing
        lessons = self._fast.lessons(view.segments, now_ms) if weight else None
        if lessons is not None:
            fast = fast + np.float32(weight * mixing.lessons) * lessons
        return Prepared(
            view=view,
            batch=view.at(slots),
            active=active,
            fast=fast,
            near=near,
            own=view.personal.weights.at(now_ms).astype(np.float32) * self._fast_factor,
            shift=weight * mixing.own_outcomes * view.personal.chance.shift(now_ms),
            lessons=lessons,
            base=self._bias() + fast + self.catalogue.barred(now_ms),
        )

    def recollect(self, actor: str, now_ms: int) -> Recollection:
        """What is remembered of a user or session, after catching up with the log."""
        self.catch_up()
        view = self._views.of(Query(user_id=actor))
        lessons = self.memory.lessons.of(view.segments, now_ms)
        judged, personal = self._views.judged(actor), self._views.personal(actor)
        return recollection(judged, personal, lessons, now_ms)

    def lesson_words(self, lesson: Lesson) -> tuple[str, str]:
        """To whom a lesson applies and to what, as `name=value`."""
        space = self.scorer.space
        return space.query_attributes.words(lesson.segment), space.item_attributes.words(
            lesson.attribute
        )

    def fate(self, event_id: str) -> Fate | None:
        """What became of an event, None for an unknown one."""
        self.catch_up()
        row = self._log.event(event_id)
        if row is None or row.seq > self.as_of:
            return None
        actor = actor_of(row)
        judged = [] if actor is None else self._views.judged(actor)
        met = [one for one in judged if one.episode.event_id == event_id]
        told = self.memory.told(row, self.catalogue)
        return fate_of(row, met[0] if met else None, told, self.catalogue, self.scorer.space)

    def seen(self, query: Query) -> NDArray[np.int64]:
        """Numbers of the items that the one who asks has come across."""
        return self._views.of(query).seen

    @property
    def context_fields(self) -> list[str]:
        """The attributes of a moment that fast crosses know."""
        return self._fast.context_fields

    def parts(self, query: Query) -> tuple[FloatArray, FloatArray]:
        """What scores are mixed of, [parts, items] and [lifts, items].

        Both in the order of `Mixing.as_factors`; for the mixture see `Factors`.
        """
        self.catch_up()
        view, now_ms = self._views.of(query), query.now_ms
        slots = self._moments.of_request(query.context, now_ms)
        batch = view.at(slots)
        hidden = self.scorer.hidden(view.inputs, batch.attributes)
        slow = self.scorer.score_hidden(
            hidden, self._scoring.rows(view, batch), self.catalogue.vectors
        )
        wide, lifts = self._fast.parts(view.liked, slots, now_ms)
        lessons = self._fast.lessons(view.segments, now_ms)
        n_levels, bias = len(self._mixing.trending), self.catalogue.bias
        own = view.personal.weights.at(now_ms).astype(np.float32)
        own = self.catalogue.vectors @ own
        last = np.stack([own, bias * 0.0 if lessons is None else lessons])
        first = [slow.wide + slow.deep, bias + wide[:n_levels], bias[None, :]]
        near = self.scorer.nearby(view.history.liked)
        nearby = np.bincount(near.item, near.lift, len(bias)).astype(np.float32)
        return np.concatenate([*first, wide[n_levels:], last]), np.vstack([lifts, nearby])

    def scores(self, requests: Sequence[Prepared]) -> FloatArray:
        """[requests, items] every item's score, -inf for one that could not be shown then.

        These are the scores that `recommend` ranks, before the user's own seen and refused
        items and the query's conditions are left out.
        """
        return self._scoring.scores(self._scoring.asked(requests), requests)

    def probabilities(
        self,
        requests: Sequence[Prepared],
        items: NDArray[np.integer],
        hidden: FloatArray | None = None,
    ) -> NDArray[np.float64] | None:
        """[requests, k] calibrated chance of success of `items` [requests, k], by number.

        None where the data hold one outcome only and no chance could be learned. What `hidden`
        says of the requests is not worked out again.
        """
        hidden = self.hidden(requests) if hidden is None else hidden
        said = self.scorer.probabilities(hidden, self.catalogue.vectors, items)
        if said is None:
            return None
        shifts = np.array([[request.shift] for request in requests])
        return shifted(said, shifts + self._lessons(requests, items))

    def _lessons(
        self, requests: Sequence[Prepared], items: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """[requests, k] what lessons shift the chances of these items by."""
        factor = self._config.lesson_weight * self._mixing.lesson_outcomes
        found = np.zeros(items.shape)
        for row, request, wanted in zip(found, requests, items, strict=True):
            if request.lessons is not None:
                known = wanted < len(request.lessons)
                row[known] = factor * request.lessons[wanted[known]]
        return found

    def hidden(self, requests: Sequence[Prepared]) -> FloatArray:
        """[requests, trunk] what the slow model's trunk makes of each request."""
        return self._scoring.hidden(requests)

    def _bias(self) -> FloatArray:
        """[items] the slow model's popularity as far as it counts."""
        bias, factor = self.catalogue.bias, np.float32(self._mixing.bias)
        return bias if factor == 1.0 else factor * bias

    def _top(
        self, scores: FloatArray, query: Query, view: View, *, exclude_seen: bool
    ) -> NDArray[np.intp]:
        """Numbers of the best candidates, best first; ties go to the lower number."""
        candidates = scores.copy()
        candidates[0] = -np.inf
        candidates[view.refused] = -np.inf
        if exclude_seen:
            candidates[view.seen] = -np.inf
        if query.exclude_items:
            candidates[[self.catalogue.number(item) for item in query.exclude_items]] = -np.inf
        for condition in query.filters:
            candidates[~self.catalogue.matching(condition)] = -np.inf
        return best(candidates, query.n)

    def _grounds(self, query: Query, prepared: Prepared) -> Grounds:
        view, now_ms, config = prepared.view, query.now_ms, self._config
        given = None
        if query.explain == "full":
            given = self._views.given(query)
            given = [(episode, part * self._fast_factor) for episode, part in given]
        factor = config.lesson_weight * self._mixing.lessons
        return Grounds(
            batch=prepared.batch,
            trust=self._mixing.slow,
            trending=self._fast.trending(now_ms),
            active=prepared.active,
            found=self._fast.found(prepared.active, prepared.near, now_ms),
            lessons=as_added(self.memory.lessons.of(view.segments, now_ms), factor),
            given=given,
        )

    def _reply(self, query: Query, scored: _Scored, fallback: str | None) -> Recommendation:
        catalogue, (prepared, asked, scores, top) = self.catalogue, scored
        probabilities = self.probabilities([prepared], top[None, :], asked.hidden)
        parts = self._scoring.parts(asked, prepared, top)
        parts["bias"] = Part.of(self._bias(), top)
        explained = query.explain != "none"
        zeros = [0.0] * len(top)
        return Recommendation(
            item_ids=[catalogue.ids[number] for number in top.tolist()],
            scores=scores[top].tolist(),
            probabilities=None if probabilities is None else probabilities[0].tolist(),
            sources=sources(parts),
            model_version=self.version,
            memory_as_of=self.as_of,
            fallback=fallback,
            parts={name: parts[name].top.tolist() if name in parts else zeros for name in PARTS}
            if explained
            else None,
            because=self._explainer.causes(self._grounds(query, prepared), top)
            if explained
            else None,
        )
