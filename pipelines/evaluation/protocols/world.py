"""The protocol `world`: a generated world, in which regret and recovery can be measured.

The first half of the rows, rounded to whole visits, is history; a night falls at each
midnight of the replay. Rows stand in the order in which they arrive, `click` and `skip`,
and bear the time of their arrival: that is when they are asked and when the truth is
taken. A visit's rows are one group. Ranking is asked for clicks, among items that the
user was not shown yet; the outcome is judged on all rows that were shown. Blocks are days.

Segment, brand and category are attributes. Only items that are out at the start are
described from the start: the later ones are not announced, they come with their first
event. The truth is the chance of a click when the user looks at the item: the judged
outcome is lower, because not every position is looked at. See `pipelines.simulate`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.interactions import Attributes
from model.workspace import Config
from pipelines.evaluation.protocols.order import groups, nights, outcomes
from pipelines.evaluation.stream import BEFORE_TURN, DAY_MS, NO_TURN, Events, Stream
from pipelines.simulate import (
    LIST_LENGTH,
    QUICK,
    REVERSAL_DAY,
    START_MS,
    Size,
    World,
    simulate,
)

METRICS: Final = ("ndcg@10", "hr@10", "regret@10", "coverage@10")
KINDS: Final = ("click", "skip")


def stream(*, quick: bool, seed: int) -> Stream:
    """The stream of a generated world.

    Args:
      quick: Makes a small one of about 6,000 events instead of 60,000.
      seed: Of the generator.
    """
    return stream_of(QUICK if quick else Size(), seed=seed)


def stream_of(size: Size, *, seed: int) -> Stream:
    """The stream of a generated world of this size."""
    world, visits = simulate(size, seed)
    n = visits.shown.size
    kind = np.where(visits.clicked.ravel(), 0, 1).astype(np.int8)
    config = Config()
    actor, item = np.repeat(visits.user, LIST_LENGTH), visits.shown.ravel()
    timestamp_ms = np.repeat(visits.arrived_ms, LIST_LENGTH)
    # within a time stamp by actor and item: the position on the screen is not told
    order = np.lexsort((item, actor, timestamp_ms))
    events = Events(
        actor=actor[order].astype(np.int32),
        item=item[order].astype(np.int32),
        kind=kind[order],
        value=np.full(n, np.nan, np.float32),
        timestamp_ms=timestamp_ms[order],
        outcome=outcomes(config.events, list(KINDS), kind[order]),
    )
    bootstrap = int(np.searchsorted(events.timestamp_ms, events.timestamp_ms[n // 2]))
    day = (events.timestamp_ms - START_MS) // DAY_MS
    replayed = np.arange(n) >= bootstrap
    items = _ids("i", len(world.brand))
    actors = _ids("u", len(world.segment))

    def truth(row: int) -> NDArray[np.float64]:
        return world.truth(int(events.actor[row]), int(events.timestamp_ms[row]))

    return Stream(
        name="world",
        actors=actors,
        items=items,
        kinds=list(KINDS),
        events=events,
        group=groups(events.timestamp_ms, bootstrap),
        bootstrap=bootstrap,
        nights=nights(day, bootstrap),
        asked=replayed & (events.outcome == 1),
        judged=replayed,
        block=day.astype(np.int32),
        candidates="unseen",
        metrics=METRICS,
        item_attributes=_described(world, items),
        user_attributes={
            user: {"segment": f"segment-{segment}"}
            for user, segment in zip(actors, world.segment.tolist(), strict=True)
        },
        config=config,
        truth=truth,
        since_turn=_since_turn(world, events),
    )


def _since_turn(world: World, events: Events) -> NDArray[np.int32]:
    """[rows] events of the actor since its taste was turned round; rows of one moment alike."""
    turned = world.turned[events.actor]
    late = events.timestamp_ms >= START_MS + REVERSAL_DAY * DAY_MS
    since = np.where(turned, BEFORE_TURN, NO_TURN).astype(np.int32)
    rows = np.flatnonzero(turned & late)
    order = rows[np.lexsort((rows, events.actor[rows]))]
    actor, time = events.actor[order], events.timestamp_ms[order]
    place, first = np.arange(len(order)), np.diff(actor, prepend=-1) != 0
    moment = first | (np.diff(time, prepend=-1) != 0)
    began, now = (np.maximum.accumulate(np.where(each, place, 0)) for each in (first, moment))
    since[order] = now - began
    return since


def _ids(letter: str, n: int) -> list[str]:
    return [f"{letter}{number}" for number in range(n)]


def _described(world: World, items: list[str]) -> dict[str, Attributes]:
    """Attributes of the items that are out at the start."""
    return {
        item: {"brand": f"brand-{brand}", "category": f"category-{category}"}
        for item, brand, category, out_ms in zip(
            items, world.brand.tolist(), world.category.tolist(), world.out_ms.tolist(), strict=True
        )
        if out_ms <= START_MS
    }
