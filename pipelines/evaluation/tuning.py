"""A protocol's history as a stream of its own, so that settings are never tried on the replay."""

import dataclasses
from typing import Final

import numpy as np

from pipelines.evaluation.stream import Stream

TUNING_SHARE: Final = 8
"""The last eighth of the history is replayed."""

_NIGHTS: Final = 3
_QUESTIONS: Final = 5_000


def tuning_stream(stream: Stream) -> Stream:
    """The bootstrap part alone, its last eighth replayed with three nights in between.

    Successes are asked about: at most 5,000, drawn once for all; of a session all but the
    first event; where the protocol leaves out what a user has met, none of these.
    """
    rows = stream.bootstrap
    group = stream.group[:rows]
    start = int(np.searchsorted(group, group[rows - rows // TUNING_SHARE]))
    events = stream.events.take(slice(0, rows))
    replayed = np.arange(rows) >= start
    asked = replayed & (events.outcome > 0)
    if stream.candidates == "unseen":
        asked &= ~_again(events.actor, events.item)
    elif stream.sessions:
        asked &= _again(events.actor, np.zeros(rows, np.int32))
    shown = stream.candidates == "shown"
    if shown:
        asked = replayed & _listed(stream, rows)
    elif asked.sum() > _QUESTIONS:
        kept = np.random.default_rng(0).choice(np.flatnonzero(asked), _QUESTIONS, replace=False)
        asked = np.isin(np.arange(rows), kept)
    steps = start + (rows - start) * np.arange(1, _NIGHTS + 1) // (_NIGHTS + 1)
    return dataclasses.replace(
        stream,
        name=f"{stream.name}-tuning",
        events=events,
        group=group,
        bootstrap=start,
        nights=np.unique(np.searchsorted(group, group[steps])),
        asked=asked,
        judged=replayed & (_listed(stream, rows) if shown else events.outcome != 0),
        block=(np.arange(rows) * 40 // rows).astype(np.int32),
    )


def _listed(stream: Stream, rows: int) -> np.ndarray:
    """[rows] whether the row belongs to a list that was shown."""
    sizes = np.bincount(stream.group[:rows])
    return np.asarray(sizes[stream.group[:rows]] > 1)


def _again(actor: np.ndarray, item: np.ndarray) -> np.ndarray:
    """[rows] whether the actor has met the item in an earlier row."""
    pair = actor.astype(np.int64) * (int(item.max(initial=0)) + 1) + item
    _, first = np.unique(pair, return_index=True)
    again = np.ones(len(pair), bool)
    again[first] = False
    return again
