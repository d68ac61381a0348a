"""What training from scratch and the night share: reading the log, progress, verification."""

from collections.abc import Iterator
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from model.factor_learning import Lesson, learn_factors
from model.interactions import LogRow
from model.slow.bundle import FORMAT, Bundle, load_bundle
from model.slow.columns import EventColumns, Metadata, event_columns
from model.slow.examples import Examples
from model.slow.scorer import SlowScorer
from model.slow.training import OnProgress, check_parity
from model.storage.event_log import LogReader, event_rows
from model.workspace import Config, config_as_json
from pipelines.console import Bar

_PARITY_REQUESTS: Final = 256


class LogRead(NamedTuple):
    """What was read of the log.

    Attributes:
      columns: The events.
      metadata: Attributes of items and users, as they are now.
      through_seq: Every event up to this log position is among them.
    """

    columns: EventColumns
    metadata: Metadata
    through_seq: int


def read_log(
    log: LogReader, config: Config, until_ms: int | None, *, newest: int | None = None
) -> LogRead:
    """The events before a moment, all where it is None, and the metadata.

    Where the log is not in the order of time, as after imports of several data sets, the
    events before the moment go on behind the first one after it. They are read, and
    `through_seq` does not vouch for them: a later night may meet them again.

    Args:
      log: The log.
      config: What events mean.
      until_ms: Only events before this moment; None for all.
      newest: Only so many of the last log positions; None for all.
    """
    through = log.head()
    after = 0 if newest is None else max(through - newest, 0)

    def before() -> Iterator[LogRow]:
        nonlocal through
        for row in event_rows(log, after, through):
            if until_ms is None or row.timestamp_ms < until_ms:
                yield row
            else:
                through = min(through, row.seq - 1)

    # row by row into columns: rows as such take ten times the memory
    columns = event_columns(before(), config.events)
    metadata = Metadata(
        items={i.item_id: i.attributes for i in log.catalogue().items if i.attributes},
        users={u.user_id: u.attributes for u in log.users() if u.attributes},
    )
    return LogRead(columns, metadata, through)


def memory_factors(
    bundle: Bundle, log: LogReader, config: Config, lesson: Lesson, *, seed: int
) -> dict[str, Any]:
    """What a manifest says of the fast memory: how much each part says, learned on past days.

    Args:
      bundle: A model that has not seen the events of the lesson.
      log: The log.
      config: All settings.
      lesson: Which events to learn from.
      seed: Draws the questions.

    Returns:
      Nothing where the events are too few; the service then takes its defaults.
    """
    rng = np.random.default_rng(seed)
    learned = learn_factors(SlowScorer(bundle), log, config.events, config.memory, lesson, rng)
    if learned is None:
        return {}
    return {"memory": learned.mixing.as_json(), "memory_learning": learned.report}


def describe(columns: EventColumns) -> dict[str, Any]:
    """What a manifest says of the events behind a model."""
    if not len(columns):
        return {"events": 0}
    return {
        "events": len(columns),
        "successes": int((columns.outcome > 0).sum()),
        "failures": int((columns.outcome < 0).sum()),
        "users": columns.actor.n_different(),
        "items": columns.item.n_different(),
        "first_timestamp_ms": int(columns.timestamp_ms.min()),
        "last_timestamp_ms": int(columns.timestamp_ms.max()),
    }


def provenance(config: Config, *, seed: int, trained_through_seq: int) -> dict[str, Any]:
    """What every manifest says of how its model was made."""
    return {
        "format": FORMAT,
        "seed": seed,
        "code_version": distribution_version("slowwave"),
        "trained_through_seq": trained_through_seq,
        "hyperparameters": config_as_json(config.slow),
    }


def verify(staged: Path, examples: Examples) -> dict[str, float]:
    """The largest difference between the staged bundle in NumPy and TensorFlow.

    Raises:
      ParityError: If it is larger than 1e-5.
    """
    # the newest requests look most like those to come
    which = np.arange(len(examples))[-_PARITY_REQUESTS:]
    difference = check_parity(load_bundle(staged), examples, which)
    return {"requests": float(len(which)), "difference": difference}


def on_bar(bar: Bar) -> OnProgress:
    """Training progress as a share of a bar; another fit starts it again."""
    last = 0.0

    def told(done: int, total: int, note: str) -> None:
        nonlocal last
        share = done / total
        bar.advance(share - last, note)
        last = share

    return told
