"""`slowwave export`: the log and the catalogue as a data set that `slowwave import` takes.

As Parquet nothing is lost that an attribute can say, but texts and lists that are empty. CSV
has no types, so there a text that looks like a number comes back as one.
"""

import csv
import gzip
import io
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from model.errors import BadInputError
from model.files import sync_folder
from model.interactions import Attributes, AttributeValue, Event, ItemChange, Kind
from model.storage.event_log import EventLog, event_of, event_rows, item_of
from model.workspace import Workspace
from pipelines.console import Console, count
from pipelines.opened_log import opened
from pipelines.readers.parquet_types import EXACT
from pipelines.records import EVENT_COLUMNS, STATE_COLUMNS

_CHUNK: Final = 10_000
_Row = Mapping[str, AttributeValue | int | None]


def export(
    workspace: Workspace, folder: Path, *, file_format: str, console: Console
) -> dict[str, Any]:
    """Writes interactions, items and users into a new folder, which appears whole or not at all.

    Args:
      workspace: What to export.
      folder: Where to; it must not exist.
      file_format: `parquet` or `csv`.
      console: Where progress is shown.

    Returns:
      How much was written, and the attributes that could not be, because their names are
      those of columns.

    Raises:
      BadInputError: If the folder exists, or there is no log.
    """
    if folder.exists():
        raise BadInputError(f"expected a folder to make, but {folder} exists", "exists")
    staged = folder.with_name(f".{folder.name}.{os.getpid()}")
    with opened(workspace.log_path) as log, ExitStack() as undo:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged.mkdir()
        undo.callback(shutil.rmtree, staged, ignore_errors=True)
        report = _write(log, staged, file_format, console)
        if workspace.schema_path.exists():
            shutil.copy(workspace.schema_path, staged / "schema.toml")
        for path in staged.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(staged)
        staged.rename(folder)
        sync_folder(folder.parent)
    written = [count(report[name], name[:-1]) for name in ("events", "items", "users")]
    console.message(f"Wrote {', '.join(written)} to {folder}.")
    if report["left_out"]:
        names = ", ".join(report["left_out"])
        console.warning(f"Left out, because their names are those of columns: {names}.")
    return {**report, "path": str(folder), "format": file_format}


def _write(log: EventLog, folder: Path, file_format: str, console: Console) -> dict[str, Any]:
    seen = _Seen()
    through = log.head()
    for event in map(event_of, event_rows(log, 0, through)):
        seen.event(event)
    items = _items(log, through)
    for item in items:
        seen.see("items", item.attributes or {})
    for user in log.users():
        seen.see("users", user.attributes or {})
    new = _FORMATS[file_format]
    report: dict[str, Any] = {"through_seq": through, "left_out": sorted(seen.left_out)}
    with console.progress("Exporting", float(max(through, 1))) as bar:
        with new(folder, "interactions", EVENT_COLUMNS, seen.types["interactions"]) as table:
            for chunk in _chunks(map(_event_row, map(event_of, event_rows(log, 0, through)))):
                table.write(chunk)
                bar.advance(len(chunk))
            report["events"] = table.n_rows
        with new(folder, "items", ("item_id", *STATE_COLUMNS), seen.types["items"]) as table:
            for chunk in _chunks(map(_item_row, items)):
                table.write(chunk)
            report["items"] = table.n_rows
        with new(folder, "users", ("user_id",), seen.types["users"]) as table:
            users = ({**(u.attributes or {}), "user_id": u.user_id} for u in log.users())
            for chunk in _chunks(users):
                table.write(chunk)
            report["users"] = table.n_rows
    return report


def _items(log: EventLog, through_seq: int) -> list[ItemChange]:
    """The catalogue, and as hidden items those that were deleted: events may still name them."""
    present = log.catalogue().items
    deleted: dict[str, ItemChange] = {}
    after = 0
    while rows := log.tail(after, through_seq=through_seq, limit=_CHUNK):
        for row in rows:
            if row.kind == Kind.ITEM and (item := item_of(row)).attributes is None:
                deleted[item.item_id] = ItemChange(item.item_id, {}, hidden=True)
        after = rows[-1].seq
    here = {item.item_id for item in present}
    return [*present, *(item for name, item in deleted.items() if name not in here)]


class _Seen:
    """Which attributes there are, and what type holds all the values of each.

    Attributes:
      types: By table, by attribute: `bool`, `float`, `tuple` or `str`.
      left_out: Attributes whose names are those of columns.
    """

    def __init__(self) -> None:
        self.types: dict[str, dict[str, type]] = {"interactions": {}, "items": {}, "users": {}}
        self.left_out: set[str] = set()

    def event(self, event: Event) -> None:
        if event.properties:
            self.see("interactions", event.properties)

    def see(self, table: str, attributes: Attributes) -> None:
        types = self.types[table]
        for name, value in attributes.items():
            if name in _COLUMNS[table]:
                self.left_out.add(name)
                continue
            kind = type(value)
            if types.setdefault(name, kind) is not kind:
                types[name] = str


_COLUMNS: Final = {
    "interactions": frozenset(EVENT_COLUMNS),
    "items": frozenset({"item_id", *STATE_COLUMNS}),
    "users": frozenset({"user_id"}),
}


def _event_row(event: Event) -> _Row:
    return {
        **event.properties,
        "event_id": event.event_id,
        "event_type": event.event_type,
        "user_id": event.user_id,
        "item_id": event.item_id,
        "value": event.value,
        "timestamp": event.timestamp_ms,
        "session_id": event.session_id,
        "request_id": event.request_id,
        "shown_items": event.shown_items,
        "retracts": event.retracts,
    }


def _item_row(item: ItemChange) -> _Row:
    return {
        **(item.attributes or {}),
        "item_id": item.item_id,
        "hidden": item.hidden,
        "available_from": _iso(item.available_from_ms),
        "available_until": _iso(item.available_until_ms),
    }


def _iso(time_ms: int | None) -> str | None:
    if time_ms is None:
        return None
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds")


def _chunks(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    chunk: list[_Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _text(value: AttributeValue | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return "|".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


class _Table(ABC):
    """One file of the data set.

    Attributes:
      n_rows: Rows written so far.
    """

    def __init__(
        self, folder: Path, name: str, columns: Sequence[str], types: Mapping[str, type]
    ) -> None:
        self.n_rows = 0
        self.stem = folder / name
        self.columns = columns
        self.types = types

    def __enter__(self) -> "_Table":
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """Completes the file."""

    @abstractmethod
    def write(self, rows: list[_Row]) -> None:
        """Adds rows."""


class _CsvTable(_Table):
    """A gzipped CSV file."""

    def __enter__(self) -> "_CsvTable":
        self._raw = self.stem.with_name(f"{self.stem.name}.csv.gz").open("wb")
        zipped = gzip.GzipFile(filename="", fileobj=self._raw, mode="wb", mtime=0)
        self._file = io.TextIOWrapper(zipped, encoding="utf-8", newline="")
        self._names = [*self.columns, *sorted(self.types)]
        self._csv = csv.writer(self._file)
        self._csv.writerow(self._names)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._raw.close()

    def write(self, rows: list[_Row]) -> None:
        self._csv.writerows([_text(row.get(name)) for name in self._names] for row in rows)
        self.n_rows += len(rows)


class _ParquetTable(_Table):
    """A Parquet file that says of itself that its types are meant."""

    def __enter__(self) -> "_ParquetTable":
        # here, and not above: CSV needs nothing of it
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._pa = pa
        kinds = {
            bool: pa.bool_(),
            float: pa.float64(),
            tuple: pa.list_(pa.string()),
            str: pa.string(),
        }
        types = {name: _COLUMN_TYPES.get(name, str) for name in self.columns} | dict(self.types)
        columns = [
            (name, pa.int64() if kind is int else kinds[kind]) for name, kind in types.items()
        ]
        self._schema = pa.schema(columns, metadata={EXACT: b"1"})
        self._types = types
        path = self.stem.with_name(f"{self.stem.name}.parquet")
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, rows: list[_Row]) -> None:
        columns = {
            name: [_as(kind, row.get(name)) for row in rows] for name, kind in self._types.items()
        }
        self._writer.write_table(self._pa.table(columns, schema=self._schema))
        self.n_rows += len(rows)


_COLUMN_TYPES: Final[Mapping[str, type]] = {
    "value": float, "timestamp": int, "shown_items": tuple, "hidden": bool,
}  # fmt: skip
_FORMATS: Final[Mapping[str, type[_Table]]] = {"parquet": _ParquetTable, "csv": _CsvTable}


def _as(kind: type, value: AttributeValue | int | None) -> Any:
    if value is None or value == ():
        return None
    if kind is str:
        return _text(value)
    return list(value) if isinstance(value, tuple) else value
