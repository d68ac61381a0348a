"""A workspace of its own to try something on: a part of a stream, and a model trained on it."""

from pathlib import Path

from model.slow.schema import write_schema
from model.workspace import Workspace
from pipelines.console import Console
from pipelines.evaluation.chain import schema_of
from pipelines.evaluation.sealed_log import write_rows
from pipelines.evaluation.stream import Stream


def train_on(stream: Stream, stop: int, home: Path, *, seed: int, console: Console) -> Workspace:
    """Makes a workspace of the first rows of a stream, and trains its first model.

    Args:
      stream: What happened.
      stop: Rows before this one are in the log.
      home: The workspace's folder, which is made.
      seed: Decides everything random.
      console: Where to report.
    """
    from pipelines.train import train

    home.mkdir()
    workspace = Workspace(home)
    write_schema(schema_of(stream), workspace.schema_path)
    write_rows(stream, stop, workspace.log_path)
    now_ms = int(stream.events.timestamp_ms[stop - 1])
    train(workspace, until_ms=None, seed=seed, now_ms=now_ms, console=console)
    return workspace
