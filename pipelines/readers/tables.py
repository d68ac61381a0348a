"""What every reader delivers: tables of text cells, in chunks, with line numbers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from model.errors import BadInputError

CHUNK_ROWS: Final = 5_000
# Data are not a thousandth of their size when they are compressed; a bomb is.
MOST_GROWTH: Final = 200
GROWTH_CHECKED_FROM_BYTES: Final = 64 << 20

Cell: TypeAlias = str | tuple[str, ...]
"""One value as text, empty where there is none; a tuple holds several values."""


class CellType(Enum):
    """What the text of an attribute column stands for."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "truth"
    LIST = "list"


def check_growth(name: str, packed_bytes: int, unpacked_bytes: int) -> None:
    """Refuses a file that unpacks to many times its size.

    Raises:
      BadInputError: If it does.
    """
    is_large = unpacked_bytes > GROWTH_CHECKED_FROM_BYTES
    if is_large and unpacked_bytes > MOST_GROWTH * max(packed_bytes, 1):
        raise BadInputError(
            f"{name} unpacks to more than {MOST_GROWTH} times its size, as no data do; nothing "
            "was imported",
            "bomb",
        )


def row_name(file: str) -> str:
    """What the rows of a file are counted by: a Parquet file has no lines."""
    return "row" if file.endswith(".parquet") else "line"


class Row(NamedTuple):
    """One row of a file.

    Attributes:
      line: Line in the file, counted from 1; the row number in a Parquet file.
      cells: One cell for each column of the table.
    """

    line: int
    cells: list[Cell]


class BadRow(NamedTuple):
    """A row that was left out, and why.

    Attributes:
      file: Name of the file.
      line: Line in the file, counted from 1; the row number in a Parquet file.
      code: Machine-readable reason.
      reason: The same for people.
    """

    file: str
    line: int
    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file} {row_name(self.file)} {self.line:,}: {self.reason}"


class Chunk(NamedTuple):
    """Up to `CHUNK_ROWS` rows.

    Attributes:
      rows: Rows with as many cells as the table has columns.
      bad: Rows that could not be taken apart.
      done: Share of the file that has been read, in [0, 1].
    """

    rows: list[Row]
    bad: list[BadRow]
    done: float


@dataclass(frozen=True)
class Table:
    """One file of a data set, whatever its format.

    Attributes:
      path: The file.
      columns: Names of its columns.
      read: Reads it from the start; raises BadInputError where it is damaged.
      declared: What some columns are known to hold; the others are judged by their values.
      plain_text: Columns whose digits are not numbers, because the file types them as text.
    """

    path: Path
    columns: tuple[str, ...]
    read: Callable[[], Iterator[Chunk]]
    declared: Mapping[str, CellType] = field(default_factory=dict)
    plain_text: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
      format: Name of its format.
      interactions: Who did what to which item when.
      items: Attributes of items.
      users: Attributes of users.
    """

    format: str
    interactions: Table
    items: Table | None = None
    users: Table | None = None


def check_header(
    path: Path, columns: tuple[str, ...], required: tuple[str, ...]
) -> tuple[str, ...]:
    """The columns, when they are named once each and none that is required is missing.

    Raises:
      BadInputError: Otherwise.
    """
    if missing := [name for name in required if name not in columns]:
        hint = _separator_hint(columns)
        raise BadInputError(
            f"{path.name} lacks {', '.join(missing)}; its columns are "
            f"{', '.join(map(repr, columns)) or 'none'}{hint}",
            "missing_column",
        )
    for name in columns:
        if not name or len(name) > 64 or not name.isprintable():
            raise BadInputError(
                f"{path.name}: a column name must have 1 to 64 printable characters, got "
                f"{name[:60]!r}",
                "invalid_column",
            )
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise BadInputError(
            f"{path.name} names the column {', '.join(twice)} more than once", "invalid_column"
        )
    return columns


def _separator_hint(columns: tuple[str, ...]) -> str:
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        if len(columns) == 1 and separator in columns[0]:
            return f" (it seems to separate its columns by {name}; they must be commas)"
    return ""
