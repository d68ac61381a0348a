"""The recommend path: slow score plus fast memory over the catalogue, top n.

Online service and offline evaluation both run this code.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.catalogue import Catalogue
from model.explanation import Explainer
from model.fast.config import MemoryConfig
from model.fast.memory import FastMemory
from model.interactions import (
    NO_ATTRIBUTES,
    EventRules,
    Kind,
    LogRow,
    Outcome,
    session_actor,
)
from model.request import PARTS, Query, Recommendation
from model.slow.bundle import load_bundle
from model.slow.features import PADDING, QueryBatch
from model.slow.scorer import FloatArray, Slow, SlowScorer
from model.storage.event_log import LogReader

_TRENDING_STEPS: Final = 4096
_CHUNK: Final = 10_000


class _View(NamedTuple):
    """A user's memory in the slow model's numbers: all that stays until the user's next event.

    `history` lacks the moment's slots in its `attributes`; `inputs` and `rows` are
    what the slow model makes of it.
    """

    history: QueryBatch
    inputs: FloatArray
    rows: NDArray[np.int32]
    seen: NDArray[np.int64]
    refused: NDArray[np.int64]
    known: bool


class Prepared(NamedTuple):
    """A request and all that its answer depends on and that time may change.

    What is left to do is arithmetic on the model, so requests prepared at different
    moments can be scored together.

    Attributes:
      view: The user's memory.
      batch: The one request, as the slow model reads it.
      fast: [items] the fast memory's part.
      base: [items] bias and `fast`, -inf where an item may not be shown now.
    """

    view: _View
    batch: QueryBatch
    fast: FloatArray
    base: FloatArray


class _Scored(NamedTuple):
    """A request on its way through: every item's score and the chosen items' numbers."""

    request: Prepared
    slow: Slow
    scores: FloatArray
    top: NDArray[np.intp]


class Recommender:
    """One model version with the fast memory built on it.

    Not safe for use by several threads at once.

    Attributes:
      version: The model version.
    """

    def __init__(
        self,
        scorer: SlowScorer,
        version: str,
        log: LogReader,
        rules: EventRules,
        memory: MemoryConfig,
    ) -> None:
        self.version = version
        self._scorer = scorer
        self._log = log
        self._config = memory
        self.catalogue = Catalogue(scorer)
        self.memory = FastMemory(memory, rules, log.actor_rows, log.event)
        self._views: OrderedDict[str, _View] = OrderedDict()
        self._base_key: tuple[int, int] | None = None
        self._explainer = Explainer(scorer, self.catalogue)
        self.catch_up()

    @classmethod
    def open(
        cls,
        folder: Path,
        manifest: Mapping[str, Any],
        log: LogReader,
        rules: EventRules,
        memory: MemoryConfig,
    ) -> "Recommender":
        """A recommender on a published bundle.

        Raises:
          CorruptBundleError: If the bundle cannot be read.
        """
        version = str(manifest["version"])
        return cls(SlowScorer(load_bundle(folder)), version, log, rules, memory)

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
        if self.catalogue.follow(rows):
            # an item newer than the model may have a new vector, and be in any history
            self._views.clear()
        for row in rows:
            if row.kind == Kind.USER and row.user_id is not None:
                self._views.pop(row.user_id, None)
        for actor in self.memory.add(rows, self.catalogue.number, len(self.catalogue)):
            self._views.pop(actor, None)
        if any(row.kind == Kind.ERASURE for row in rows):
            # it names nobody: whoever it was is gone from the log, where memories begin
            self.memory.drop_users()
            self._views.clear()

    def recommend(self, query: Query) -> Recommendation:
        """The best allowed items for this query, after catching up with the log.

        Raises:
          BadInputError: If a filter names an attribute that no item has.
        """
        prepared = self.prepare(query)
        view, slow = prepared.view, self._slow([prepared])
        scores = slow.wide[0] + slow.deep[0] + prepared.base
        fallback = None if view.known else "popular"
        top = self._top(scores, query, view, exclude_seen=query.exclude_seen)
        if not len(top) and query.exclude_seen:
            top = self._top(scores, query, view, exclude_seen=False)
            fallback = "seen" if len(top) else fallback
        return self._reply(query, _Scored(prepared, slow, scores, top), fallback)

    def prepare(self, query: Query) -> Prepared:
        """Catches up with the log and gathers what the query's answer depends on now."""
        self.catch_up()
        view = self._view(query)
        base, fast = self._base(query.now_ms)
        return Prepared(view, self._batch(query, view), fast, base)

    def scores(self, requests: Sequence[Prepared]) -> FloatArray:
        """[requests, items] every item's score, -inf for one that could not be shown then.

        These are the scores that `recommend` ranks, before the user's own seen and refused
        items and the query's conditions are left out.
        """
        slow = self._slow(requests)
        total = slow.wide + slow.deep
        for row, request in zip(total, requests, strict=True):
            n_items = len(request.base)
            row[:n_items] += request.base
            row[n_items:] = -np.inf  # came after the request was prepared
        return total

    def affinity(self, item: int) -> FloatArray:
        """[items] log-odds of success for one whose taste is this item alone, by number."""
        catalogue = self.catalogue
        crosses = np.zeros(len(catalogue), np.float32)
        if item < self._scorer.space.items.size:
            crosses = self._scorer.wide(np.array([[item]], np.int32), len(catalogue))[0]
        match = catalogue.vectors @ catalogue.vectors[item]
        return np.asarray(match + catalogue.bias + crosses)

    def content_vectors(self, items: NDArray[np.integer]) -> FloatArray:
        """[items, d] what the attributes alone say of items, by number; zeros for nothing."""
        known = np.where(items < self._scorer.space.items.size, items, 0)
        return np.asarray(self.catalogue.vectors[items] - self._scorer.id_vectors[known])

    def probabilities(
        self, requests: Sequence[Prepared], items: NDArray[np.integer]
    ) -> NDArray[np.float64] | None:
        """[requests, k] calibrated chance of success of `items` [requests, k], by number.

        None where the data hold one outcome only and no chance could be learned.
        """
        hidden = self.hidden(requests)
        return self._scorer.probabilities(hidden, self.catalogue.vectors, items)

    def hidden(self, requests: Sequence[Prepared]) -> FloatArray:
        """[requests, hidden] what the slow model's trunk makes of each request."""
        each = [self._scorer.hidden(r.view.inputs, r.batch.attributes) for r in requests]
        return each[0] if len(each) == 1 else np.concatenate(each)

    def _slow(self, requests: Sequence[Prepared]) -> Slow:
        """The slow score of the whole catalogue, from what the views have ready."""
        hidden = self.hidden(requests)
        rows = [self._rows(request) for request in requests]
        table = rows[0] if len(rows) == 1 else _side_by_side(rows)
        return self._scorer.score_hidden(hidden, table, self.catalogue.vectors)

    def _rows(self, request: Prepared) -> NDArray[np.int32]:
        view, attributes = request.view, request.batch.attributes
        moment = attributes[:, view.history.attributes.shape[1] :]
        return np.concatenate([view.rows, self._scorer.space.attribute_rows(moment)], axis=1)

    def _view(self, query: Query) -> _View:
        actor = query.user_id
        if actor is None and query.session_id is not None:
            actor = session_actor(query.session_id)
        if query.seed_items:
            return self._made_view(actor, query.seed_items)
        key = actor or ""
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._made_view(actor, ())
            if len(self._views) > self._config.cached_users:
                self._views.popitem(last=False)
        else:
            self._views.move_to_end(key)
        return view

    def _made_view(self, actor: str | None, seed_items: tuple[str, ...]) -> _View:
        """A view of an actor's memory, with `seed_items` taken as just liked."""
        space, length = self._scorer.space, self._scorer.space.history
        memory = self.memory.user(actor) if actor is not None else self.memory.nobody()
        attributes = (self._log.user(actor) if actor is not None else None) or NO_ATTRIBUTES
        seeds = [item for item in reversed(seed_items) if self.catalogue.number(item)]
        liked = seeds + [e.item_id for e in memory.newest(Outcome.SUCCESS, length)]
        last = seeds[:1] or [e.item_id for e in memory.episodes[-1:]]
        history = QueryBatch(
            user=np.array([space.users.number(actor) if actor is not None else 0], np.int32),
            liked=self._padded(liked[:length], length),
            disliked=self._padded(
                [e.item_id for e in memory.newest(Outcome.FAILURE, length)], length
            ),
            last=self._padded(last, 1)[0],
            attributes=np.array([space.user_slots(attributes)], np.int32).reshape(1, -1),
        )
        return _View(
            history=history,
            inputs=self._scorer.history_inputs(history, self.catalogue.vectors),
            rows=space.wide_rows(history),
            seen=self._numbers(memory.seen() | set(seeds)),
            refused=self._numbers(memory.refused()),
            known=bool(memory.episodes) or bool(attributes) or bool(seeds),
        )

    def _numbers(self, items: set[str]) -> NDArray[np.int64]:
        return np.array([self.catalogue.number(item) for item in sorted(items)], np.int64)

    def _padded(self, items: list[str], length: int) -> NDArray[np.int32]:
        """[1, length] item numbers, -1 padded."""
        table = np.full((1, length), PADDING, np.int32)
        table[0, : len(items)] = [self.catalogue.number(item) for item in items]
        return table

    def _batch(self, query: Query, view: _View) -> QueryBatch:
        slots = self._scorer.space.context_slots(query.context, query.now_ms)
        moment = np.array([slots], np.int32).reshape(1, -1)
        attributes = np.concatenate([view.history.attributes, moment], axis=1)
        return view.history._replace(attributes=attributes)

    def _base(self, now_ms: int) -> tuple[FloatArray, FloatArray]:
        """[items] bias plus trending with -inf where an item may not be shown, and trending."""
        # trending moves slowly, so it is worked out once for a small step of time;
        # the step depends on the time asked for alone, never on who asked before
        step = self._config.trending_half_life_s * 1000.0 / _TRENDING_STEPS
        key = (self.as_of, int(now_ms // step))
        if key != self._base_key:
            share = self.catalogue.share
            self._fast = self.memory.trending.row(share, int(key[1] * step))
            self._open_base = self.catalogue.bias + self._fast
            self._base_key = key
        base = np.where(self.catalogue.allowed(now_ms), self._open_base, -np.inf)
        return base.astype(np.float32, copy=False), self._fast

    def _top(
        self, scores: FloatArray, query: Query, view: _View, *, exclude_seen: bool
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
        n = min(query.n, len(candidates))
        # a partition cuts ties anywhere: take all that tie with the last, then sort
        worst = np.partition(candidates, len(candidates) - n)[len(candidates) - n]
        best = np.flatnonzero(candidates >= worst if worst > -np.inf else candidates > -np.inf)
        return best[np.argsort(-candidates[best], kind="stable")][:n]

    def _reply(self, query: Query, scored: _Scored, fallback: str | None) -> Recommendation:
        catalogue, (prepared, slow, scores, top) = self.catalogue, scored
        fast = prepared.fast
        probabilities = self._scorer.probabilities(slow.hidden, catalogue.vectors, top[None, :])
        parts = {
            "slow_wide": slow.wide[0],
            "slow_deep": slow.deep[0],
            "fast_wide": fast,
            "bias": catalogue.bias,
        }
        explained = query.explain != "none"
        zeros = [0.0] * len(top)
        full = query.explain == "full"
        return Recommendation(
            item_ids=[catalogue.ids[number] for number in top.tolist()],
            scores=scores[top].tolist(),
            probabilities=None if probabilities is None else probabilities[0].tolist(),
            sources=_sources(parts, top),
            model_version=self.version,
            memory_as_of=self.as_of,
            fallback=fallback,
            parts={name: parts[name][top].tolist() if name in parts else zeros for name in PARTS}
            if explained
            else None,
            because=self._explainer.causes(prepared.batch, top, fast, full=full)
            if explained
            else None,
        )


def _side_by_side(rows: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """[requests, widest] rows of one request each, -1 padded."""
    table = np.full((len(rows), max(row.shape[1] for row in rows)), PADDING, np.int32)
    for place, row in enumerate(rows):
        table[place, : row.shape[1]] = row[0]
    return table


def _sources(parts: Mapping[str, FloatArray], top: NDArray[np.intp]) -> list[str]:
    """For each item the part that lifts it most above the average item."""
    names = list(parts)
    # the plain sum: `mean` costs more in Python than in arithmetic at this length
    means = [np.add.reduce(parts[name]) / len(parts[name]) for name in names]
    lifts = np.array([parts[name][top] - mean for name, mean in zip(names, means, strict=True)])
    return [names[which] for which in lifts.argmax(axis=0).tolist()]
