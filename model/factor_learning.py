"""Learns from past days how much each part of the fast memory should say.

Replays the newest part of the log on a slow model that has not seen it: at the moment of
a success, what was chosen is held against items drawn by lot, and the factors are those
under which the choices had the highest probability.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.fast.config import MemoryConfig
from model.fast.factors import choice_loss, fit_factors, mean_gain, order_factors
from model.fast.mixing import SHARES, Mixing
from model.interactions import Attributes, EventRules, Kind, LogRow, Outcome
from model.recommender import Recommender
from model.request import Query
from model.slow.scorer import SlowScorer
from model.storage.event_log import EventLog, event_of

_STRENGTH: Final = 4.0
_DRAWN: Final = 250
_LEAST_QUESTIONS: Final = 100
_MOST_QUESTIONS: Final = 2_000
_CHUNK: Final = 20_000


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
      report: Questions asked, what was learned by (`order` or `likelihood`), and the surprise
        of choices in nats and NDCG@10 before and after, on the questions learned from.
    """

    mixing: Mixing
    report: dict[str, Any]


class LogUpTo:
    """A log that ends at a position.

    Attributes:
      end: The last position that can be seen.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.end = 0

    def head(self) -> int:
        """See `EventLog.head`."""
        return self.end

    def tail(
        self, after_seq: int, *, through_seq: int | None = None, limit: int = 10_000
    ) -> list[LogRow]:
        """See `EventLog.tail`."""
        through = self.end if through_seq is None else min(self.end, through_seq)
        return self._log.tail(after_seq, through_seq=through, limit=limit)

    def actor_rows(self, actor: str, through_seq: int) -> list[LogRow]:
        """See `EventLog.actor_rows`."""
        return self._log.actor_rows(actor, min(self.end, through_seq))

    def event(self, event_id: str) -> LogRow | None:
        """See `EventLog.event`."""
        row = self._log.event(event_id)
        return row if row is not None and row.seq <= self.end else None

    def user(self, user_id: str) -> Attributes | None:
        """See `EventLog.user`: as it is now."""
        return self._log.user(user_id)


class _Question(NamedTuple):
    row: LogRow
    end: int
    """The last position that may be known: nothing of the event's own moment."""


def learn_factors(
    scorer: SlowScorer,
    log: EventLog,
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
    questions = _questions(log, rules, lesson)
    if len(questions) < _LEAST_QUESTIONS:
        return None
    if len(questions) > _MOST_QUESTIONS:
        chosen = np.sort(rng.choice(len(questions), _MOST_QUESTIONS, replace=False))
        questions = [questions[at] for at in chosen.tolist()]
    shown = LogUpTo(log)
    shown.end = questions[0].end
    recommender = Recommender(scorer, "", shown, rules, config)
    asked = [found for q in questions if (found := _asked(recommender, shown, q, rng)) is not None]
    if len(asked) < _LEAST_QUESTIONS:
        return None
    parts = np.stack([part for part, _ in asked])
    offsets = np.stack([offset for _, offset in asked])
    fields = recommender.context_fields
    start = lesson.start.as_factors(fields)
    factors, ordered = _fitted(parts, offsets, start)
    report = {
        "questions": len(asked),
        "objective": "order" if ordered else "likelihood",
        "nats_before": round(choice_loss(parts, offsets, start), 4),
        "nats_after": round(choice_loss(parts, offsets, factors), 4),
        "ndcg_before": round(mean_gain(parts, offsets, start), 4),
        "ndcg_after": round(mean_gain(parts, offsets, factors), 4),
    }
    return Learned(Mixing.from_factors(factors, fields), report)


def _fitted(
    parts: NDArray[np.float32], offsets: NDArray[np.float32], start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], bool]:
    """The factors, and whether they are those of the order instead of the likelihood.

    Which of the two is better is seen on the latest third, learned from the others.
    """
    cut = len(parts) * 2 // 3
    early = fit_factors(parts[:cut], offsets[:cut], start, strength=_STRENGTH)
    by_order = order_factors(parts[:cut], offsets[:cut], early)
    late = parts[cut:], offsets[cut:]
    ordered = mean_gain(*late, by_order) > mean_gain(*late, early)
    factors = fit_factors(parts, offsets, start, strength=_STRENGTH)
    return (order_factors(parts, offsets, factors) if ordered else factors), ordered


def _questions(log: EventLog, rules: EventRules, lesson: Lesson) -> list[_Question]:
    """The successes to ask about, each item of an actor once."""
    found: list[_Question] = []
    moment, end, met = None, lesson.after_seq, set[tuple[str | None, str | None, str]]()
    for row in _events(log, lesson):
        if row.timestamp_ms != moment:
            moment, end = row.timestamp_ms, row.seq - 1
        known = row.event_type in rules.rules and row.item_id is not None
        if not known or rules.outcome(str(row.event_type), row.value) is not Outcome.SUCCESS:
            continue
        key = (row.user_id, row.session_id if row.user_id is None else None, str(row.item_id))
        if key not in met:
            met.add(key)
            found.append(_Question(row, end))
    return found


def _events(log: EventLog, lesson: Lesson) -> Iterable[LogRow]:
    after, through = lesson.after_seq, lesson.through_seq
    while rows := log.tail(after, through_seq=through, limit=_CHUNK):
        yield from (row for row in rows if row.kind == Kind.EVENT)
        after = rows[-1].seq


def _asked(
    recommender: Recommender, shown: LogUpTo, question: _Question, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """[candidates, parts] and [candidates] offsets; None where what was chosen was not there."""
    row, shown.end = question
    query = Query(
        user_id=row.user_id,
        session_id=row.session_id if row.user_id is None else None,
        now_ms=row.timestamp_ms,
        context=event_of(row).properties,
    )
    parts = recommender.parts(query)
    target = recommender.catalogue.number(row.item_id or "")
    allowed = recommender.catalogue.allowed(row.timestamp_ms)
    allowed[0] = False
    allowed[recommender.seen(query)] = False
    if target == 0 or not allowed[target]:
        return None
    chances = _chances(parts[SHARES], allowed)
    drawn = rng.choice(len(allowed), _DRAWN, p=chances)
    # what is drawn often counts for less, so that the sample speaks for the whole catalogue
    offsets = -np.log(_DRAWN * chances[drawn])
    offsets[drawn == target] = -np.inf
    candidates = np.concatenate([[target], drawn])
    return parts[:, candidates].T, np.concatenate([[0.0], offsets]).astype(np.float32)


def _chances(
    log_shares: Sequence[NDArray[np.float32]] | NDArray[np.float32], allowed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """[items] chance of being drawn: a mixture of shares old and new, and of all alike."""
    mixture = allowed / np.count_nonzero(allowed)
    for log_share in log_shares:
        share = np.where(allowed, np.exp(log_share.astype(np.float64)), 0.0)
        mixture = mixture + share / share.sum()
    return np.asarray(mixture / mixture.sum())
