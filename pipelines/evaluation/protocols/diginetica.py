"""The protocol `diginetica`: what an anonymous session of a shop looks at next (ADER, 2020).

Period 0 is history. For each period p from 1 to 16 the model of the periods before it is
asked for every next item of the sessions of p, and the night before p + 1 learns p. As
published: clicks on items never seen before p are no test, then sessions with one click
left are none, and the first click that is left in a session is not asked. All items seen
so far compete, those of the session included. Metrics are means over the periods.

Where this differs from the published protocol: every click is learned after it has been
asked, also one that is no test, so a session's history holds it; an item first seen in p
competes from then on; and the 548 sessions that reach into a second period go on there
(published, they start anew), although their first click of a period is not asked here
either.

The file has no clock, only an order. Period p is given the week that ends 16 - p weeks
before 1 June 2016, its clicks evenly spread, so hours and weekdays mean nothing and each
row is a group of its own. Asking for all sessions takes long, so a fixed random quarter
of those with a test is asked; all are learned. Blocks are periods.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from model.workspace import Config
from pipelines.evaluation.protocols.order import nights, numbered, outcomes
from pipelines.evaluation.protocols.tables import ID, expect, read_columns
from pipelines.evaluation.stream import DAY_MS, Events, Stream

FILE: Final = "clicks.csv"
METRICS: Final = ("recall@20", "mrr@20", "recall@10", "coverage@10")
_PERIODS: Final = 17
_WEEK_MS: Final = 7 * DAY_MS
_END_MS: Final = 1_464_739_200_000  # 2016-06-01
_QUICK_SHARE: Final = 16
_QUICK_PERIODS: Final = 4


def stream(folder: Path, *, quick: bool, sample: float = 0.25) -> Stream:
    """The stream of the Diginetica sessions.

    Args:
      folder: Where `clicks.csv` lies, gzipped or not.
      quick: Takes periods 0 to 3 of every 16th session, and asks for all of these.
      sample: Share of the sessions with a test that are asked, in (0, 1].

    Raises:
      BadInputError: If the file is missing or damaged, or `sample` is out of range.
    """
    if not 0.0 < sample <= 1.0:
        raise BadInputError(f"sample must lie in (0, 1], got {sample}")
    period, session, item_id = _clicks(expect(folder, FILE))
    if quick:
        kept = (numbered(session)[1] % _QUICK_SHARE == 0) & (period < _QUICK_PERIODS)
        period, session, item_id = period[kept], session[kept], item_id[kept]
    actors, actor = numbered(session)
    items, item = numbered(item_id)
    asked = tested(period, actor, item)
    if not quick:
        asked &= _drawn(actor, asked, sample)[actor]
    kind = np.zeros(len(actor), np.int8)
    config = Config()
    bootstrap = int(np.searchsorted(period, 1))
    return Stream(
        name="diginetica",
        actors=actors,
        items=items,
        kinds=["click"],
        events=Events(
            actor=actor,
            item=item,
            kind=kind,
            value=np.full(len(actor), np.nan, np.float32),
            timestamp_ms=_clock(period),
            outcome=outcomes(config.events, ["click"], kind),
        ),
        group=np.arange(len(actor)),
        bootstrap=bootstrap,
        nights=nights(period, bootstrap),
        asked=asked,
        judged=np.zeros(len(actor), np.bool_),
        block=period.astype(np.int32),
        candidates="all",
        metrics=METRICS,
        sessions=True,
        config=config,
    )


def tested(
    period: NDArray[np.int64], actor: NDArray[np.int32], item: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """[rows] whether the published protocol tests the click, in rows in the order of time."""
    _, first, inverse = np.unique(item, return_index=True, return_inverse=True)
    known = (period > 0) & (period[first][inverse] < period)
    left = np.flatnonzero(known)
    pair = actor[left].astype(np.int64) * _PERIODS + period[left]
    _, first = np.unique(pair, return_index=True)
    # a session with one click left loses it here, as every session loses its first
    known[left[first]] = False
    return known


def _clicks(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    columns = read_columns(path, {"period": (0, _PERIODS - 1), "session": ID, "item": ID})
    period = columns["period"]
    if (falls := np.flatnonzero(np.diff(period) < 0)).size:
        at = int(falls[0]) + 1
        raise BadInputError(
            f"{path.name} line {at + 2:,}: rows must stand in the order of time, but period "
            f"{period[at]} comes after period {period[at - 1]}"
        )
    if period[0] == period[-1] or period[0] != 0:
        raise BadInputError(f"{path.name} must have clicks in period 0 and in later ones")
    return period, columns["session"], columns["item"]


def _clock(period: NDArray[np.int64]) -> NDArray[np.int64]:
    """[rows] made-up milliseconds, strictly rising: the rows of a period fill a week evenly."""
    counts = np.bincount(period, minlength=_PERIODS)
    first = np.cumsum(counts) - counts
    within = (np.arange(len(period)) - first[period]) * _WEEK_MS // counts[period]
    return np.asarray(_END_MS - (_PERIODS - period) * _WEEK_MS + within, np.int64)


def _drawn(actor: NDArray[np.int32], asked: NDArray[np.bool_], sample: float) -> NDArray[np.bool_]:
    """[sessions] those that are asked; the same ones in every run."""
    sessions = np.unique(actor[asked])
    chosen = np.random.default_rng(0).choice(sessions, round(len(sessions) * sample), replace=False)
    drawn = np.zeros(int(actor.max()) + 1, np.bool_)
    drawn[chosen] = True
    return drawn
