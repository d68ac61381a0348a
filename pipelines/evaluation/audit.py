"""The harness's check on itself: where the future is random, nobody can know it.

The replayed part of a stream is drawn by lot, every candidate as likely as any other, and
outcomes are dealt out anew. An arm that does better than chance has seen what it was asked
about, be it through its own fault or the harness's.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.metrics import auc
from pipelines.evaluation.record import Record
from pipelines.evaluation.stream import Stream

Z_LIMIT: Final = 5.0
"""Standard errors above chance from which an arm is taken to peek: by chance alone one
audit in three million fails."""

AUDITED_ROWS: Final = 4_000
_HITS: Final = "hr@10"
_CHANCE: Final = "chance@10"


def random_future(stream: Stream, rng: np.random.Generator) -> Stream:
    """The stream with at most 4,000 replayed rows, and these drawn by lot.

    Only items that are known from the bootstrap part are drawn; of those a user has met,
    none where the protocol leaves them out, and no others where it asks for them.
    """
    stop = min(stream.bootstrap + AUDITED_ROWS, len(stream))
    while stop < len(stream) and stream.group[stop] == stream.group[stop - 1]:
        stop += 1
    shown = stream.candidates == "shown"
    # where a list is shown the items stay, and who clicked what is drawn instead
    events = stream.events.take(slice(0, stop))
    replayed = np.arange(stream.bootstrap, stop)
    dealt = _dealt_within_groups(stream, replayed, rng) if shown else rng.permutation(replayed)
    columns = {name: getattr(events, name).copy() for name in ("kind", "value", "outcome")}
    for column in columns.values():
        column[replayed] = column[dealt]
    item = events.item.copy()
    if not shown:
        item[replayed] = _drawn(stream, replayed, rng)
    asked = stream.asked[:stop].copy()
    return dataclasses.replace(
        stream,
        name=f"{stream.name}-audit",
        events=dataclasses.replace(events, item=item, **columns),
        group=stream.group[:stop],
        nights=stream.nights[stream.nights < stop],
        asked=asked,
        judged=stream.judged[:stop],
        block=stream.block[:stop],
        metrics=("auc",) if shown else (_HITS, _CHANCE),
        truth=None,
    )


def _dealt_within_groups(
    stream: Stream, rows: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """[rows] the rows, shuffled within each list."""
    actor = stream.events.actor[rows]
    # a row that is not asked about is a given history, which stays
    place = np.where(stream.asked[rows], rng.random(len(rows)), np.arange(len(rows)))
    ordered = rows[np.lexsort((place, stream.asked[rows], actor, stream.group[rows]))]
    dealt = rows.copy()
    dealt[np.lexsort((rows, stream.asked[rows], actor, stream.group[rows]))] = ordered
    return dealt


def _drawn(stream: Stream, rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.int32]:
    """[rows] an item for each, drawn from the candidates of its moment."""
    events = stream.events
    described = [i for i, item in enumerate(stream.items) if item in stream.item_attributes]
    known = np.union1d(events.item[: stream.bootstrap], np.array(described, np.int32))
    met: dict[int, set[int]] = {}
    for actor, item in zip(
        events.actor[: stream.bootstrap].tolist(),
        events.item[: stream.bootstrap].tolist(),
        strict=True,
    ):
        met.setdefault(actor, set()).add(item)
    drawn = np.empty(len(rows), np.int32)
    for place, actor in enumerate(events.actor[rows].tolist()):
        own = met.setdefault(actor, set())
        if stream.candidates == "seen" and own:
            item = int(rng.choice(sorted(own)))
        else:
            item = int(rng.choice(known))
            while stream.candidates == "unseen" and item in own and len(own) < len(known):
                item = int(rng.choice(known))
        drawn[place] = item
        own.add(item)
    return drawn


@dataclass(frozen=True)
class Finding:
    """What the audit found of one arm.

    Attributes:
      arm: Its name.
      what: What was counted.
      value: What the arm reached.
      chance: What a lot would.
      z: Standard errors between the two.
    """

    arm: str
    what: str
    value: float
    chance: float
    z: float

    @property
    def peeks(self) -> bool:
        """Whether the arm has seen what it was asked about."""
        return self.z > Z_LIMIT


def audit(records: Sequence[Record]) -> list[Finding]:
    """Holds each replay of a random future against chance."""
    return [finding for record in records for finding in (*_ranking(record), *_outcome(record))]


def _ranking(record: Record) -> list[Finding]:
    if _CHANCE in record.metrics:
        hits = record.metrics[_HITS].astype(np.float64)
        chance = record.metrics[_CHANCE].astype(np.float64)
        spread = float(np.sqrt((chance * (1.0 - chance)).sum()))
        z = float((hits - chance).sum()) / max(spread, 1e-9)
        return [Finding(record.arm, _HITS, float(hits.mean()), float(chance.mean()), z)]
    values = record.metrics["auc"][~np.isnan(record.metrics["auc"])].astype(np.float64)
    if len(values) < 2:
        return []
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    z = (float(values.mean()) - 0.5) / max(error, 1e-9)
    return [Finding(record.arm, "auc", float(values.mean()), 0.5, z)]


def _outcome(record: Record) -> list[Finding]:
    judged = record.judged
    if judged is None:
        return []
    positive = int((judged.label > 0.5).sum())
    negative = len(judged.label) - positive
    if not positive or not negative:
        return []
    value = auc(judged.probability, judged.label)
    # Hanley and McNeil (1982), for a score that tells nothing
    error = np.sqrt((positive + negative + 1) / (12.0 * positive * negative))
    return [Finding(record.arm, "auc of outcome", value, 0.5, float((value - 0.5) / error))]
