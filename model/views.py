"""What is known of the one who asks, in the slow model's numbers, until the next event."""

from collections import OrderedDict
from collections.abc import Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.adaptation import Adaptation, History, Judgement, Person, Personal, request
from model.catalogue import Catalogue
from model.fast.exemplars import Episode
from model.fast.memory import FastMemory
from model.interactions import NO_ATTRIBUTES, Outcome, session_actor
from model.request import Query
from model.slow.features import PADDING, QueryBatch
from model.slow.scorer import FloatArray, SlowScorer
from model.storage.event_log import ReadableLog


class View(NamedTuple):
    """A user's memory in the slow model's numbers: all that stays until the user's next event.

    `history` lacks the moment's slots in its `attributes`; `inputs` and `rows` are
    what the slow model makes of it.
    """

    history: QueryBatch
    inputs: FloatArray
    rows: NDArray[np.int32]
    liked: list[int]
    segments: list[int]
    personal: Personal
    seen: NDArray[np.int64]
    refused: NDArray[np.int64]
    known: bool

    def at(self, moment: Sequence[int]) -> QueryBatch:
        """`history` at a moment, whose attributes have these joint numbers."""
        slots = np.array([moment], np.int32).reshape(1, -1)
        known = self.history.attributes
        return self.history._replace(attributes=np.concatenate([known, slots], axis=1))


class Views:
    """The views of those who asked of late."""

    def __init__(
        self,
        scorer: SlowScorer,
        catalogue: Catalogue,
        memory: FastMemory,
        adaptation: Adaptation,
        log: ReadableLog,
        *,
        cached: int,
    ) -> None:
        self._scorer = scorer
        self._catalogue = catalogue
        self._memory = memory
        self._adaptation = adaptation
        self._log = log
        self._cached = cached
        self._unknown = frozenset(scorer.space.query_attributes.offsets)
        self._views: OrderedDict[str, View] = OrderedDict()

    def changed(self, actors: Set[str]) -> None:
        """These have done something."""
        for actor in self._views.keys() & actors:
            del self._views[actor]

    def described(self, user_id: str) -> None:
        """This user's attributes have changed."""
        self._views.pop(user_id, None)
        self._adaptation.forget(user_id)

    def clear(self) -> None:
        """Anything may have changed."""
        self._views.clear()
        self._adaptation.forget()

    def of(self, query: Query) -> View:
        """The view of the one who asks."""
        actor = _actor(query)
        if query.seed_items:
            return self._made(actor, query.seed_items)
        key = actor or ""
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._made(actor, ())
            if len(self._views) > self._cached:
                self._views.popitem(last=False)
        else:
            self._views.move_to_end(key)
        return view

    def given(self, query: Query) -> list[tuple[Episode, NDArray[np.float64]]]:
        """The newest events of the one who asks, with what each gave to the fast weights."""
        actor = _actor(query)
        if actor is None:
            return []
        memory = self._memory.user(actor)
        return self._adaptation.given(memory, self.person(actor), query.now_ms)

    def judged(self, actor: str) -> list[Judgement]:
        """The newest events of a user as they were met."""
        return self._adaptation.judged(self._memory.user(actor), self.person(actor))

    def personal(self, actor: str) -> Personal:
        """What is known of a user beyond the slow model, even where it moves nothing."""
        memory = self._memory.user(actor)
        if not memory.episodes:
            return self._adaptation.nobody()
        return self._adaptation.of(actor, memory, self.person(actor))

    def person(self, actor: str | None) -> Person:
        """The user as the slow model knows them."""
        space = self._scorer.space
        attributes = (self._log.user(actor) if actor is not None else None) or NO_ATTRIBUTES
        number = space.users.number(actor) if actor is not None else 0
        return Person(number, space.user_slots(attributes), bool(attributes))

    def _made(self, actor: str | None, seed_items: tuple[str, ...]) -> View:
        """A view of an actor's memory, with `seed_items` taken as just liked."""
        space, number = self._scorer.space, self._catalogue.number
        memory = self._memory.user(actor) if actor is not None else self._memory.nobody()
        person = self.person(actor)
        seeds = [item for item in reversed(seed_items) if number(item)]
        newest = memory.newest(Outcome.SUCCESS, space.history)
        liked = [number(item) for item in seeds + [e.item_id for e in newest]]
        disliked = memory.newest(Outcome.FAILURE, space.history)
        last = seeds[:1] or [e.item_id for e in memory.episodes[-1:]]
        told = History(
            liked,
            [number(episode.item_id) for episode in disliked],
            number(last[0]) if last else PADDING,
        )
        history = request(space, person, told)
        personal = self._adaptation.nobody()
        if self._adaptation.moves and actor is not None and memory.episodes:
            personal = self._adaptation.of(actor, memory, person)
        return View(
            history=history,
            inputs=self._scorer.history_inputs(history, self._catalogue.vectors),
            rows=space.wide_rows(history),
            liked=liked,
            segments=[slot for slot in person.slots if slot not in self._unknown],
            personal=personal,
            seen=self._numbers(memory.seen() | set(seeds)),
            refused=self._numbers(memory.refused()),
            known=bool(memory.episodes) or person.described or bool(seeds),
        )

    def _numbers(self, items: set[str]) -> NDArray[np.int64]:
        return np.array([self._catalogue.number(item) for item in sorted(items)], np.int64)


def _actor(query: Query) -> str | None:
    """Under whose name the one who asks is remembered."""
    if query.user_id is None and query.session_id is not None:
        return session_actor(query.session_id)
    return query.user_id
