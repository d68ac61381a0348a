"""The protocol `taobao`: what the same users do in a shop on the following days.

Nine days in China (UTC+8) from 25 November 2017; events outside of them are dropped. The
first six days are history, the last three are replayed with a night before the eighth and
the ninth. Rows stand in the order of (time, user, item, kind). Pages seen are `click`,
`cart` is `add_to_cart`, `fav` is `like`, `buy` is `purchase`; all are successes by the
product's rules, so no outcome is judged. Blocks are days.

One file gives two streams. In `taobao` the items are categories, every replayed event is
asked, and every category known by then competes. In `taobao-items` the items are items,
with their category as an attribute; asked are the events on an item that the user had
touched before, and the items the user has touched compete.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from model.interactions import Attributes
from model.workspace import Config
from pipelines.evaluation.protocols.order import (
    by_time,
    groups,
    met_before,
    nights,
    numbered,
    outcomes,
)
from pipelines.evaluation.protocols.tables import ID, SECONDS, expect, read_columns
from pipelines.evaluation.stream import DAY_MS, Events, Stream

FILE: Final = "events.csv"
METRICS: Final = ("ndcg@10", "hr@10", "coverage@10")
START_MS: Final = 1_511_539_200_000  # 2017-11-25, midnight in China
_DAYS: Final = 9
_BOOTSTRAP_DAYS: Final = 6
_QUICK_SHARE: Final = 8
_KINDS: Final = {"pv": "click", "cart": "add_to_cart", "fav": "like", "buy": "purchase"}


def streams(folder: Path, *, quick: bool) -> list[Stream]:
    """The streams `taobao` and `taobao-items`.

    Args:
      folder: Where `events.csv` lies, gzipped or not.
      quick: Takes every eighth user.

    Raises:
      BadInputError: If the file is missing or damaged.
    """
    columns = _rows(expect(folder, FILE))
    if quick:
        kept = numbered(columns["user"])[1] % _QUICK_SHARE == 0
        columns = {name: column[kept] for name, column in columns.items()}
    first, category = np.unique(columns["item"], return_index=True)
    of_item = columns["category"][category].tolist()
    described: dict[str, Attributes] = {
        str(item): {"category": str(number)}
        for item, number in zip(first.tolist(), of_item, strict=True)
    }
    return [
        _stream("taobao", columns, "category", {}),
        _stream("taobao-items", columns, "item", described),
    ]


def _stream(
    name: str, columns: dict[str, NDArray[Any]], target: str, described: dict[str, Attributes]
) -> Stream:
    actors, actor = numbered(columns["user"])
    items, item = numbered(columns[target])
    kinds = list(_KINDS.values())
    order = by_time(columns["ms"], actor, item, columns["kind"])
    config = Config()
    events = Events(
        actor=actor[order],
        item=item[order],
        kind=columns["kind"][order],
        value=np.full(len(order), np.nan, np.float32),
        timestamp_ms=columns["ms"][order],
        outcome=outcomes(config.events, kinds, columns["kind"][order]),
    )
    day = (events.timestamp_ms - START_MS) // DAY_MS
    bootstrap = int(np.searchsorted(day, _BOOTSTRAP_DAYS))
    group = groups(events.timestamp_ms, bootstrap)
    asked = np.arange(len(order)) >= bootstrap
    repeats = target == "item"
    if repeats:
        asked &= met_before(events.actor, events.item, group)
    return Stream(
        name=name,
        actors=actors,
        items=items,
        kinds=kinds,
        events=events,
        group=group,
        bootstrap=bootstrap,
        nights=nights(day, bootstrap),
        asked=asked,
        judged=np.zeros(len(order), np.bool_),
        block=day.astype(np.int32),
        candidates="seen" if repeats else "all",
        metrics=METRICS,
        item_attributes=described,
        config=config,
    )


def _rows(path: Path) -> dict[str, NDArray[Any]]:
    """The events of the nine days: user, item, category, kind (int8) and ms."""
    ids = dict.fromkeys(("user", "item", "category"), ID)
    columns = read_columns(path, {**ids, "event": frozenset(_KINDS), "ts": SECONDS})
    names, event = np.unique(columns.pop("event"), return_inverse=True)
    number = np.array([list(_KINDS).index(name) for name in names.tolist()], np.int8)
    columns |= {"kind": number[event], "ms": columns.pop("ts") * 1_000}
    since = columns["ms"] - START_MS
    kept = (since >= 0) & (since < _DAYS * DAY_MS)
    if not kept.any():
        raise BadInputError(f"{path.name} has no event in the nine days from 25 November 2017")
    return {name: column[kept] for name, column in columns.items()}
