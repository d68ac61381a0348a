"""Judging a data set: every row of every file is read and checked before one is written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from model.errors import BadInputError
from model.interactions import Kind
from model.slow.schema import AttributeType, read_schema
from model.storage.event_log import event_of, open_log
from model.workspace import Workspace, load_config
from pipelines.console import Console, count
from pipelines.readers.formats import open_source
from pipelines.readers.tables import BadRow, CellType, Row, Source, Table, row_name
from pipelines.records import EntityRows, EventRows, Record, event_meaning
from pipelines.spool import Spool

_LISTED: Final = 100
_SHOWN: Final = 20

_DECLARED: Final = {
    AttributeType.TEXT: CellType.TEXT,
    AttributeType.NUMBER: CellType.NUMBER,
    AttributeType.CATEGORIES: CellType.LIST,
}
_IDS: Final = {Kind.EVENT: "event_id", Kind.ITEM: "item_id", Kind.USER: "user_id"}


@dataclass
class BadRows:
    """The rows that are left out.

    Attributes:
      listed: The first 100 of them.
      total: How many there are.
    """

    listed: list[BadRow] = field(default_factory=list)
    total: int = 0

    def add(self, rows: Sequence[BadRow]) -> None:
        """Counts the rows, and lists them as long as there is room."""
        self.total += len(rows)
        self.listed.extend(rows[: _LISTED - len(self.listed)])

    def text(self) -> str:
        """The first of them, a line each."""
        lines = [f"  {row}" for row in self.listed[:_SHOWN]]
        if self.total > len(lines):
            lines.append(f"  … and {self.total - len(lines):,} more")
        return "\n".join(lines)


@dataclass(frozen=True)
class DataSet:
    """A source, and what makes events, items and users of its rows."""

    source: Source
    events: EventRows
    items: EntityRows | None
    users: EntityRows | None

    def tables(self) -> Iterator[tuple[Kind, Table, EventRows | EntityRows]]:
        """The tables that are there; the interactions are the last."""
        if self.source.items and self.items:
            yield Kind.ITEM, self.source.items, self.items
        if self.source.users and self.users:
            yield Kind.USER, self.source.users, self.users
        yield Kind.EVENT, self.source.interactions, self.events


def open_data_set(
    workspace: Workspace, path: Path, format_name: str | None, now_ms: int
) -> DataSet:
    """The data set in a folder, with its columns typed as the workspace's schema says.

    Raises:
      BadInputError: If there is none, if a header is wrong, or if the workspace's
        configuration or schema cannot be read.
    """
    source = open_source(path, format_name)
    rules = load_config(workspace.config_path).events
    schema = read_schema(workspace.schema_path)
    declared, single = _column_types(schema.context, source.interactions)
    return DataSet(
        source,
        EventRows(source.interactions, declared, single, rules, now_ms),
        _entities(source.items, "item_id", schema.item),
        _entities(source.users, "user_id", schema.user),
    )


def _entities(
    table: Table | None, id_column: str, types: Mapping[str, AttributeType]
) -> EntityRows | None:
    return EntityRows(table, id_column, *_column_types(types, table)) if table else None


def _column_types(
    types: Mapping[str, AttributeType], table: Table
) -> tuple[dict[str, CellType], frozenset[str]]:
    """What columns hold and in which `|` separates nothing, by the schema and the format."""
    declared = {name: _DECLARED[kind] for name, kind in types.items() if kind in _DECLARED}
    single = {name for name, kind in types.items() if kind is AttributeType.CATEGORY}
    return {**declared, **table.declared}, frozenset(single)


def judge(data: DataSet, spool: Spool, bad: BadRows, console: Console) -> dict[Kind, int]:
    """Spools the good rows of all files and notes the bad ones.

    Returns:
      By kind, how many good rows only repeat an earlier one.

    Raises:
      BadInputError: If a file is damaged, or none of its rows is usable.
    """
    for kind, table, rows in data.tables():
        _judge_table(kind, table, rows, (spool, bad, console))
    conflicts, repeated = spool.settle()
    names = {kind: table.path.name for kind, table, _ in data.tables()}
    bad.add(
        [
            _duplicate(names[kind], kind, conflict.line, conflict.key, conflict.first_line)
            for kind, conflict in conflicts
        ]
    )
    return repeated


def _judge_table(
    kind: Kind,
    table: Table,
    rows: EventRows | EntityRows,
    to: tuple[Spool, BadRows, Console],
) -> None:
    spool, bad, console = to
    name = table.path.name
    n_good = 0
    n_bad_before = bad.total
    done = 0.0
    with console.progress(f"Reading {name}", 1.0) as bar:
        for chunk in table.read():
            good, refused = _judge_rows(name, chunk.rows, rows)
            spool.add(kind, good)
            bad.add(sorted([*chunk.bad, *refused], key=lambda row: row.line))
            n_good += len(good)
            bar.advance(chunk.done - done)
            done = chunk.done
    n_bad = bad.total - n_bad_before
    if not n_good and n_bad:
        raise BadInputError(
            f"{name} has {count(n_bad, 'row')} and not a usable one, so nothing was imported:\n"
            f"{bad.text()}",
            "bad_rows",
        )
    if not n_good and kind is Kind.EVENT:
        raise BadInputError(f"{name} is empty: there is not a single row in it", "empty_file")


def _judge_rows(
    name: str, rows: list[Row], to_record: EventRows | EntityRows
) -> tuple[list[tuple[int, Record]], list[BadRow]]:
    good: list[tuple[int, Record]] = []
    bad: list[BadRow] = []
    for row in rows:
        try:
            good.append((row.line, to_record.record(row)))
        except BadInputError as error:
            bad.append(BadRow(name, row.line, error.code, str(error)))
    return good, bad


def compare_with_log(
    log_path: Path, data: DataSet, spool: Spool, bad: BadRows, console: Console
) -> None:
    """Takes out and notes events whose own id is in the log already with other content."""
    if not data.events.has_ids or not log_path.exists():
        return
    name = data.source.interactions.path.name
    clashes: list[str] = []
    total = spool.count(Kind.EVENT)
    with closing(open_log(log_path)) as log, console.progress("Comparing ids", total) as bar:
        for chunk in spool.chunks(Kind.EVENT):
            for line, record in chunk:
                known = log.event(record.key)
                if known and event_meaning(event_of(known)) != record.meaning:
                    clashes.append(record.key)
                    bad.add([_duplicate(name, Kind.EVENT, line, record.key)])
            bar.advance(len(chunk))
    spool.drop(Kind.EVENT, clashes)


def _duplicate(name: str, kind: Kind, line: int, key: str, first: int | None = None) -> BadRow:
    known = f"was used on {row_name(name)} {first:,}" if first else "is in the log"
    reason = f"{_IDS[kind]} {key!r} {known} already, with other content"
    return BadRow(name, line, f"duplicate_{_IDS[kind]}", reason)
