"""`slowwave train`: the slow model from scratch on the log, verified and published."""

from typing import Any

from model.factor_learning import Lesson
from model.slow.bootstrap import Trained, train_from_scratch
from model.slow.bundle import write_bundle
from model.slow.schema import Schema, read_schema
from model.storage.event_log import EventLog
from model.storage.registry import Registry
from model.workspace import Config, Workspace, load_config
from pipelines.console import Console
from pipelines.learning import (
    LogRead,
    describe,
    memory_factors,
    on_bar,
    opened,
    provenance,
    read_log,
    verify,
)


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
    config, schema = load_config(workspace.config_path), read_schema(workspace.schema_path)
    registry = Registry(workspace.models)
    with registry.lock(), opened(workspace.log_path) as log:
        read = read_log(log, config, until_ms)
        return train_read(
            read, log, schema, config, registry, seed=seed, now_ms=now_ms, console=console
        )


def train_read(  # noqa: PLR0913 - the job's own settings, by name
    read: LogRead,
    log: EventLog,
    schema: Schema,
    config: Config,
    registry: Registry,
    *,
    seed: int,
    now_ms: int,
    console: Console,
) -> dict[str, Any]:
    """Trains from scratch on what was read of a log, and publishes: `train` without a workspace."""
    columns, metadata, through_seq = read
    console.message(
        f"Training on {len(columns):,} events of {columns.actor.n_different():,} users "
        f"and {columns.item.n_different():,} items"
    )
    with console.progress("Training", 1.0) as bar:
        trained = train_from_scratch(
            columns, metadata, schema, config.slow, seed=seed, on_progress=on_bar(bar)
        )
    manifest = {
        **provenance(config, seed=seed, trained_through_seq=through_seq),
        "kind": "train",
        "parent": None,
        "data": describe(columns),
        "training": trained.training,
        "metrics": {"validation": trained.metrics},
        **({"tuned": trained.tuned} if trained.tuned else {}),
    }
    lesson = Lesson(trained.seen_seq, through_seq)
    manifest |= memory_factors(trained.unseeing, log, config, lesson, seed=seed)
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
