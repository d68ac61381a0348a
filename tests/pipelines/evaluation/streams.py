"""Small streams and arms for the tests of the harness."""

import numpy as np

from model.interactions import ItemChange, UserChange
from pipelines.evaluation.stream import Events, Stream
from tests.worlds import DAY_MS, metadata, ratings


def small_stream(seed=0, *, n_events=600, n_actors=12, n_items=40, candidates="unseen", **more):
    """Ratings with ties in time, half of them replayed, two nights."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, n_events // 3, n_events)) * 60_000
    actor = rng.integers(0, n_actors, n_events).astype(np.int32)
    # some items come up in the second half alone
    item = np.where(
        np.arange(n_events) < n_events // 2,
        rng.integers(0, n_items - 8, n_events),
        rng.integers(0, n_items, n_events),
    ).astype(np.int32)
    order = np.lexsort((item, actor, times))
    times, actor, item = times[order], actor[order], item[order]
    value = rng.integers(1, 6, n_events).astype(np.float32)
    group = np.cumsum(np.diff(times, prepend=times[0]) > 0)
    bootstrap = int(np.flatnonzero(group == group[n_events // 2])[0])
    later = group[bootstrap:]
    nights = [
        int(np.flatnonzero(group == g)[0])
        for g in (later[len(later) // 3], later[2 * len(later) // 3])
    ]
    replayed = np.arange(n_events) >= bootstrap
    settings = {
        "name": "small",
        "actors": [f"u{n}" for n in range(n_actors)],
        "items": [f"i{n}" for n in range(n_items)],
        "kinds": ["rating"],
        "events": Events(
            actor=actor,
            item=item,
            kind=np.zeros(n_events, np.int8),
            value=value,
            timestamp_ms=times + 1_000_000_000_000,
            outcome=np.where(value >= 4, 1, np.where(value <= 2, -1, 0)).astype(np.int8),
        ),
        "group": group.astype(np.int64),
        "bootstrap": bootstrap,
        "nights": np.array(nights, np.int64),
        "asked": replayed & (value >= 4),
        "judged": replayed,
        "block": (group // 10).astype(np.int32),
        "candidates": candidates,
        "metrics": ("ndcg@10", "hr@10", "coverage@10"),
    }
    return Stream(**settings | more)


class Counting:
    """Live popularity, one event after the other: the plainest honest arm."""

    def __init__(self, n_items):
        self._counts = np.zeros(n_items, np.float32)

    def start(self, events):
        self.learn(events)

    def learn(self, events):
        np.add.at(self._counts, events.item[events.outcome > 0], 1)

    def night(self):
        return {"said": "good night"}

    def ask(self, question):
        return self._counts.copy()

    def answer(self, tickets):
        return np.stack(tickets)


def world_stream(**more):
    """The test world's ratings, by day, the last third replayed; nights between days."""
    events = sorted(
        ratings(np.random.default_rng(0)), key=lambda e: (e.timestamp_ms, e.user_id, e.item_id)
    )
    described = metadata()
    items = {c.item_id: c.attributes for c in described if isinstance(c, ItemChange)}
    users = {c.user_id: c.attributes for c in described if isinstance(c, UserChange)}
    times = np.array([e.timestamp_ms for e in events], np.int64)
    value = np.array([e.value for e in events], np.float32)
    group = np.cumsum(np.diff(times, prepend=times[0]) > 0)
    bootstrap = int(np.flatnonzero(group == group[2 * len(events) // 3])[0])
    day = (times - times[0]) // DAY_MS
    new_day = np.flatnonzero(np.diff(day, prepend=day[0]) > 0)
    item_ids, user_ids = list(items), list(users)
    replayed = np.arange(len(events)) >= bootstrap
    settings = {
        "name": "tiny",
        "actors": user_ids,
        "items": item_ids,
        "kinds": ["rating"],
        "events": Events(
            actor=np.array([user_ids.index(e.user_id or "") for e in events], np.int32),
            item=np.array([item_ids.index(e.item_id or "") for e in events], np.int32),
            kind=np.zeros(len(events), np.int8),
            value=value,
            timestamp_ms=times,
            outcome=np.where(value >= 4, 1, np.where(value <= 2, -1, 0)).astype(np.int8),
        ),
        "group": group.astype(np.int64),
        "bootstrap": bootstrap,
        "nights": new_day[new_day > bootstrap].astype(np.int64),
        "asked": replayed & (value >= 4),
        "judged": replayed,
        "block": day.astype(np.int32),
        "candidates": "unseen",
        "metrics": ("ndcg@10", "hr@10", "coverage@10"),
        "item_attributes": items,
        "user_attributes": users,
    }
    return Stream(**settings | more)
