"""Learns from past days how much each part of the fast memory should say.

Replays the newest part of the log on a slow model that has not seen it: at the moment of
a success, what was chosen is held against items drawn by lot, and the factors are those
under which the choices had the highest probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.fast.config import MemoryConfig
from model.fast.factors import Choices, Factors, choice_loss, fit_factors, mean_gain
from model.fast.mixing import SHARES, Mixing
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
        after, on the questions that were learned from.
    """

    mixing: Mixing
    report: dict[str, Any]


class _Question(NamedTuple):
    row: LogRow
    end: int
    """The last position that may be known: nothing of the event's own moment."""


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
    questions, with_met = _questions(log, rules, lesson)
    if len(questions) < _LEAST_QUESTIONS:
        return None
    again = lesson.start != Mixing()
    most = _MOST_AGAIN if again else _MOST_QUESTIONS
    if len(questions) > most:
        chosen = np.sort(rng.choice(len(questions), most, replace=False))
        questions = [questions[at] for at in chosen.tolist()]
    first = questions[0].end
    shown = LogUpTo(log, first, events_after=first - _MOST_REMEMBERED)
    recommender = Recommender(scorer, "", shown, rules, config)
    fields = recommender.context_fields
    start = lesson.start.as_factors(fields)
    asking = _Asking(recommender, shown, start, rng, with_met=with_met)
    asked = [found for found in map(asking.of, questions) if found is not None]
    if len(asked) < _LEAST_QUESTIONS:
        return None
    choices = Choices(*(np.stack(part) for part in zip(*asked, strict=True)))
    factors = fit_factors(choices, start, strength=_STRENGTH_AGAIN if again else _STRENGTH)
    report = {
        "questions": len(asked),
        "with_met": with_met,
        "nats_before": round(choice_loss(choices, start), 4),
        "nats_after": round(choice_loss(choices, factors), 4),
        "ndcg_before": round(mean_gain(choices, start), 4),
        "ndcg_after": round(mean_gain(choices, factors), 4),
    }
    return Learned(Mixing.from_factors(factors, fields), report)


def _questions(log: LogReader, rules: EventRules, lesson: Lesson) -> tuple[list[_Question], bool]:
    """The successes to ask about, and whether those with an item of before are among them."""
    found: list[_Question] = []
    returns: set[int] = set()
    moment, end, met = None, lesson.after_seq, set[tuple[str | None, str | None, str]]()
    for row in event_rows(log, lesson.after_seq, lesson.through_seq):
        if row.timestamp_ms != moment:
            moment, end = row.timestamp_ms, row.seq - 1
        known = row.event_type in rules.rules and row.item_id is not None
        if not known or rules.outcome(str(row.event_type), row.value) is not Outcome.SUCCESS:
            continue
        key = (row.user_id, row.session_id if row.user_id is None else None, str(row.item_id))
        if key in met:
            returns.add(row.seq)
        met.add(key)
        found.append(_Question(row, end))
    if len(returns) >= _RETURNS * len(found):
        return found, bool(returns)
    return [question for question in found if question.row.seq not in returns], False


@dataclass(frozen=True)
class _Asking:
    """What questions are asked with.

    Attributes:
      with_met: Whether what one has met before competes.
    """

    recommender: Recommender
    shown: LogUpTo
    start: Factors
    rng: np.random.Generator
    with_met: bool

    def of(self, question: _Question) -> Choices | None:
        """One question without its axis; None where what was chosen was not there."""
        recommender, (row, self.shown.end) = self.recommender, question
        query = Query(
            user_id=row.user_id,
            session_id=row.session_id if row.user_id is None else None,
            now_ms=row.timestamp_ms,
            context=event_of(row).properties,
        )
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
