"""Learns from past days how much each part of the fast memory should say.

Replays the newest part of the log on a slow model that has not seen it: at the moment of
a success, what was chosen is held against items drawn by lot, and the factors are those
under which the choices had the highest probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.fast.config import MemoryConfig
from model.fast.factors import Choices, Factors, choice_loss, fit_factors, mean_gain
from model.fast.mixing import SHARES, Mixing
from model.fast.outcomes import Outcomes, fit_shifts, outcome_loss
from model.interactions import EventRules, LogRow, Outcome
from model.recommender import Recommender
from model.request import Query
from model.slow.scorer import SlowScorer
from model.storage.event_log import LogReader, event_of, event_rows
from model.storage.log_up_to import LogUpTo

# Defaults are a guess; what was learned before rests on questions of its own, and a night's few
# only move it.
_STRENGTH: Final = 4.0
_STRENGTH_AGAIN: Final = 64.0
_SURE: Final = 200
_DRAWN: Final = 100
_LEAST_CHANCE: Final = 1e-9
_LEAST_QUESTIONS: Final = 100
_MOST_QUESTIONS: Final = 2_000
_MOST_AGAIN: Final = 500
# Share of successes with an item of before from which on people are said to come back; where
# they hardly do, what they have met is left out, as it is in their lists.
_RETURNS: Final = 0.05
# Log positions before the first question whose events are in the memory that is asked: what
# lies further back has faded, and reading it all would make each night longer than the last.
_MOST_REMEMBERED: Final = 300_000


@dataclass(frozen=True)
class Lesson:
    """What to learn from.

    Attributes:
      after_seq: Only events behind this log position are asked about; the slow model has
        not seen them.
      through_seq: The last log position that counts.
      start: Factors to stay near to where little is known.
    """

    after_seq: int
    through_seq: int
    start: Mixing = field(default_factory=Mixing)


@dataclass(frozen=True)
class Learned:
    """Factors and how they came about.

    Attributes:
      mixing: The factors.
      report: Questions asked, and the surprise of choices in nats and NDCG@10 before and
        after, on the questions that were learned from; outcomes asked about, and their loss.
    """

    mixing: Mixing
    report: dict[str, Any]


class _Question(NamedTuple):
    row: LogRow
    end: int
    """The last position that may be known: nothing of the event's own moment."""
    succeeded: bool


def learn_factors(
    scorer: SlowScorer,
    log: LogReader,
    rules: EventRules,
    config: MemoryConfig,
    lesson: Lesson,
    rng: np.random.Generator,
) -> Learned | None:
    """The factors that past days teach, or None where they hold too few successes.

    Args:
      scorer: A slow model that has not seen the events of the lesson.
      log: The log.
      rules: What events mean.
      config: Settings of the memory.
      lesson: Which events to learn from.
      rng: Draws the questions and what choices are held against.
    """
    found, with_met = _questions(log, rules, lesson)
    if len(found.choices) < _LEAST_QUESTIONS:
        return None
    again = lesson.start != Mixing()
    most, strength = (_MOST_AGAIN, _STRENGTH_AGAIN) if again else (_MOST_QUESTIONS, _STRENGTH)
    questions, judged = (_drawn(each, most, rng) for each in (found.choices, found.outcomes))
    first = min(each[0].end for each in (questions, judged) if each)
    shown = LogUpTo(log, first, events_after=first - _MOST_REMEMBERED)
    recommender = Recommender(scorer, "", shown, rules, config)
    fields = recommender.context_fields
    start = lesson.start.as_factors(fields)
    asking = _Asking(recommender, shown, start, rng, with_met, config.lesson_weight)
    asked, said = asking.all(questions, judged)
    if len(asked) < _LEAST_QUESTIONS:
        return None
    choices = Choices(*(np.stack(part) for part in zip(*asked, strict=True)))
    factors = fit_factors(choices, start, strength=strength)
    mixing, outcomes = _with_outcomes(
        Mixing.from_factors(factors, fields), lesson.start, said, strength
    )
    report = {
        "questions": len(asked),
        "with_met": with_met,
        "nats_before": round(choice_loss(choices, start), 4),
        "nats_after": round(choice_loss(choices, factors), 4),
        "ndcg_before": round(mean_gain(choices, start), 4),
        "ndcg_after": round(mean_gain(choices, factors), 4),
        **outcomes,
    }
    return Learned(mixing, report)


def _drawn(
    questions: Sequence[_Question], most: int, rng: np.random.Generator
) -> Sequence[_Question]:
    """At most so many of the questions, in their order."""
    if len(questions) <= most:
        return questions
    chosen = np.sort(rng.choice(len(questions), most, replace=False))
    return [questions[at] for at in chosen.tolist()]


def _with_outcomes(
    mixing: Mixing, start: Mixing, said: Sequence["_Said"], strength: float
) -> tuple[Mixing, dict[str, Any]]:
    """The factors with those of outcomes, and what the report says of these."""
    before = np.array([start.own_outcomes, start.lesson_outcomes])
    labels = np.array([one.label for one in said])
    told: dict[str, Any] = {"outcomes": len(said)}
    found = before
    if len(said) >= _LEAST_QUESTIONS and 0.0 < labels.mean() < 1.0:
        shifts = np.array([[one.own, one.lessons] for one in said])
        outcomes = Outcomes(np.array([one.odds for one in said]), shifts, labels)
        found = fit_shifts(outcomes, before, strength=strength)
        told |= {
            "logloss_before": round(outcome_loss(outcomes, before), 4),
            "logloss_after": round(outcome_loss(outcomes, found), 4),
        }
    own, lessons = found.tolist()
    return replace(mixing, own_outcomes=own, lesson_outcomes=lessons), told


class _Questions(NamedTuple):
    choices: Sequence[_Question]
    """Successes."""
    outcomes: Sequence[_Question]
    """Events that say what became of an item: successes and others."""


class _Said(NamedTuple):
    """What was said of one event, in log-odds, and what became of it."""

    odds: float
    own: float
    lessons: float
    label: float


def _questions(log: LogReader, rules: EventRules, lesson: Lesson) -> tuple[_Questions, bool]:
    """What to ask about, and whether successes with an item of before are among it."""
    found: list[_Question] = []
    outcomes: list[_Question] = []
    returns: set[int] = set()
    moment, end, met = None, lesson.after_seq, set[tuple[str | None, str | None, str]]()
    for row in event_rows(log, lesson.after_seq, lesson.through_seq):
        if row.timestamp_ms != moment:
            moment, end = row.timestamp_ms, row.seq - 1
        outcome = _outcome(row, rules)
        if outcome is None:
            continue
        question = _Question(row, end, outcome is Outcome.SUCCESS)
        outcomes.append(question)
        if not question.succeeded:
            continue
        key = (row.user_id, row.session_id if row.user_id is None else None, str(row.item_id))
        if key in met:
            returns.add(row.seq)
        met.add(key)
        found.append(question)
    if len(found) == len(outcomes):
        outcomes = []  # where nothing ever fails there is no chance to learn
    if len(returns) >= _RETURNS * len(found):
        return _Questions(found, outcomes), bool(returns)
    kept = [question for question in found if question.row.seq not in returns]
    return _Questions(kept, outcomes), False


def _outcome(row: LogRow, rules: EventRules) -> Outcome | None:
    """What an event says of its item, None where it says nothing of success or failure."""
    rule = rules.rules.get(row.event_type or "")
    if rule is None or row.item_id is None:
        return None
    outcome = rules.outcome(str(row.event_type), row.value)
    says = outcome is not Outcome.NEUTRAL or (rule.by_value and row.value is not None)
    return outcome if says else None


@dataclass(frozen=True)
class _Asking:
    """What questions are asked with.

    Attributes:
      with_met: Whether what one has met before competes.
      lesson_weight: As in the settings of the memory.
    """

    recommender: Recommender
    shown: LogUpTo
    start: Factors
    rng: np.random.Generator
    with_met: bool
    lesson_weight: float

    def all(
        self, choices: Sequence[_Question], outcomes: Sequence[_Question]
    ) -> tuple[list[Choices], list[_Said]]:
        """What was to choose from, and what was said, in one pass over the log."""
        ranked, judged = ({each.row.seq for each in part} for part in (choices, outcomes))
        asked: list[Choices] = []
        said: list[_Said] = []
        for question in sorted({*choices, *outcomes}, key=lambda each: each.row.seq):
            self.shown.end = question.end
            if question.row.seq in ranked and (choice := self.choice(question.row)) is not None:
                asked.append(choice)
            if question.row.seq in judged and (one := self.outcome(question)) is not None:
                said.append(one)
        return asked, said

    def outcome(self, question: _Question) -> _Said | None:
        """What is said of an event before it happens; None where chances are not known."""
        recommender, row = self.recommender, question.row
        prepared = recommender.prepare(_query(row))
        item = recommender.catalogue.number(row.item_id or "")
        chances = recommender.probabilities([prepared], np.array([[item]]))
        if chances is None or not item:
            return None
        chance = float(np.clip(chances[0, 0], _LEAST_CHANCE, 1.0 - _LEAST_CHANCE))
        lessons = 0.0 if prepared.lessons is None else self.lesson_weight * prepared.lessons[item]
        odds = np.log(chance / (1.0 - chance)) - prepared.shift - lessons
        return _Said(float(odds), prepared.shift, float(lessons), float(question.succeeded))

    def choice(self, row: LogRow) -> Choices | None:
        """One question without its axis; None where what was chosen was not there."""
        recommender, query = self.recommender, _query(row)
        parts, lifts = recommender.parts(query)
        target = recommender.catalogue.number(row.item_id or "")
        allowed = recommender.catalogue.allowed(row.timestamp_ms)
        allowed[0] = False
        if not self.with_met:
            allowed[recommender.seen(query)] = False
        if target == 0 or not allowed[target]:
            return None
        total = self.start.single().scores(parts.T, lifts.T)
        allowed[target] = False
        candidates, offsets = _candidates(_chances([*parts[SHARES], total], allowed), self.rng)
        candidates = np.concatenate([[target], candidates])
        return Choices(
            parts[:, candidates].T,
            lifts[:, candidates].T,
            np.concatenate([[0.0], offsets]).astype(np.float32),
        )


def _query(row: LogRow) -> Query:
    """What would have been asked just before an event."""
    return Query(
        user_id=row.user_id,
        session_id=row.session_id if row.user_id is None else None,
        now_ms=row.timestamp_ms,
        context=event_of(row).properties,
    )


def _candidates(
    chances: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """[candidates] items and log of how many each stands for.

    Those that come first anywhere are there for sure: lists are made of them. The rest are
    drawn, and what is drawn often counts for less, so that they speak for the whole
    catalogue. Where items are too few, places that are left stand for none.
    """
    n_sure = min(_SURE, len(chances))
    sure = np.argpartition(-chances, n_sure - 1)[:n_sure]
    rest = chances.copy()
    rest[sure] = 0.0
    left = rest.sum()
    items, offsets = np.zeros(_SURE + _DRAWN, np.intp), np.full(_SURE + _DRAWN, -np.inf)
    items[:n_sure] = sure
    offsets[:n_sure][chances[sure] > 0.0] = 0.0
    if left > 0.0:
        items[_SURE:] = rng.choice(len(rest), _DRAWN, p=rest / left)
        offsets[_SURE:] = -np.log(_DRAWN * rest[items[_SURE:]] / left)
    return items, offsets


def _chances(
    log_shares: Sequence[NDArray[np.float32]], allowed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """[items] chance of being drawn: a mixture of softmaxes, and of all alike."""
    mixture: NDArray[np.float64] = allowed / max(int(np.count_nonzero(allowed)), 1)
    if not allowed.any():
        return mixture
    for log_share in log_shares:
        most = log_share[allowed].max()
        share = np.exp(np.where(allowed, log_share.astype(np.float64) - most, -np.inf))
        mixture = mixture + share / share.sum()
    return np.asarray(mixture / mixture.sum())
