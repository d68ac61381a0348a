"""The prequential loop: ask, then learn, event by event; at the end of each day the night.

The harness hands an arm questions and, once they have been asked, the events. Ranks,
candidates and targets stay on this side.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from pipelines.evaluation.arm import Arm, OutcomeArm, Question
from pipelines.evaluation.ledger import Ledger, Standing
from pipelines.evaluation.ranking import LIST_LENGTH, Pending, list_metrics, rank_metrics, ranked
from pipelines.evaluation.record import Asked, Judged, Record
from pipelines.evaluation.stream import NO_TURN, Stream

BATCH: Final = 256
_LIST_BATCH: Final = 64

OnRow: TypeAlias = Callable[[int, int], None]
"""Told how many of how many rows are behind."""


def replay(
    stream: Stream,
    arm: Arm,
    *,
    name: str,
    seed: int,
    batch: int = BATCH,
    on_row: OnRow | None = None,
) -> Record:
    """Replays a stream against an arm.

    Args:
      stream: What happened.
      arm: Who is asked; new, with nothing learned.
      name: Of the arm.
      seed: That the arm was made with.
      batch: Questions that are answered together; 1 is the path of a single request.
      on_row: Told of progress.

    Raises:
      BadInputError: If the stream asks nothing.
    """
    if not (stream.asked | stream.judged)[stream.bootstrap :].any():
        raise BadInputError(f"expected questions in the replay part of {stream.name}, got none")
    run = _Replay(stream, arm, batch)
    seconds = run.play(on_row)
    return run.record(name, seed, seconds)


class _Row(NamedTuple):
    """A row that is asked about, with what is known of it before it happens."""

    row: int
    standing: Standing


@dataclass
class _Answers:
    """What has been answered so far, in the order of the questions."""

    asked: list[_Row] = field(default_factory=list)
    metrics: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    top: list[NDArray[np.int32]] = field(default_factory=list)
    judged: list[_Row] = field(default_factory=list)
    probabilities: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, metrics: dict[str, NDArray[np.float32]], top: NDArray[np.int32]) -> None:
        for name, values in metrics.items():
            self.metrics.setdefault(name, []).append(values)
        self.top.append(top)


class _Replay:
    def __init__(self, stream: Stream, arm: Arm, batch: int) -> None:
        self._stream = stream
        self._arm = arm
        self._shown = stream.candidates == "shown"
        self._batch = min(batch, _LIST_BATCH) if self._shown else batch
        self._says_outcome = hasattr(arm, "probabilities")
        self._ledger = Ledger(stream)
        self._pending: list[Pending] = []
        self._answers = _Answers()
        self._nights: list[dict[str, Any]] = []

    def play(self, on_row: OnRow | None) -> dict[str, float]:
        """The whole stream; returns the seconds of each step."""
        stream, started = self._stream, time.perf_counter()
        self._arm.start(stream.events.take(slice(0, stream.bootstrap)))
        after_start = time.perf_counter()
        learned = stream.bootstrap
        nights = iter([*stream.nights.tolist(), len(stream)])
        night = next(nights)
        for start, stop in self._groups():
            while start >= night:
                self._learn(learned, night)
                learned = night
                self._night(night)
                night = next(nights)
            self._learn(learned, start)
            learned = start
            self._ask(start, stop)
            if len(self._pending) >= self._batch:
                self._answer()
            if on_row is not None:
                on_row(start - stream.bootstrap, len(stream) - stream.bootstrap)
        self._answer()
        nights_s = sum(each["seconds"] for each in self._nights)
        replay_s = time.perf_counter() - after_start - nights_s
        return {"start": after_start - started, "replay": replay_s, "nights": nights_s}

    def _groups(self) -> Iterator[tuple[int, int]]:
        """Start and end of the groups that hold a question; the last ones of the replay."""
        stream, first = self._stream, self._stream.bootstrap
        group = stream.group[first:]
        starts = first + np.flatnonzero(np.diff(group, prepend=group[0] - 1))
        stops = np.append(starts[1:], len(stream))
        has_question = np.logical_or.reduceat(
            (stream.asked | stream.judged)[first:], starts - first
        )
        yield from zip(starts[has_question].tolist(), stops[has_question].tolist(), strict=True)

    def _learn(self, start: int, stop: int) -> None:
        if stop > start:
            self._arm.learn(self._stream.events.take(slice(start, stop)))
            self._ledger.learn(start, stop)

    def _night(self, row: int) -> None:
        self._answer()
        started, cpu_started = time.perf_counter(), time.process_time()
        told = self._arm.night()
        spent = {
            "seconds": round(time.perf_counter() - started, 4),
            "cpu_seconds": round(time.process_time() - cpu_started, 4),
        }
        self._nights.append({"row": row} | spent | dict(told or {}))

    def _ask(self, start: int, stop: int) -> None:
        if self._shown:
            actors = self._stream.events.actor[start:stop]
            for actor in np.unique(actors).tolist():
                self._ask_list(start + np.flatnonzero(actors == actor), actor)
            return
        for row in range(start, stop):
            asked, judged = bool(self._stream.asked[row]), bool(self._stream.judged[row])
            if asked or (judged and self._says_outcome):
                self._ask_row(row, asked=asked, judged=judged)

    def _ask_list(self, rows: NDArray[np.intp], actor: int) -> None:
        # in an order that tells nothing of what was clicked
        rows = rows[np.argsort(self._stream.events.item[rows], kind="stable")]
        items = self._stream.events.item[rows]
        ticket = self._arm.ask(self._question(int(rows[0]), actor, items))
        self._pending.append(Pending(ticket, rows, self._ledger.moment, None))
        self._answers.asked.append(_Row(int(rows[0]), self._ledger.standing(int(rows[0]))))
        if self._says_outcome:
            self._answers.judged += [_Row(r, self._ledger.standing(r)) for r in rows.tolist()]

    def _ask_row(self, row: int, *, asked: bool, judged: bool) -> None:
        actor = int(self._stream.events.actor[row])
        ticket = self._arm.ask(self._question(row, actor, None))
        own = self._ledger.own(actor) if self._stream.candidates != "all" else None
        rows = np.array([row])
        self._pending.append(Pending(ticket, rows, self._ledger.moment, own, asked, judged))
        standing = self._ledger.standing(row)
        if asked:
            self._answers.asked.append(_Row(row, standing))
        if judged and self._says_outcome:
            self._answers.judged.append(_Row(row, standing))

    def _question(self, row: int, actor: int, shown: NDArray[np.int32] | None) -> Question:
        events = self._stream.events
        context = {name: int(column[row]) for name, column in events.context.items()}
        return Question(actor, int(events.timestamp_ms[row]), context, shown)

    def _answer(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        if self._shown:
            scores = self._arm.answer([p.ticket for p in pending])
            self._answers.add(*list_metrics(self._stream, pending, scores))
        elif asked := [p for p in pending if p.asked]:
            scores = self._arm.answer([p.ticket for p in asked])
            standing = ranked(self._stream, self._ledger.known_from, asked, scores)
            self._answers.add(rank_metrics(self._stream, asked, standing), standing.top)
        if self._says_outcome:
            self._judge([p for p in pending if p.judged])

    def _judge(self, pending: list[Pending]) -> None:
        if not pending:
            return
        tickets = [p.ticket for p in pending for _ in p.rows]
        items = self._stream.events.item[np.concatenate([p.rows for p in pending])]
        said = cast(OutcomeArm, self._arm).probabilities(tickets, items)
        self._answers.probabilities.append(np.full(len(items), np.nan) if said is None else said)

    def record(self, name: str, seed: int, seconds: dict[str, float]) -> Record:
        """Everything that was answered, as columns."""
        stream, answers = self._stream, self._answers
        empty_top = np.zeros((0, 0 if self._shown else LIST_LENGTH), np.int32)
        return Record(
            protocol=stream.name,
            arm=name,
            seed=seed,
            n_items=len(stream.items),
            asked=self._asked(answers.asked),
            metrics={k: np.concatenate(v) for k, v in answers.metrics.items()},
            top=np.concatenate(answers.top) if answers.top else empty_top,
            judged=self._judged(answers),
            nights=self._nights,
            seconds={step: round(s, 3) for step, s in seconds.items()},
        )

    def _asked(self, asked: list[_Row]) -> Asked:
        rows = np.array([each.row for each in asked], np.int64)
        standings = [each.standing for each in asked]
        events, turns = self._stream.events, self._stream.since_turn
        return Asked(
            row=rows,
            actor=events.actor[rows],
            block=self._stream.block[rows],
            timestamp_ms=events.timestamp_ms[rows],
            actor_events=np.array([s.actor_events for s in standings], np.int32),
            actor_bootstrap=self._ledger.actor_bootstrap[events.actor[rows]],
            item_events=np.array([s.item_events for s in standings], np.int32),
            item_age_s=np.array([s.item_age_s for s in standings], np.float64),
            item_bootstrap=self._ledger.item_bootstrap[events.item[rows]],
            since_turn=np.full(len(rows), NO_TURN, np.int32) if turns is None else turns[rows],
        )

    def _judged(self, answers: _Answers) -> Judged | None:
        if not answers.probabilities:
            return None
        probability = np.concatenate(answers.probabilities)
        if np.isnan(probability).all():
            return None
        rows = np.array([each.row for each in answers.judged], np.int64)
        events = self._stream.events
        return Judged(
            row=rows,
            actor=events.actor[rows],
            block=self._stream.block[rows],
            actor_events=np.array([j.standing.actor_events for j in answers.judged], np.int32),
            item_bootstrap=self._ledger.item_bootstrap[events.item[rows]],
            label=(events.outcome[rows] > 0).astype(np.float32),
            probability=probability.astype(np.float32),
        )
