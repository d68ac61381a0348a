"""`slowwave train`: the slow model from scratch on the log, verified and published."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

import numpy as np

from model.errors import BadInputError
from model.interactions import Kind, LogRow
from model.slow.bootstrap import Trained, train_from_scratch
from model.slow.bundle import FORMAT, load_bundle, write_bundle
from model.slow.examples import EventColumns, Examples, Metadata, event_columns
from model.slow.schema import Schema, read_schema
from model.slow.training import OnProgress, check_parity
from model.storage.event_log import EventLog, open_log
from model.storage.registry import Registry
from model.workspace import Config, Workspace, config_as_json, load_config
from pipelines.console import Bar, Console

PARITY_REQUESTS = 256
_CHUNK = 50_000


def train(
    workspace: Workspace, *, until_ms: int | None, seed: int, now_ms: int, console: Console
) -> dict[str, Any]:
    """Trains from scratch on the log and publishes the result.

    Args:
      workspace: Where the log and the models are.
      until_ms: Only events before this moment count; None for all.
      seed: Decides everything random.
      now_ms: The time to write into the manifest.
      console: Where to report.

    Returns:
      The manifest of the new version.

    Raises:
      BadInputError: If the log holds too little to learn from.
      BusyError: If another job trains in this workspace.
      ParityError: If the NumPy scorer and TensorFlow disagree; nothing is published.
    """
    config, schema = load_config(workspace.config_path), load_schema(workspace)
    registry = Registry(workspace.models)
    with registry.lock(), opened(workspace.log_path) as log:
        columns, metadata, last_seq = read_log(log, config, until_ms=until_ms)
        console.message(
            f"Training on {len(columns):,} events of {len(set(columns.actor)):,} users "
            f"and {len(set(columns.item)):,} items"
        )
        with console.progress("Training", 1.0) as bar:
            trained = train_from_scratch(
                columns, metadata, schema, config.slow, seed=seed, on_progress=on_bar(bar)
            )
        manifest = {
            **provenance(config, seed=seed, trained_through_seq=last_seq),
            "kind": "train",
            "parent": None,
            "data": describe(columns),
            "training": trained.training,
            "metrics": {"validation": trained.metrics},
        }
        return publish(registry, trained, manifest, now_ms)


def publish(
    registry: Registry, trained: Trained, manifest: dict[str, Any], now_ms: int
) -> dict[str, Any]:
    """Writes a trained bundle, checks it as it lies on disk, and makes it current."""
    with registry.stage() as staged:
        write_bundle(trained.bundle, staged)
        manifest["parity"] = verify(staged, trained.examples)
        version = registry.publish(staged, manifest, created_ms=now_ms)
    return dict(registry.manifest(version))


def verify(staged: Path, examples: Examples) -> dict[str, float]:
    """The largest difference between the staged bundle in NumPy and TensorFlow.

    Raises:
      ParityError: If it is larger than 1e-5.
    """
    # the newest requests look most like those to come
    which = np.arange(len(examples))[-PARITY_REQUESTS:]
    difference = check_parity(load_bundle(staged), examples, which)
    return {"requests": float(len(which)), "difference": difference}


def load_schema(workspace: Workspace) -> Schema:
    """The workspace's schema; one without attributes when nothing was imported."""
    if not workspace.schema_path.exists():
        return Schema(item={}, user={}, context={})
    return read_schema(workspace.schema_path)


@contextmanager
def opened(path: Path) -> Iterator[EventLog]:
    """The event log, closed at the end; a missing one is bad input, not a new file."""
    if not path.exists():
        raise BadInputError(
            f"expected an event log at {path}, found none; import data first "
            "(slowwave import PATH)",
            "no_data",
        )
    log = open_log(path)
    try:
        yield log
    finally:
        log.close()


def read_log(
    log: EventLog, config: Config, *, until_ms: int | None = None, after_seq: int = 0
) -> tuple[EventColumns, Metadata, int]:
    """Events after a log position and before a moment, and the metadata as it is now.

    Returns:
      The events, the metadata, and the last log position that was read.
    """
    head = log.head()
    columns = event_columns(_rows(log, after_seq, head, until_ms), config.events)
    metadata = Metadata(
        items={i.item_id: i.attributes for i in log.catalogue().items if i.attributes},
        users={u.user_id: u.attributes for u in log.users() if u.attributes},
    )
    return columns, metadata, head


def _rows(log: EventLog, after_seq: int, head: int, until_ms: int | None) -> Iterator[LogRow]:
    while after_seq < head:
        rows = log.tail(after_seq, through_seq=head, limit=_CHUNK)
        if not rows:
            return
        for row in rows:
            if row.kind == Kind.EVENT and (until_ms is None or row.timestamp_ms < until_ms):
                yield row
        after_seq = rows[-1].seq


def describe(columns: EventColumns) -> dict[str, Any]:
    """What a manifest says of the events behind a model."""
    if not len(columns):
        return {"events": 0}
    return {
        "events": len(columns),
        "successes": int((columns.outcome > 0).sum()),
        "failures": int((columns.outcome < 0).sum()),
        "users": len(set(columns.actor)),
        "items": len(set(columns.item)),
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


def on_bar(bar: Bar) -> OnProgress:
    """Training progress as a share of a bar; the second fit starts it again."""
    last = 0.0

    def told(done: int, total: int, note: str) -> None:
        nonlocal last
        share = done / total
        bar.advance(share - last, note)
        last = share

    return told
