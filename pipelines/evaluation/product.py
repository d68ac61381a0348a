"""The product as an arm: `model/recommender.py` itself, on the log as it was at each moment."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.fast.config import MemoryConfig
from model.interactions import EventRules
from model.prepared import Prepared
from model.recommender import Recommender
from model.request import Query
from model.slow.bundle import load_bundle
from model.storage.event_log import open_log
from pipelines.evaluation.arm import FloatArray, Question
from pipelines.evaluation.chain import Chain
from pipelines.evaluation.sealed_log import SealedLog
from pipelines.evaluation.stream import Events, Stream


class Product:
    """The served model with its fast memory, night by night.

    Attributes:
      trials: Settings that were tried; the product's are its defaults.
    """

    trials = 1

    def __init__(self, stream: Stream, log_path: Path, chain: Chain, memory: MemoryConfig) -> None:
        """Opens the log at its beginning.

        Args:
          stream: Names and settings; its events are read from the sealed log alone.
          log_path: The stream as an event log.
          chain: The versions.
          memory: Settings of the fast memory.
        """
        self._names = _Names(stream)
        self._rules: EventRules = stream.config.events
        self._log = SealedLog(open_log(log_path), stream)
        self._chain = chain
        self._memory = memory
        self._night = 0
        self._recommender: Recommender | None = None

    @property
    def chosen(self) -> Mapping[str, Any]:
        """What was chosen of the settings that were tried."""
        return {}

    @property
    def sizes(self) -> Mapping[str, int]:
        """How large the model is that serves now: its wide weights that are not zero."""
        folder = self._chain.registry.open(self._chain.version(self._night))
        return {"wide_weights": wide_weights(folder)}

    @property
    def recommender(self) -> Recommender:
        """The recommender that serves now."""
        if self._recommender is None:
            version, registry = self._chain.version(self._night), self._chain.registry
            folder, manifest = registry.open(version), registry.manifest(version)
            self._recommender = Recommender.open(
                folder, manifest, self._log, self._rules, self._memory
            )
        return self._recommender

    def start(self, events: Events) -> None:
        """See `Arm.start`."""
        self._log.show(len(events))
        self.recommender.catch_up()

    def learn(self, events: Events) -> None:
        """See `Arm.learn`: the log grows, and the next request reads it."""
        self._log.show(self._log.n_events + len(events))

    def night(self) -> Mapping[str, Any]:
        """See `Arm.night`: serves the version that the chain has for it."""
        if len(self._chain.steps) == 1:
            return {}
        self._night += 1
        step = self._chain.steps[self._night]
        if self._recommender is not None and step["version"] != self._recommender.version:
            self._recommender = None
        kept = ("version", "verdict", "reasons", "failed", "counts")
        spent = {f"job_{key}": step[key] for key in ("seconds", "cpu_seconds") if key in step}
        return {key: step[key] for key in kept if key in step} | spent

    def query(self, question: Question) -> Query:
        """The request that a client would send."""
        actor = self._names.actors[question.actor]
        return Query(
            user_id=None if self._names.sessions else actor,
            session_id=actor if self._names.sessions else None,
            now_ms=question.timestamp_ms,
            context={
                name: self._names.terms[name][number] for name, number in question.context.items()
            },
        )

    def ask(self, question: Question) -> Prepared:
        """See `Arm.ask`."""
        return self.recommender.prepare(self.query(question))

    def answer(self, tickets: Sequence[Prepared]) -> FloatArray:
        """See `Arm.answer`."""
        scores = self.recommender.scores(tickets)
        scores[:, 0] = -np.inf  # stands for what is not in the catalogue yet
        return scores.take(self.numbers(), axis=1)

    def probabilities(
        self, tickets: Sequence[Prepared], items: NDArray[np.integer]
    ) -> NDArray[np.float64] | None:
        """See `OutcomeArm.probabilities`."""
        numbers = self.numbers()[items]
        said = self.recommender.probabilities(tickets, numbers[:, None])
        return None if said is None else said[:, 0]

    def numbers(self) -> NDArray[np.int64]:
        """[items of the stream] their numbers in the catalogue, 0 for none yet."""
        return self._names.numbers(self.recommender)

    def close(self) -> None:
        """Closes the log below."""
        self._log.close()


def wide_weights(folder: Path) -> int:
    """Weights of a bundle's wide half that are not zero."""
    parameters = load_bundle(folder).parameters
    return sum(int(np.count_nonzero(parameters[name])) for name in _WIDE if name in parameters)


_WIDE: Final = ("wide_weights", "repeat_weights")


class AnotherUser(Product):
    """A placebo: every user is recommended from what the next user by number has done."""

    def query(self, question: Question) -> Query:
        """See `Product.query`."""
        other = (question.actor + 1) % len(self._names.actors)
        return super().query(question._replace(actor=other))


class _Names:
    """The stream's ids, and the numbers the catalogue in use has for its items."""

    def __init__(self, stream: Stream) -> None:
        self.actors = stream.actors
        self.sessions = stream.sessions
        self.terms = stream.terms
        self._items = {item: number for number, item in enumerate(stream.items)}
        self._numbers = np.zeros(len(stream.items), np.int64)
        self._taken = 0
        self._of: Recommender | None = None

    def numbers(self, recommender: Recommender) -> NDArray[np.int64]:
        """[items of the stream] catalogue numbers; looked up once for each item."""
        ids = recommender.catalogue.ids
        if recommender is not self._of:
            self._of, self._taken = recommender, 1
            self._numbers = np.zeros_like(self._numbers)
        for number in range(self._taken, len(ids)):
            self._numbers[self._items[ids[number]]] = number
        self._taken = len(ids)
        return self._numbers


class Ensemble:
    """Several arms that were trained apart, their scores and log-odds averaged."""

    trials = 1

    def __init__(self, arms: Sequence[Product]) -> None:
        self._arms = arms

    @property
    def sizes(self) -> Mapping[str, int]:
        """How large the models are together."""
        each = [arm.sizes for arm in self._arms]
        return {name: sum(sizes[name] for sizes in each) for name in each[0]}

    def start(self, events: Events) -> None:
        """See `Arm.start`."""
        for arm in self._arms:
            arm.start(events)

    def learn(self, events: Events) -> None:
        """See `Arm.learn`."""
        for arm in self._arms:
            arm.learn(events)

    def night(self) -> None:
        """See `Arm.night`."""
        for arm in self._arms:
            arm.night()

    def ask(self, question: Question) -> list[Prepared]:
        """See `Arm.ask`."""
        return [arm.ask(question) for arm in self._arms]

    def answer(self, tickets: Sequence[list[Prepared]]) -> FloatArray:
        """See `Arm.answer`."""
        parts = [
            arm.answer(own) for arm, own in zip(self._arms, zip(*tickets, strict=True), strict=True)
        ]
        return np.asarray(np.mean(parts, axis=0), np.float32)

    def probabilities(
        self, tickets: Sequence[list[Prepared]], items: NDArray[np.integer]
    ) -> NDArray[np.float64] | None:
        """See `OutcomeArm.probabilities`."""
        said = [
            arm.probabilities(own, items)
            for arm, own in zip(self._arms, zip(*tickets, strict=True), strict=True)
        ]
        known = [np.clip(p, 1e-7, 1 - 1e-7) for p in said if p is not None]
        if not known:
            return None
        log_odds = np.mean([np.log(p) - np.log1p(-p) for p in known], axis=0)
        return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))
