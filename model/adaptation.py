"""What the slow model did not expect of one user: fast weights and a correction of chances.

Each event is held against the slow score and the user's own fast weights as they stood
before it. Worked out when the user is asked for, from the newest events alone, event by
event: so the result is the same to the bit whether it grew with the events or was made
from the log at once.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.catalogue import Catalogue
from model.fast.config import MemoryConfig
from model.fast.exemplars import Episode, UserMemory
from model.fast.weights import FastWeights, Step, Surprise, shares_of, surprise
from model.interactions import Outcome
from model.slow.features import PADDING, FeatureSpace, QueryBatch
from model.slow.scorer import FloatArray, SlowScorer, row_by_row

_BLOCK: Final = 32
_AT_ONCE: Final = 16
_COMPARED: Final = 2_048
_PSEUDO_INFORMATION: Final = 4.0
_LEAST_INFORMATION: Final = 1.0
_LARGEST_WEIGHT: Final = 2.0

Moment = Callable[[str | None, int], Sequence[int]]
"""The joint numbers of a moment's attributes, from an event's details and time."""


class History(NamedTuple):
    """Item numbers of what a user did, newest first."""

    liked: Sequence[int]
    disliked: Sequence[int]
    last: int


class Person(NamedTuple):
    """A user as the slow model knows them.

    Attributes:
      number: User number, 0 for unknown.
      slots: Joint numbers of the user's attributes.
      described: Whether any attribute is known.
    """

    number: int
    slots: list[int]
    described: bool


def request(
    space: FeatureSpace, person: Person, history: History, moment: Sequence[int] = ()
) -> QueryBatch:
    """A batch of one request; see `requests`."""
    return requests(space, person, [history], [moment])


def requests(
    space: FeatureSpace,
    person: Person,
    histories: Sequence[History],
    moments: Sequence[Sequence[int]],
) -> QueryBatch:
    """A batch of requests of one user.

    Args:
      space: The slow model's.
      person: Who asks.
      histories: Each as far back as the space looks, or further.
      moments: Joint numbers of the attributes of each moment.
    """
    attributes = [[*person.slots, *moment] for moment in moments]
    return QueryBatch(
        user=np.full(len(histories), person.number, np.int32),
        liked=_padded([history.liked for history in histories], space.history),
        disliked=_padded([history.disliked for history in histories], space.history),
        last=np.array([history.last for history in histories], np.int32),
        attributes=_padded(attributes, max(map(len, attributes))),
    )


def _padded(rows: Sequence[Sequence[int]], length: int) -> NDArray[np.int32]:
    """[rows, length] numbers, -1 padded."""
    table = np.full((len(rows), length), PADDING, np.int32)
    for row, numbers in zip(table, rows, strict=True):
        newest = numbers[:length]
        row[: len(newest)] = newest
    return table


@dataclass
class Chance:
    """How a user's outcomes differ from the chances that were said: a lesson about the user.

    One Newton step of the most probable shift in log-odds, δ = Σ(y - p) / (Σp(1 - p) + λ).

    Attributes:
      half_life_s: How fast it fades.
      residual: Σ(y - p), fading.
      information: Σp(1 - p), fading.
      at_ms: The moment of the last event.
    """

    half_life_s: float
    residual: float = 0.0
    information: float = 0.0
    at_ms: int = 0

    def add(self, label: float, chance: float, timestamp_ms: int) -> None:
        """Takes one outcome in."""
        kept = self._kept(timestamp_ms)
        self.residual = self.residual * kept + label - chance
        self.information = self.information * kept + chance * (1.0 - chance)
        self.at_ms = timestamp_ms

    def _kept(self, now_ms: int) -> float:
        return float(np.exp2(-max(now_ms - self.at_ms, 0) / 1000.0 / self.half_life_s))

    def shift(self, now_ms: int) -> float:
        """δ in log-odds at this moment."""
        kept = self._kept(now_ms)
        return self.residual * kept / (self.information * kept + _PSEUDO_INFORMATION)

    @property
    def score_test(self) -> float:
        """T = Σ(y - p) / √Σp(1 - p): about N(0, 1) where the slow model is right."""
        if self.information < _LEAST_INFORMATION:
            return 0.0
        return self.residual / float(np.sqrt(self.information))


@dataclass
class Personal:
    """What is known of one user beyond the slow model.

    Attributes:
      weights: The fast weights.
      chance: The correction of chances.
    """

    weights: FastWeights
    chance: Chance


class Judgement(NamedTuple):
    """One event as it was met.

    Attributes:
      episode: The event.
      surprise: None for one that is neither success nor failure.
      chance: The slow model's chance of success, None without one.
    """

    episode: Episode
    surprise: Surprise | None
    chance: float | None


class _Expected(NamedTuple):
    """What the slow model says of one event before it happens.

    Attributes:
      number: The item's.
      scores: [compared] log-odds of the items it is compared with.
      score: Its own.
      chance: Of success, None without one.
    """

    number: int
    scores: FloatArray
    score: float
    chance: float | None


class _State:
    """A user's `Personal` and how far it has come."""

    def __init__(self, personal: Personal, revision: int, start: int) -> None:
        self.personal = personal
        self.revision = revision
        self.start = start
        self.done = start

    def leads_to(self, memory: UserMemory, start: int) -> bool:
        """Whether going on from here ends where starting anew would."""
        if (self.revision, self.start) != (memory.revision, start):
            return False
        at, episodes = self.done, memory.episodes
        # events of one moment are met together
        return not (
            self.start < at < len(episodes)
            and episodes[at].timestamp_ms == episodes[at - 1].timestamp_ms
        )


class Adaptation:
    """Follows users' events and keeps what was not expected of them.

    Attributes:
      moves: Whether that has a say in scores or chances; else it need not be worked out.
    """

    def __init__(
        self, scorer: SlowScorer, catalogue: Catalogue, config: MemoryConfig, moment: Moment
    ) -> None:
        self._scorer = scorer
        self._catalogue = catalogue
        self._config = config
        self._moment = moment
        self.moves = bool(config.fast_weight or config.lesson_weight)
        # what an item is held against: fixed for a model, whatever items come later
        known = scorer.share[1:]
        most = min(_COMPARED, len(known))
        self._compared = 1 + np.sort(np.argsort(-known, kind="stable")[:most])
        self._vectors = np.ascontiguousarray(scorer.vectors[self._compared])
        self._bias = np.float32(scorer.trust) * scorer.bias[self._compared]
        squared = np.square(self._vectors, dtype=np.float64).sum(axis=1)
        self._length = float(np.sqrt(squared.mean())) if squared.any() else 1.0
        self._states: OrderedDict[str, _State] = OrderedDict()

    def forget(self, actor: str | None = None) -> None:
        """Drops what was worked out for one user, or for all."""
        if actor is None:
            self._states.clear()
        else:
            self._states.pop(actor, None)

    def nobody(self) -> Personal:
        """What is known of one of whom nothing is known."""
        weights = FastWeights(self._config, self._vectors.shape[1], self._length)
        return Personal(weights, Chance(self._config.forgetting_s))

    def of(self, actor: str, memory: UserMemory, person: Person) -> Personal:
        """What is known of a user.

        Args:
          actor: Whose.
          memory: The user's events.
          person: Who it is.
        """
        state = self._states.get(actor)
        start = _start(len(memory.episodes))
        if state is None or not state.leads_to(memory, start):
            state = self._states[actor] = _State(self.nobody(), memory.revision, start)
        self._states.move_to_end(actor)
        for judged in self._judged(memory, person, state.personal, state.done):
            self._learn(state.personal, judged)
        state.done = len(memory.episodes)
        if len(self._states) > self._config.cached_users:
            self._states.popitem(last=False)
        return state.personal

    def given(
        self, memory: UserMemory, person: Person, now_ms: int
    ) -> list[tuple[Episode, NDArray[np.float64]]]:
        """The newest events with [d] what each has given to the fast weights of the moment."""
        personal = self.nobody()
        episodes: list[Episode] = []
        steps: list[Step] = []
        for one in self._judged(memory, person, personal, _start(len(memory.episodes))):
            step = self._learn(personal, one)
            if step is not None:
                episodes.append(one.episode)
                steps.append(step)
        faded = personal.weights.kept(now_ms)
        return list(zip(episodes, shares_of(steps) * faded, strict=True))

    def judged(self, memory: UserMemory, person: Person) -> list[Judgement]:
        """The newest events of a user as they were met."""
        found, personal = [], self.nobody()
        for one in self._judged(memory, person, personal, _start(len(memory.episodes))):
            self._learn(personal, one)
            found.append(one)
        return found

    def _judged(
        self, memory: UserMemory, person: Person, personal: Personal, done: int
    ) -> Iterator[Judgement]:
        """Holds further events against what was expected; what is yielded is then learned.

        Events of one moment are all met before any of them is learned.
        """
        expected = self._expected(memory, person, done)
        for _, tied in groupby(islice(memory.episodes, done, None), lambda e: e.timestamp_ms):
            yield from [self._meet(e, next(expected), personal) for e in list(tied)]

    def _expected(
        self, memory: UserMemory, person: Person, done: int
    ) -> Iterator["_Expected | None"]:
        """What the slow model says of each further event, None for one that says nothing.

        It is asked about several at once; what it says of one is the same to the bit whatever
        is asked beside it.
        """
        met = self._met(memory, done)
        while chunk := list(islice(met, _AT_ONCE)):
            labelled = [one for one in chunk if one[0].labelled]
            said = iter(self._said(labelled, person) if labelled else [])
            yield from [next(said) if episode.labelled else None for episode, _ in chunk]

    def _met(self, memory: UserMemory, done: int) -> Iterator[tuple[Episode, History]]:
        """Further events, each with what came before its moment."""
        episodes, number = memory.episodes, self._catalogue.number
        length = self._scorer.space.history
        for _, tied in groupby(islice(episodes, done, None), lambda e: e.timestamp_ms):
            group = list(tied)
            liked, disliked = memory.before(group[0], length)
            last = number(episodes[done - 1].item_id) if done else PADDING
            history = History(
                [number(e.item_id) for e in liked], [number(e.item_id) for e in disliked], last
            )
            yield from [(episode, history) for episode in group]
            done += len(group)

    def _said(
        self, met: Sequence[tuple[Episode, History]], person: Person
    ) -> list["_Expected | None"]:
        scorer, vectors = self._scorer, self._catalogue.vectors
        numbers = np.array([self._catalogue.number(episode.item_id) for episode, _ in met])
        batch = requests(
            scorer.space,
            person,
            [history for _, history in met],
            [self._moment(episode.details, episode.timestamp_ms) for episode, _ in met],
        )
        hidden = scorer.hidden(scorer.history_inputs(batch, vectors), batch.attributes)
        chances = scorer.probabilities(hidden, vectors, numbers[:, None])
        trust, n_items = np.float32(scorer.trust), len(self._catalogue)
        wide = trust * scorer.wide(scorer.space.wide_rows(batch), n_items)
        wide += scorer.lifted(batch.liked, n_items)
        query = trust * scorer.queries(hidden)
        own = np.einsum("bd,bd->b", query, vectors[numbers])
        own = own + trust * self._catalogue.bias[numbers]
        own = own + wide[np.arange(len(met)), numbers]
        scores = row_by_row(query, self._vectors.T) + self._bias + wide[:, self._compared]
        return [
            _Expected(number, row, score, None if chances is None else float(chances[place, 0]))
            for place, (number, row, score) in enumerate(
                zip(numbers.tolist(), scores, own.tolist(), strict=True)
            )
        ]

    def _meet(
        self, episode: Episode, expected: "_Expected | None", personal: Personal
    ) -> Judgement:
        if expected is None:
            return Judgement(episode, None, None)
        if episode.outcome is Outcome.NEUTRAL:
            return Judgement(episode, None, expected.chance)
        return Judgement(episode, self._surprise(expected, personal, episode), expected.chance)

    def _surprise(self, expected: "_Expected", personal: Personal, episode: Episode) -> Surprise:
        number, vector = expected.number, self._catalogue.vectors[expected.number]
        own = personal.weights.at(episode.timestamp_ms).astype(np.float32)
        scores = expected.scores + self._vectors @ own
        place = int(np.searchsorted(self._compared, number))
        if place < len(self._compared) and self._compared[place] == number:
            scores[place] = -np.inf
        return surprise(scores, self._vectors, expected.score + float(vector @ own), vector)

    def _learn(self, personal: Personal, judged: Judgement) -> Step | None:
        episode, config, step = judged.episode, self._config, None
        if judged.surprise is not None:
            size = min(episode.weight, _LARGEST_WEIGHT)
            if episode.outcome is Outcome.FAILURE:
                size *= -config.failure_step
            vector = self._catalogue.vectors[self._catalogue.number(episode.item_id)]
            gradient = judged.surprise.gradient
            step = personal.weights.push(gradient, vector, episode.timestamp_ms, size)
        if judged.chance is not None:
            label = float(episode.outcome is Outcome.SUCCESS)
            personal.chance.add(label, judged.chance, episode.timestamp_ms)
        return step


def _start(n_episodes: int) -> int:
    """The first of the newest events that are looked at.

    It moves in whole blocks, so that nearly every new event only adds to what was there.
    """
    return max(n_episodes // _BLOCK - 1, 0) * _BLOCK
