"""Small worlds with a known truth, for tests: two tastes, attributes that give them away."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.interactions import Entry, Event, ItemChange, UserChange
from model.slow.schema import AttributeType, Schema, write_schema
from model.storage.event_log import open_log
from model.workspace import Workspace

START_MS = 1_700_000_000_000
MINUTE_MS = 60_000
DAY_MS = 86_400_000

TINY_CONFIG = """\
[slow]
dimensions = 8
user_dimensions = 4
attribute_dimensions = 4
hidden = 16
history = 10
wide_history = 5
cross_min_count = 3
batch_size = 64
max_epochs = 4
deep_learning_rate = 0.01

[night]
min_events = 20
learning_rate_scale = 0.3
epochs = 1
"""


def taste(number: int) -> str:
    """Even users love even items; odd users love odd ones."""
    return "even" if number % 2 == 0 else "odd"


def metadata(n_users: int = 60, n_items: int = 40) -> list[Entry]:
    """Items with their taste as genre and a year; users with an occupation."""
    items: list[Entry] = [
        ItemChange(
            f"i{n}",
            {"title": f"Item {n}", "genres": (taste(n),), "year": float(1980 + n)},
        )
        for n in range(n_items)
    ]
    occupations = ("writer", "baker")
    users = [UserChange(f"u{n}", {"occupation": occupations[n % 2]}) for n in range(n_users)]
    return items + users


def ratings(
    rng: np.random.Generator,
    *,
    n_users: int = 60,
    n_items: int = 40,
    per_user: int = 20,
    start_ms: int = START_MS,
    prefix: str = "r",
) -> list[Event]:
    """Ratings that follow the two tastes nine times in ten, in order of time.

    Popular items come first by number; no user rates an item twice.
    """
    popularity = 1.0 / (1.0 + np.arange(n_items) / 4.0)
    events: list[Event] = []
    for user in range(n_users):
        chosen = rng.choice(n_items, per_user, replace=False, p=popularity / popularity.sum())
        begin = start_ms + int(rng.integers(20 * DAY_MS))
        for place, item in enumerate(chosen.tolist()):
            agrees = (user % 2 == item % 2) == (rng.random() < 0.9)
            events.append(
                Event(
                    f"{prefix}-{user}-{item}",
                    "rating",
                    begin + place * MINUTE_MS,
                    user_id=f"u{user}",
                    item_id=f"i{item}",
                    value=5.0 if agrees else 1.0,
                )
            )
    return sorted(events, key=lambda event: event.timestamp_ms)


SCHEMA = Schema(
    item={
        "genres": AttributeType.CATEGORIES,
        "title": AttributeType.TEXT,
        "year": AttributeType.NUMBER,
    },
    user={"occupation": AttributeType.CATEGORY},
    context={},
)


def write_world(home: Path, events: Sequence[Event], *, now_ms: int) -> Workspace:
    """A workspace with the metadata, these events and a configuration small enough for tests."""
    workspace = Workspace(home)
    home.mkdir(parents=True, exist_ok=True)
    workspace.config_path.write_text(TINY_CONFIG, encoding="utf-8")
    write_schema(SCHEMA, workspace.schema_path)
    log = open_log(workspace.log_path)
    try:
        log.append(metadata(), received_ms=now_ms)
        log.append(events, received_ms=now_ms)
    finally:
        log.close()
    return workspace
