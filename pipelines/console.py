"""What a command says: messages, tables, progress bars and the machine-readable last line."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """A progress bar that shows nothing; `_TerminalBar` is the one people see."""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Moves the bar on by `amount` of its total and shows `note` beside it."""


class _TerminalBar(Bar):
    def __init__(self, progress: "Progress", task: "TaskID") -> None:
        self._progress = progress
        self._task = task

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self._progress.update(self._task, advance=amount, note=note)


@dataclass(frozen=True)
class Console:
    """Where the jobs of the command line report to.

    Messages and tables go to standard output, progress bars to standard error and
    only when that is a terminal, so that a pipe holds nothing but text.

    Attributes:
      as_json: Whether `result` writes its JSON line.
      quiet: Whether messages, tables and bars are kept back, as tests want it.
    """

    as_json: bool = False
    quiet: bool = False

    def message(self, text: str) -> None:
        """Prints a line for people."""
        if not self.quiet:
            click.echo(text)

    def warning(self, text: str) -> None:
        """Prints a line for people on standard error."""
        if not self.quiet:
            click.echo(text, err=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Prints rows under their column names, numbers to the right and text to the left."""
        if self.quiet:
            return
        texts = [[_cell(value) for value in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
        rights = [
            bool(rows) and all(isinstance(row[at], (int, float)) for row in rows)
            for at in range(len(columns))
        ]
        for line in ([*columns], *texts):
            cells = zip(line, widths, rights, strict=True)
            padded = (t.rjust(width) if right else t.ljust(width) for t, width, right in cells)
            click.echo("  ".join(padded).rstrip())

    @contextmanager
    def progress(self, label: str, total: float) -> Iterator[Bar]:
        """A bar of `total` steps for the length of the block."""
        if self.quiet or not sys.stderr.isatty():
            yield Bar()
            return
        with _terminal_progress() as progress:
            task = progress.add_task(label, total=total, note="")
            yield _TerminalBar(progress, task)

    def result(self, values: Mapping[str, Any]) -> None:
        """Prints the machine-readable last line, where it was asked for."""
        if self.as_json:
            click.echo(json.dumps(values, allow_nan=False))


def count(number: int, singular: str) -> str:
    """A number and what it counts: `1 row`, `2,000 rows`."""
    return f"{number:,} {singular}" if number == 1 else f"{number:,} {singular}s"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


def _terminal_progress() -> "Progress":
    # rich costs a tenth of a second, which a command without a bar need not pay
    from rich.console import Console as Terminal
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Terminal(stderr=True),
    )
