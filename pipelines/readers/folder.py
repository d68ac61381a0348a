"""The `slowwave` format: a folder with interactions, items and users as CSV or Parquet."""

from pathlib import Path
from typing import Final

from model.errors import BadInputError
from pipelines.readers import text
from pipelines.readers.tables import CellType, Source, Table, check_header
from pipelines.readers.text import Layout

ENDINGS: Final = (".csv", ".csv.gz", ".parquet")
REQUIRED: Final = ("user_id", "item_id", "event_type", "value", "timestamp")
# A title is shown as it is, whatever stands in it.
_TITLE: Final = {"title": CellType.TEXT}


def has_interactions(folder: Path) -> bool:
    """Whether the folder holds an interactions file."""
    return any((folder / f"interactions{ending}").is_file() for ending in ENDINGS)


def source(folder: Path) -> Source:
    """The data set in a folder.

    Raises:
      BadInputError: If a file is there twice, is damaged, or misses a column.
    """
    interactions = _table(folder, "interactions", REQUIRED)
    if interactions is None:
        expected = ", ".join(f"interactions{ending}" for ending in ENDINGS)
        raise BadInputError(f"{folder} holds none of {expected}", "no_data")
    return Source(
        "slowwave",
        interactions,
        _table(folder, "items", ("item_id",)),
        _table(folder, "users", ("user_id",)),
    )


def _table(folder: Path, name: str, required: tuple[str, ...]) -> Table | None:
    paths = [path for ending in ENDINGS if (path := folder / f"{name}{ending}").is_file()]
    if len(paths) > 1:
        found = " and ".join(path.name for path in paths)
        raise BadInputError(f"{folder} holds {found}; keep the one to import", "ambiguous")
    if not paths:
        return None
    path = paths[0]
    if path.suffix == ".parquet":
        # Parquet's reader is worth loading only where there is a Parquet file
        from pipelines.readers import parquet

        typed = parquet.columns(path)
        check_header(path, typed.names, required)
        declared = {**_TITLE, **typed.declared}
        return Table(path, typed.names, lambda: parquet.chunks(path), declared, typed.texts)
    columns = check_header(path, text.header(path), required)
    layout = Layout(len(columns), has_header=True)
    return Table(path, columns, lambda: text.chunks(path, layout), _TITLE)
