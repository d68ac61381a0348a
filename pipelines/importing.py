"""Loading a data set into the event log and the catalogue, all of it or a part again.

A file is read and judged to its end before the first row is written, so a damaged file
changes nothing. What is written is idempotent row by row, so an import that was killed
is completed by running it again.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.acceptance import moment
from model.errors import BadInputError
from model.interactions import Attributes, Entry, Kind
from model.slow.schema import Schema, infer_schema, read_schema, write_schema
from model.storage.event_log import EventLog, open_log
from model.workspace import Workspace
from pipelines.console import Console, count
from pipelines.judging import BadRows, DataSet, compare_with_log, judge, open_data_set
from pipelines.readers.tables import BadRow
from pipelines.records import Record
from pipelines.spool import Spool, opened_spool


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
      format: The format of the data set.
      events: Events that were written.
      duplicates: Rows whose event was in the log already, or earlier in the file.
      items: Items that were written, being new or changed.
      users: Users that were written, being new or changed.
      unchanged: Rows of items and users that changed nothing.
      bad_rows: The first 100 of the rows that were left out.
      n_bad_rows: How many were left out.
      first_ms: The earliest event of the data set.
      last_ms: The latest event of the data set.
      seconds: How long it took.
    """

    format: str
    events: int
    duplicates: int
    items: int
    users: int
    unchanged: int
    bad_rows: tuple[BadRow, ...]
    n_bad_rows: int
    first_ms: int
    last_ms: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = [row._asdict() for row in self.bad_rows]
        return {**dataclasses.asdict(self), "bad_rows": rows}


def import_path(
    workspace: Workspace,
    path: Path,
    *,
    format: str | None,  # noqa: A002 (the name of the option)
    strict: bool,
    now_ms: int,
    console: Console,
) -> ImportReport:
    """Loads the data set in a folder into the workspace and tells what was done.

    Rows that are bad are left out and reported. Events are written in the order of time.
    The schema is inferred and written where the workspace has none.

    Args:
      workspace: Where to load it.
      path: The folder.
      format: Name of its format; None to tell it by the files.
      strict: Whether one bad row refuses the data set.
      now_ms: The present.
      console: Where progress is shown.

    Raises:
      BadInputError: If the data set is damaged or has no usable row, or `strict` finds a
        bad row. Nothing was written then.
      LogUnavailableError: If the log cannot be written, or the disk is full.
    """
    started = time.perf_counter()
    data = open_data_set(workspace, path, format, now_ms)
    bad = BadRows()
    with opened_spool() as spool:
        repeated = judge(data, spool, bad, console)
        compare_with_log(workspace.log_path, data, spool, bad, console)
        _refuse(spool, bad, strict=strict)
        written, known = _write(workspace, data, spool, now_ms, console)
        first_ms, last_ms = spool.span(Kind.EVENT)
    entities = (Kind.ITEM, Kind.USER)
    report = ImportReport(
        format=data.source.format,
        events=written[Kind.EVENT],
        duplicates=known[Kind.EVENT] + repeated.get(Kind.EVENT, 0),
        items=written[Kind.ITEM],
        users=written[Kind.USER],
        unchanged=sum(known[kind] + repeated.get(kind, 0) for kind in entities),
        bad_rows=tuple(bad.listed),
        n_bad_rows=bad.total,
        first_ms=first_ms,
        last_ms=last_ms,
        seconds=round(time.perf_counter() - started, 3),
    )
    _tell(report, bad, path, console)
    return report


def _refuse(spool: Spool, bad: BadRows, *, strict: bool) -> None:
    if strict and bad.total:
        why = "and --strict"
    elif not spool.count(Kind.EVENT):
        why = "and no event left"
    else:
        return
    rows = count(bad.total, "bad row")
    raise BadInputError(f"{rows} {why}, so nothing was imported:\n{bad.text()}", "bad_rows")


def _write(
    workspace: Workspace, data: DataSet, spool: Spool, now_ms: int, console: Console
) -> tuple[dict[Kind, int], dict[Kind, int]]:
    """Appends what is spooled; returns by kind how much was written and how much was known."""
    workspace.home.mkdir(parents=True, exist_ok=True)
    written = dict.fromkeys(Kind, 0)
    known = dict.fromkeys(Kind, 0)
    with closing(open_log(workspace.log_path)) as log:
        entry_of = _entry_makers(data, log)
        with console.progress("Writing", sum(map(spool.count, Kind))) as bar:
            # items come first: an event would create its item with no attributes
            for kind in (Kind.ITEM, Kind.USER, Kind.EVENT):
                for chunk in spool.chunks(kind):
                    appended = log.append([entry_of[kind](r) for _, r in chunk], now_ms)
                    written[kind] += len(chunk) - len(appended.duplicates)
                    known[kind] += len(appended.duplicates)
                    bar.advance(len(chunk))
        _settle_schema(workspace.schema_path, data, spool, log, console)
    return written, known


def _entry_makers(data: DataSet, log: EventLog) -> dict[Kind, Callable[[Record], Entry]]:
    makers: dict[Kind, Callable[[Record], Entry]] = {Kind.EVENT: data.events.event}
    if items := data.items:
        present = {item.item_id: item for item in log.catalogue().items}
        makers[Kind.ITEM] = lambda record: items.item(record, present.get(record.key))
    if users := data.users:
        makers[Kind.USER] = users.user
    return makers


def _settle_schema(
    path: Path, data: DataSet, spool: Spool, log: EventLog, console: Console
) -> None:
    """Writes the schema where there is none; tells what a present one does not mention."""
    if path.exists():
        for line in _unmentioned(read_schema(path), data):
            console.message(f"{path.name} does not mention {line}")
        return
    items = (item.attributes or {} for item in log.catalogue().items)
    users = (user.attributes or {} for user in log.users())
    write_schema(infer_schema(items, users, _contexts(data, spool)), path)
    console.message(f"What the model will learn from is in {path}; edit it as you like.")


def _contexts(data: DataSet, spool: Spool) -> Iterator[Attributes]:
    if data.events.attributes:
        for chunk in spool.chunks(Kind.EVENT):
            yield from (data.events.event(record).properties for _, record in chunk)


def _unmentioned(schema: Schema, data: DataSet) -> Iterator[str]:
    parts = (
        ("item", schema.item, data.items),
        ("user", schema.user, data.users),
        ("context", schema.context, data.events),
    )
    for name, types, rows in parts:
        if missing := [a for a in (rows.attributes if rows else ()) if a not in types]:
            example = f'{missing[0]} = "category"'
            yield (
                f"the {name} attributes {', '.join(missing)}: they are stored and not learned "
                f"from; a line such as {example} under [{name}] changes that"
            )


def _tell(report: ImportReport, bad: BadRows, path: Path, console: Console) -> None:
    console.message(
        f"Imported {path} ({report.format}) in {report.seconds:.1f} s: wrote "
        f"{count(report.events, 'event')}, {count(report.items, 'item')} and "
        f"{count(report.users, 'user')}; {count(report.duplicates, 'event')} and "
        f"{report.unchanged:,} of the items and users were known already."
    )
    console.message(f"Events from {moment(report.first_ms)} to {moment(report.last_ms)}.")
    if bad.total:
        console.warning(f"{count(bad.total, 'bad row')} left out:\n{bad.text()}")
