"""The recommend path: slow score plus fast memory over the catalogue, top n.

Online service and offline evaluation both run this code.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.catalogue import Catalogue, Filter
from model.explanation import Cause, Explainer
from model.fast.config import MemoryConfig
from model.fast.memory import FastMemory
from model.interactions import (
    NO_ATTRIBUTES,
    Attributes,
    EventRules,
    Kind,
    LogRow,
    Outcome,
    session_actor,
)
from model.slow.bundle import load_bundle
from model.slow.features import PADDING, QueryBatch
from model.slow.scorer import FloatArray, Slow, SlowScorer
from model.storage.event_log import EventLog, item_of

Explain: TypeAlias = Literal["none", "brief", "full"]

PARTS: Final = ("slow_wide", "slow_deep", "fast_wide", "fast_deep", "bias", "rules")
_TRENDING_STEPS: Final = 4096
_CHUNK: Final = 10_000


@dataclass(frozen=True, slots=True)
class Query:
    """One request for recommendations.

    Attributes:
      user_id: For whom; None for nobody known.
      n: How many items, at least 1.
      now_ms: The moment to recommend for.
      context: Attributes of the request.
      session_id: An anonymous session whose events count as the user's.
      seed_items: Items to take as just liked, newest last.
      exclude_items: Items to leave out.
      exclude_seen: Whether items the user has come across are left out.
      filters: Conditions that every item must meet.
      explain: How much to say about why.
    """

    user_id: str | None = None
    n: int = 10
    now_ms: int = 0
    context: Attributes = field(default_factory=dict)
    session_id: str | None = None
    seed_items: tuple[str, ...] = ()
    exclude_items: tuple[str, ...] = ()
    exclude_seen: bool = True
    filters: tuple[Filter, ...] = ()
    explain: Explain = "none"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Ranked items, column by column.

    Attributes:
      item_ids: Best first.
      scores: In log-odds, never rising.
      probabilities: Calibrated chance of success once shown; None where the data
        hold one outcome only and no chance could be learned.
      sources: The part of the score that lifts each item most above the average item.
      model_version: The slow model that answered.
      memory_as_of: Last log position that is reflected.
      fallback: None, or how the list was made when the user's own taste could not
        make it: `popular` when nothing is known of the user, `seen` when all
        allowed items had been seen.
      parts: When asked for: each part's share of the scores; they add up.
      because: When asked for: what moved each item most.
    """

    item_ids: list[str]
    scores: list[float]
    probabilities: list[float] | None
    sources: list[str]
    model_version: str
    memory_as_of: int
    fallback: str | None
    parts: dict[str, list[float]] | None = None
    because: list[list[Cause]] | None = None


class _View(NamedTuple):
    """A user's memory in the slow model's numbers."""

    liked: NDArray[np.int32]
    disliked: NDArray[np.int32]
    last: NDArray[np.int32]
    seen: NDArray[np.int64]
    refused: NDArray[np.int64]
    slots: list[int]
    known: bool


class _Scored(NamedTuple):
    """A request on its way through: what was asked, every item's parts, the chosen ones."""

    batch: QueryBatch
    slow: Slow
    fast: FloatArray
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
        log: EventLog,
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
        log: EventLog,
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
        changes = [item_of(row) for row in rows if row.kind == Kind.ITEM]
        if changes:
            self.catalogue.put(changes)
        self.catalogue.ensure(row.item_id for row in rows if row.item_id is not None)
        for row in rows:
            if row.kind == Kind.USER and row.user_id is not None:
                self._views.pop(row.user_id, None)
        for actor in self.memory.add(rows, self.catalogue.number, len(self.catalogue)):
            self._views.pop(actor, None)

    def recommend(self, query: Query) -> Recommendation:
        """The best allowed items for this query, after catching up with the log.

        Raises:
          BadInputError: If a filter names an attribute that no item has.
        """
        self.catch_up()
        view = self._view(query)
        batch = self._batch(query, view)
        slow = self._scorer.score(batch, self.catalogue.vectors)
        base, fast = self._base(query.now_ms)
        scores = slow.wide[0] + slow.deep[0] + base
        fallback = None if view.known else "popular"
        top = self._top(scores, query, view, exclude_seen=query.exclude_seen)
        if not len(top) and query.exclude_seen:
            top = self._top(scores, query, view, exclude_seen=False)
            fallback = "seen" if len(top) else fallback
        scored = _Scored(batch, slow, fast, scores, top)
        return self._reply(query, scored, fallback)

    def _view(self, query: Query) -> _View:
        actor = query.user_id
        if actor is None and query.session_id is not None:
            actor = session_actor(query.session_id)
        view = self._actor_view(actor) if actor is not None else self._empty_view()
        if not query.seed_items:
            return view
        numbers = [self.catalogue.number(item) for item in reversed(query.seed_items)]
        seeds = np.array([n for n in numbers if n], np.int32)
        if not len(seeds):
            return view
        liked = np.concatenate([seeds[None, :], view.liked], axis=1)[:, : view.liked.shape[1]]
        seen = np.concatenate([view.seen, seeds])
        return view._replace(liked=liked, last=seeds[:1], seen=seen, known=True)

    def _actor_view(self, actor: str) -> _View:
        view = self._views.get(actor)
        if view is not None:
            self._views.move_to_end(actor)
            return view
        attributes = self._log.user(actor) or NO_ATTRIBUTES
        memory = self.memory.user(actor)
        length = self._scorer.space.history
        newest = memory.episodes[-1].item_id if memory.episodes else None
        view = _View(
            liked=self._history([e.item_id for e in memory.newest(Outcome.SUCCESS, length)]),
            disliked=self._history([e.item_id for e in memory.newest(Outcome.FAILURE, length)]),
            last=np.array([PADDING if newest is None else self.catalogue.number(newest)], np.int32),
            seen=self._numbers(memory.seen()),
            refused=self._numbers(memory.refused()),
            slots=self._scorer.space.user_slots(attributes),
            known=bool(memory.episodes) or bool(attributes),
        )
        self._views[actor] = view
        if len(self._views) > self._config.cached_users:
            self._views.popitem(last=False)
        return view

    def _empty_view(self) -> _View:
        none, empty = np.empty(0, np.int64), self._history([])
        slots = self._scorer.space.user_slots(NO_ATTRIBUTES)
        return _View(empty, empty, _NOTHING, none, none, slots, known=False)

    def _numbers(self, items: set[str]) -> NDArray[np.int64]:
        return np.array([self.catalogue.number(item) for item in sorted(items)], np.int64)

    def _history(self, items: list[str]) -> NDArray[np.int32]:
        """[1, history] item numbers, -1 padded."""
        table = np.full((1, self._scorer.space.history), PADDING, np.int32)
        table[0, : len(items)] = [self.catalogue.number(item) for item in items]
        return table

    def _batch(self, query: Query, view: _View) -> QueryBatch:
        space = self._scorer.space
        user = 0 if query.user_id is None else space.users.number(query.user_id)
        slots = view.slots + space.context_slots(query.context, query.now_ms)
        return QueryBatch(
            user=np.array([user], np.int32),
            liked=view.liked,
            disliked=view.disliked,
            last=view.last,
            attributes=np.array([slots], np.int32),
        )

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
        best = np.argpartition(-candidates, n - 1)[:n]
        # argpartition cuts ties anywhere: take all that tie with the last, then sort
        worst = candidates[best].min()
        if worst > -np.inf:
            best = np.flatnonzero(candidates >= worst)
        best = best[np.lexsort((best, -candidates[best]))][:n]
        return best[candidates[best] > -np.inf]

    def _reply(self, query: Query, scored: _Scored, fallback: str | None) -> Recommendation:
        catalogue, (batch, slow, fast, scores, top) = self.catalogue, scored
        probabilities = self._scorer.probabilities(slow.hidden, catalogue.vectors, top[None, :])
        parts = {
            "slow_wide": slow.wide[0],
            "slow_deep": slow.deep[0],
            "fast_wide": fast,
            "bias": catalogue.bias,
        }
        explained = query.explain != "none"
        zeros = [0.0] * len(top)
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
            because=self._explainer.causes(batch, top, fast, full=query.explain == "full")
            if explained
            else None,
        )


_NOTHING = np.array([PADDING], np.int32)


def _sources(parts: Mapping[str, FloatArray], top: NDArray[np.intp]) -> list[str]:
    """For each item the part that lifts it most above the average item."""
    names = list(parts)
    # the plain sum: `mean` costs more in Python than in arithmetic at this length
    means = [np.add.reduce(parts[name]) / len(parts[name]) for name in names]
    lifts = np.array([parts[name][top] - mean for name, mean in zip(names, means, strict=True)])
    return [names[which] for which in lifts.argmax(axis=0).tolist()]
