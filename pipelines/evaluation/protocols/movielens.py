"""The protocol `ml-100k`: ratings of films, the short one.

Rows stand in the order of (time, user, film). The first four fifths (80,000 rows) are
history. Every UTC day of the replay ends with a night. Ranking is asked for ratings of 4
and more, among films the user has not rated yet; the outcome is judged on every rating.
As in training (`model.slow.examples`), a rating of 4 or 5 is a success and every other
one is none: 3 counts as a label of 0, although the rules call it neutral.

The 80,000th row shares its second and its user with the rows after it. The group is
parted there, so that the counts are the usual ones: of the four ratings of that second,
the one in the history is known when the other three are asked.
"""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.acceptance import check_id, check_moment
from model.errors import BadInputError
from model.interactions import Attributes
from model.workspace import Config
from pipelines.evaluation.protocols.order import by_time, groups, nights, numbered, outcomes
from pipelines.evaluation.protocols.tables import MILLISECONDS, bad_row, sound_rows
from pipelines.evaluation.stream import DAY_MS, Events, Stream
from pipelines.parsing import number, timestamp_ms
from pipelines.readers.formats import open_source
from pipelines.readers.tables import Table
from pipelines.records import EntityRows, Record

METRICS: Final = ("ndcg@10", "hr@10", "coverage@10")
_QUICK_ROWS: Final = 12_000
_QUICK_BOOTSTRAP: Final = 10_000


def stream(folder: Path, *, quick: bool) -> Stream:
    """The stream of MovieLens-100K, as GroupLens publishes it or as RecBole ships it.

    Args:
      folder: Where the files lie.
      quick: Takes the first 12,000 rows, 10,000 of them as history.

    Raises:
      BadInputError: If a file is missing or damaged.
    """
    source = open_source(folder, "movielens-100k")
    config = Config()
    films = _films(source.items)
    ratings = _ratings(source.interactions)
    actors, actor = numbered(np.array(ratings.user))
    # films that nobody rates compete too
    items, item = numbered(np.array([*ratings.film, *films]))
    order = by_time(ratings.timestamp_ms, actor, item[: len(actor)])
    if quick:
        order = order[:_QUICK_ROWS]
    bootstrap = min(_QUICK_BOOTSTRAP, len(order) * 5 // 6) if quick else len(order) * 4 // 5
    kind = np.zeros(len(order), np.int8)
    events = Events(
        actor=actor[order],
        item=item[order],
        kind=kind,
        value=ratings.value[order],
        timestamp_ms=ratings.timestamp_ms[order],
        outcome=outcomes(config.events, ["rating"], kind, ratings.value[order]),
    )
    day = events.timestamp_ms // DAY_MS
    replayed = np.arange(len(order)) >= bootstrap
    return Stream(
        name="ml-100k",
        actors=actors,
        items=items,
        kinds=["rating"],
        events=events,
        group=groups(events.timestamp_ms, bootstrap),
        bootstrap=bootstrap,
        nights=nights(day, bootstrap),
        asked=replayed & (events.outcome == 1),
        judged=replayed,
        block=day.astype(np.int32),
        candidates="unseen",
        metrics=METRICS,
        item_attributes=films,
        user_attributes=_users(source.users),
        config=config,
    )


class _Ratings(NamedTuple):
    """Ratings in the order of the file."""

    user: list[str]
    film: list[str]
    value: NDArray[np.float32]
    timestamp_ms: NDArray[np.int64]


def _ratings(table: Table) -> _Ratings:
    at = [table.columns.index(name) for name in ("user_id", "item_id", "value", "timestamp")]
    users, films, values, times = [], [], [], []
    for row in sound_rows(table.path, table.read()):
        user, film, value, time = (str(row.cells[n]) for n in at)
        try:
            users.append(check_id("user_id", user))
            films.append(check_id("item_id", film))
            values.append(number("value", value))
            times.append(timestamp_ms(time))
            check_moment(times[-1], MILLISECONDS[1])
        except BadInputError as error:
            raise bad_row(table.path, row, str(error)) from error
    return _Ratings(users, films, np.array(values, np.float32), np.array(times, np.int64))


def _films(table: Table | None) -> dict[str, Attributes]:
    """Attributes by id, just as an import makes them."""
    if table is None:
        return {}
    rows = EntityRows(table, "item_id", table.declared)
    films = [rows.item(record, None) for record in _records(rows, table)]
    return {film.item_id: film.attributes or {} for film in films}


def _users(table: Table | None) -> dict[str, Attributes]:
    if table is None:
        return {}
    rows = EntityRows(table, "user_id", table.declared)
    users = [rows.user(record) for record in _records(rows, table)]
    return {user.user_id: user.attributes or {} for user in users}


def _records(rows: EntityRows, table: Table) -> list[Record]:
    """All of them, because the values of a column are made once all its cells were seen."""
    records = []
    for row in sound_rows(table.path, table.read()):
        try:
            records.append(rows.record(row))
        except BadInputError as error:
            raise bad_row(table.path, row, str(error)) from error
    return records
