"""A workspace with MovieLens-100K and a model trained on it: made once, then used again."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model.errors import BadInputError
from model.interactions import Attributes
from model.storage.event_log import open_log
from model.storage.registry import Registry
from model.workspace import Workspace
from pipelines.console import Console
from pipelines.datasets import fetch_movielens_100k
from pipelines.importing import ImportReport, import_path

_SEED: Final = 0
# Which films a workspace must have to be taken for one that holds MovieLens-100K.
FIRST_RATED: Final = ("Cinderella (1950)", "Mary Poppins (1964)", "Wizard of Oz, The (1939)")


@dataclass(frozen=True)
class Prepared:
    """A workspace that is ready to be served.

    Attributes:
      manifest: Of the model that is current.
      imported: What the import did.
      trained: Whether the model was trained just now.
      seconds: How long each step took that was taken.
    """

    manifest: Mapping[str, Any]
    imported: ImportReport
    trained: bool
    seconds: Mapping[str, float]


def prepare(workspace: Workspace, data: Path | None, console: Console) -> Prepared:
    """Fetches, imports and trains what the workspace does not have yet.

    Args:
      workspace: Where to put it.
      data: A folder with MovieLens-100K; None to fetch it.
      console: Where to report.

    Raises:
      BadInputError: If the data cannot be had, or the workspace holds other data.
      BusyError: If another job trains in this workspace.
    """
    refuse_other_data(workspace)
    seconds: dict[str, float] = {}
    with _timed(seconds, "fetch"):
        folder = fetch_movielens_100k(data, workspace.home / "downloads", console)
    with _timed(seconds, "import"):
        imported = import_path(
            workspace, folder, format=None, strict=False, now_ms=_now_ms(), console=console
        )
    refuse_other_data(workspace)
    registry = Registry(workspace.models)
    current = registry.current()
    if current is not None and not imported.events:
        console.message(f"Model {current} is published and nothing new came: it serves.")
        return Prepared(registry.manifest(current), imported, trained=False, seconds=seconds)
    with _timed(seconds, "train"):
        manifest = _train(workspace, console)
    return Prepared(manifest, imported, trained=True, seconds=seconds)


def refuse_other_data(workspace: Workspace) -> None:
    """Keeps films out of a log that is about something else: what is in a log stays there.

    Raises:
      BadInputError: If the workspace holds items, and not the films of MovieLens-100K.
    """
    films = titles(workspace) if workspace.log_path.exists() else {}
    if films and not set(FIRST_RATED) <= set(films.values()):
        raise BadInputError(
            f"{workspace.home} holds data other than MovieLens-100K, which is not mixed in; name "
            "a new folder with --home, or train on what is there (slowwave train)",
            "other_data",
        )


def titles(workspace: Workspace) -> dict[str, str]:
    """The title of every item by its id, or the id where it has none."""
    with closing(open_log(workspace.log_path)) as log:
        items = log.catalogue().items
    return {item.item_id: _title(item.attributes or {}) or item.item_id for item in items}


def _title(attributes: Attributes) -> str:
    return str(attributes.get("title", ""))


def _train(workspace: Workspace, console: Console) -> dict[str, Any]:
    console.message("Loading TensorFlow.")
    from pipelines.train import train

    return train(workspace, until_ms=None, seed=_SEED, now_ms=_now_ms(), console=console)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - started, 3)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
