"""What is remembered of a user, and what became of an event, for people to read."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.adaptation import Judgement, Personal
from model.catalogue import Catalogue
from model.fast.lessons import Lesson
from model.interactions import LogRow, Outcome
from model.slow.features import FeatureSpace


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One event as it is remembered.

    Attributes:
      surprise_nats: How little it was expected when it came, None for one that is neither
        success nor failure.
      chance: The slow model's chance of success then, None without one.
    """

    event_id: str
    event_type: str
    item_id: str
    outcome: Outcome
    timestamp_ms: int
    surprise_nats: float | None
    chance: float | None


@dataclass(frozen=True, slots=True)
class Recollection:
    """What is known of a user beyond the slow model.

    Attributes:
      exemplars: The newest events, newest first.
      strength: How far the fast weights can move an item of mean length, in log-odds.
      shift: How far the user's outcomes lie off the chances that were said, in log-odds.
      support: What is known of that: Σp(1 - p).
      score_test: Whether it is more than chance: about N(0, 1) without anything to learn.
      lessons: What was learned about others of the user's segments.
    """

    exemplars: list[Exemplar]
    strength: float
    shift: float
    support: float
    score_test: float
    lessons: list[Lesson]


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an event.

    Attributes:
      seq: Its log position.
      surprise_nats: How little it was expected, None for one that is neither success nor
        failure, or too long ago to be looked at.
      counted: Whether it counts in what others are served.
      rows: The rows of fast crosses that it counts in, in words; `everyone` with them.
    """

    event_id: str
    seq: int
    surprise_nats: float | None
    counted: bool
    rows: list[str]


def recollection(
    judged: Sequence[Judgement], personal: Personal, lessons: list[Lesson], now_ms: int
) -> Recollection:
    """What is remembered, from a user's newest events as they were met."""
    return Recollection(
        exemplars=[_exemplar(one) for one in reversed(judged)],
        strength=personal.weights.strength(now_ms),
        shift=personal.chance.shift(now_ms),
        support=personal.chance.information,
        score_test=personal.chance.score_test,
        lessons=lessons,
    )


def _exemplar(judged: Judgement) -> Exemplar:
    episode, surprise, chance = judged
    return Exemplar(
        event_id=episode.event_id,
        event_type=episode.event_type,
        item_id=episode.item_id,
        outcome=episode.outcome,
        timestamp_ms=episode.timestamp_ms,
        surprise_nats=None if surprise is None else surprise.nats,
        chance=chance,
    )


def fate_of(
    row: LogRow,
    judged: Judgement | None,
    told: tuple[Sequence[int], Sequence[int]] | None,
    catalogue: Catalogue,
    space: FeatureSpace,
) -> Fate:
    """What became of an event.

    Args:
      row: The event.
      judged: How it was met.
      told: Its sources and its moment's attributes, where it counts for others.
      catalogue: For ids.
      space: For words.
    """
    rows: list[str] = []
    if told is not None:
        sources, slots = told
        liked = [f"liked={catalogue.ids[source]}" for source in sources]
        rows = ["everyone", *liked, *(space.query_attributes.words(slot) for slot in slots)]
    surprise = None if judged is None else judged.surprise
    return Fate(
        event_id=row.event_id or "",
        seq=row.seq,
        surprise_nats=None if surprise is None else surprise.nats,
        counted=told is not None,
        rows=rows,
    )
