"""The protocol `mind`: which of the news that were shown together is clicked.

The first four fifths of the impressions (4,000) are history. An impression is one list:
its rows, clicked (`click`) and not (`skip`), form a group, are all asked, and are all
judged; only they compete. Impressions stand in the order of (time, user, impression).
A night falls where the UTC day changes.

Users come with a history that has no times, of weeks before the first impression of all.
It is put just before that, one `click` a second, its newest one second before; these clicks
are learned and never asked, and each second is a group of its own. So users who appear in
the replay alone are known from what they clicked before.
"""

import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from model.interactions import Attributes
from model.workspace import Config
from pipelines.evaluation.protocols.order import nights, numbered, outcomes
from pipelines.evaluation.protocols.tables import (
    ID,
    SECONDS,
    bad_row,
    expect,
    find,
    read_columns,
    sound_rows,
)
from pipelines.evaluation.stream import DAY_MS, Events, Stream
from pipelines.readers import text
from pipelines.readers.text import Layout

FILE: Final = "impressions.csv"
HISTORIES: Final = "behaviors.tsv"
NEWS: Final = "news.tsv"
METRICS: Final = ("auc", "mrr", "ndcg@5", "ndcg@10")
KINDS: Final = ("click", "skip")
_QUICK_IMPRESSIONS: Final = 500
_CANDIDATE: Final = re.compile(r"\S+-[01]")


class _Rows(NamedTuple):
    """Rows of histories or of impressions.

    Attributes:
      user: [rows] ids.
      item: [rows] ids.
      timestamp_ms: [rows] when.
      list: [rows] the impression's place in time; -1 in a history.
      clicked: [rows] whether it was clicked.
    """

    user: NDArray[Any]
    item: NDArray[Any]
    timestamp_ms: NDArray[np.int64]
    list: NDArray[np.int64]
    clicked: NDArray[np.bool_]

    def take(self, which: NDArray[Any]) -> "_Rows":
        """The chosen rows."""
        return _Rows(
            self.user[which],
            self.item[which],
            self.timestamp_ms[which],
            self.list[which],
            self.clicked[which],
        )


def stream(folder: Path, *, quick: bool) -> Stream:
    """The stream of the MIND sample.

    Args:
      folder: Where `impressions.csv` and `behaviors.tsv` lie, gzipped or not, and
        `news.tsv`, which may be missing.
      quick: Takes the first 500 impressions.

    Raises:
      BadInputError: If a file is missing or damaged, or a user has no line in the histories.
    """
    shown = _impressions(expect(folder, FILE))
    if quick:
        shown = shown.take(shown.list < _QUICK_IMPRESSIONS)
    rows = _joined(_histories(expect(folder, HISTORIES), shown), shown)
    actors, actor = numbered(rows.user)
    items, item = numbered(rows.item)
    # a history's row comes before an impression of the same moment
    order = np.lexsort((item, actor, rows.list, rows.timestamp_ms))
    rows = rows.take(order)
    bootstrap = int(np.argmax(rows.list == (int(shown.list.max()) + 1) * 4 // 5))
    kind = (~rows.clicked).astype(np.int8)
    config = Config()
    asked = (rows.list >= 0) & (np.arange(len(order)) >= bootstrap)
    day = rows.timestamp_ms // DAY_MS
    return Stream(
        name="mind",
        actors=actors,
        items=items,
        kinds=list(KINDS),
        events=Events(
            actor=actor[order],
            item=item[order],
            kind=kind,
            value=np.full(len(order), np.nan, np.float32),
            timestamp_ms=rows.timestamp_ms,
            outcome=outcomes(config.events, list(KINDS), kind),
        ),
        group=_groups(rows, bootstrap),
        bootstrap=bootstrap,
        nights=nights(day, bootstrap),
        asked=asked,
        judged=asked.copy(),
        block=day.astype(np.int32),
        candidates="shown",
        metrics=METRICS,
        item_attributes=_news(folder, set(items)),
        config=config,
    )


def _joined(past: _Rows, shown: _Rows) -> _Rows:
    return _Rows(
        np.concatenate([past.user, shown.user]),
        np.concatenate([past.item, shown.item]),
        np.concatenate([past.timestamp_ms, shown.timestamp_ms]),
        np.concatenate([past.list, shown.list]),
        np.concatenate([past.clicked, shown.clicked]),
    )


def _impressions(path: Path) -> _Rows:
    """The shown rows, impressions numbered in the order of (time, user, impression)."""
    columns = read_columns(
        path, {"impression": ID, "user": None, "ts": SECONDS, "item": None, "clicked": (0, 1)}
    )
    impression, first, inverse = np.unique(
        columns["impression"], return_index=True, return_inverse=True
    )
    for name in ("user", "ts"):
        differs = np.flatnonzero(columns[name] != columns[name][first][inverse])
        if differs.size:
            raise BadInputError(
                f"{path.name} line {int(differs[0]) + 2:,}: {name} differs from that of the "
                f"first row of the same impression"
            )
    _, user = numbered(columns["user"][first])
    order = np.lexsort((impression, user, columns["ts"][first]))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    clicked = columns["clicked"].astype(np.bool_)
    return _Rows(columns["user"], columns["item"], columns["ts"] * 1_000, place[inverse], clicked)


def _histories(path: Path, shown: _Rows) -> _Rows:
    """What each user of the impressions had clicked before the first impression of all."""
    present = dict.fromkeys(shown.user[np.argsort(shown.list, kind="stable")])
    begin = int(shown.timestamp_ms.min())
    given = _given(path)
    if missing := sorted(present.keys() - given.keys()):
        raise BadInputError(f"{path.name} has no line for the user {missing[0]} of {FILE}")
    users: list[str] = []
    items: list[str] = []
    times: list[int] = []
    for user in present:
        clicks = given[user]
        users += [user] * len(clicks)
        items += clicks
        times += range(begin - 1_000 * len(clicks), begin, 1_000)
    n = len(users)
    return _Rows(
        np.array(users, object),
        np.array(items, object),
        np.array(times, np.int64),
        np.full(n, -1, np.int64),
        np.ones(n, np.bool_),
    )


def _given(path: Path) -> dict[str, list[str]]:
    """For each user the clicks of the history, oldest first."""
    given: dict[str, list[str]] = {}
    for row in sound_rows(path, text.chunks(path, Layout(5, "\t"))):
        _, user, _, history, candidates = (str(cell) for cell in row.cells)
        if not all(_CANDIDATE.fullmatch(part) for part in candidates.split()):
            raise bad_row(path, row, "candidates must look like N123-1 N456-0")
        clicks = history.split()
        if given.setdefault(user, clicks) != clicks:
            raise bad_row(path, row, f"the user {user} had another history in an earlier line")
    return given


def _groups(rows: _Rows, bootstrap: int) -> NDArray[np.int64]:
    """[rows] an impression is a group, and so is every second of histories."""
    new = np.zeros(len(rows.list), np.int64)
    new[1:] = np.diff(rows.list) != 0
    new[1:] |= (np.diff(rows.timestamp_ms) != 0) & (rows.list[1:] == -1)
    new[bootstrap] = 1
    return np.cumsum(new)


def _news(folder: Path, items: set[str]) -> dict[str, Attributes]:
    """Category and subcategory of the articles that occur and are described."""
    path = find(folder, NEWS)
    if path is None:
        return {}
    news: dict[str, Attributes] = {}
    for row in sound_rows(path, text.chunks(path, Layout(8, "\t"))):
        item, category, subcategory = (str(cell) for cell in row.cells[:3])
        if item in items:
            news[item] = {"category": category, "subcategory": subcategory}
    return news
