"""The protocol `globo`: clicks on news, where nearly all that is read was written today.

A day is 24 hours from the first click. Days 0 to 11 are history, days 12 to 15 are
replayed, and the few clicks after them are dropped. A night falls at each end of a day.
Ranking is asked for 20,000 replayed clicks, drawn once and for all, less those on an
article that the user had clicked before; every article that somebody has clicked by then
and the user has not competes. Rows stand in the order of (time, user, article); users
are followed across their sessions. A click tells its environment, device, operating
system, country, region and referrer, all coded. There is no event of failure, so no
outcome is judged. Blocks are hours.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from model.workspace import Config
from pipelines.evaluation.protocols.order import (
    by_time,
    groups,
    met_before,
    nights,
    numbered,
    outcomes,
)
from pipelines.evaluation.protocols.tables import ID, MILLISECONDS, expect, read_columns
from pipelines.evaluation.stream import DAY_MS, Events, Stream

FILE: Final = "clicks.csv"
METRICS: Final = ("ndcg@10", "hr@10", "coverage@10")
END_MS: Final = 1_508_209_200_000
_REPLAY_FROM_DAY: Final = 12
_TARGETS: Final = 20_000
_QUICK_SHARE: Final = 8
_HOUR_MS: Final = 3_600_000
_CONTEXT: Final = ("env", "device", "os", "country", "region", "referrer")


def stream(folder: Path, *, quick: bool) -> Stream:
    """The stream of the Globo.com clicks.

    Args:
      folder: Where `clicks.csv` lies, gzipped or not.
      quick: Takes every eighth user, and those of the drawn clicks that are theirs.

    Raises:
      BadInputError: If the file is missing or damaged, or has no click in the replayed days.
    """
    columns = _clicks(expect(folder, FILE))
    since_ms = columns["ts"] - columns["ts"][0]
    first = int(np.searchsorted(since_ms, _REPLAY_FROM_DAY * DAY_MS))
    if first == len(since_ms):
        raise BadInputError(f"{FILE} has no click in days {_REPLAY_FROM_DAY} to 15")
    columns |= {"since": since_ms, "drawn": _drawn(len(since_ms), first)}
    if quick:
        kept = numbered(columns["user"])[1] % _QUICK_SHARE == 0
        columns = {name: column[kept] for name, column in columns.items()}
    bootstrap = int(np.searchsorted(columns["since"], _REPLAY_FROM_DAY * DAY_MS))
    actors, actor = numbered(columns["user"])
    items, item = numbered(columns["item"])
    terms, context = _context(columns)
    group = groups(columns["ts"], bootstrap)
    kind = np.zeros(len(actor), np.int8)
    config = Config()
    events = Events(
        actor=actor,
        item=item,
        kind=kind,
        value=np.full(len(actor), np.nan, np.float32),
        timestamp_ms=columns["ts"],
        outcome=outcomes(config.events, ["click"], kind),
        context=context,
    )
    return Stream(
        name="globo",
        actors=actors,
        items=items,
        kinds=["click"],
        events=events,
        group=group,
        bootstrap=bootstrap,
        nights=nights(columns["since"] // DAY_MS, bootstrap),
        asked=columns["drawn"] & ~met_before(actor, item, group),
        judged=np.zeros(len(events), np.bool_),
        block=(columns["since"] // _HOUR_MS).astype(np.int32),
        candidates="unseen",
        metrics=METRICS,
        terms=terms,
        config=config,
    )


def _clicks(path: Path) -> dict[str, NDArray[Any]]:
    """The columns in the order of (time, user, article), without the late rows."""
    ranges = dict.fromkeys(("user", "item", *_CONTEXT), ID)
    columns = read_columns(path, {**ranges, "ts": MILLISECONDS})
    order = by_time(*(columns[name] for name in ("ts", "user", "item", *_CONTEXT)))
    order = order[columns["ts"][order] < END_MS]
    if not len(order):
        raise BadInputError(f"{path.name} has no click before {END_MS} (17 October 2017)")
    return {name: column[order] for name, column in columns.items()}


def _drawn(rows: int, first: int) -> NDArray[np.bool_]:
    """[rows] the replayed rows that are asked about; the same ones in every run."""
    replayed = rows - first
    chosen = np.random.default_rng(0).choice(replayed, min(_TARGETS, replayed), replace=False)
    drawn = np.zeros(rows, np.bool_)
    drawn[first + chosen] = True
    return drawn


def _context(
    columns: dict[str, NDArray[Any]],
) -> tuple[dict[str, list[str]], dict[str, NDArray[np.int16]]]:
    terms, context = {}, {}
    for name in _CONTEXT:
        terms[name], numbers = numbered(columns[name])
        context[name] = numbers.astype(np.int16)
    return terms, context
