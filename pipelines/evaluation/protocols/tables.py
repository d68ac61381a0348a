"""Reading the files of a data set: fast where they are sound, and by line number where not."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from model.errors import BadInputError
from pipelines.parsing import shown
from pipelines.readers import text
from pipelines.readers.tables import Chunk, Row, check_header, row_name
from pipelines.readers.text import Layout

Range: TypeAlias = tuple[int, int]
"""Whole numbers from the first to the last, both included."""

Cells: TypeAlias = Range | frozenset[str] | None
"""What a column holds: whole numbers in a range, some known words, or any text."""

ID: Final[Range] = (0, 2**31 - 1)
SECONDS: Final[Range] = (631_152_000, 4_102_444_800)
"""1990 to 2100."""
MILLISECONDS: Final[Range] = (SECONDS[0] * 1_000, SECONDS[1] * 1_000)

_WHOLE: Final = re.compile(r"-?\d{1,19}", re.ASCII)


def find(folder: Path, name: str) -> Path | None:
    """A file of a folder, gzipped or not; None where it is missing."""
    both = (folder / name, folder / f"{name}.gz")
    return next((path for path in both if path.is_file()), None)


def expect(folder: Path, name: str) -> Path:
    """A file of a folder, gzipped or not.

    Raises:
      BadInputError: If it is missing.
    """
    path = find(folder, name)
    if path is None:
        raise BadInputError(f"{folder} holds no {name}, gzipped or not", "no_data")
    return path


def read_columns(path: Path, columns: Mapping[str, Cells]) -> dict[str, NDArray[Any]]:
    """Columns of a CSV file with a header; those that are not asked for are passed over.

    Args:
      path: The file, gzipped or not.
      columns: What each of them holds.

    Returns:
      For each name its values: whole numbers, or text.

    Raises:
      BadInputError: If a column is missing, or a row is not what was expected; the text
        says in which line.
    """
    names = check_header(path, text.header(path), tuple(columns))
    types = {n: pa.int64() if isinstance(c, tuple) else pa.string() for n, c in columns.items()}
    options = csv.ConvertOptions(column_types=types, include_columns=list(columns), null_values=[])
    try:
        table = csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, OSError) as error:
        raise _fault(path, names, columns, str(error)) from error
    if not table.num_rows:
        raise BadInputError(f"{path.name} holds no rows", "no_data")
    read = {name: table[name].to_numpy() for name in columns}
    if not all(_all_hold(read[name], cells) for name, cells in columns.items()):
        raise _fault(path, names, columns, "a value is not what was expected")
    return read


def sound_rows(path: Path, chunks: Iterable[Chunk]) -> Iterator[Row]:
    """The rows of a text file, none of which may be bad.

    Raises:
      BadInputError: If one is, or the file holds none; names the file and the line.
    """
    rows = 0
    for chunk in chunks:
        if chunk.bad:
            raise BadInputError(str(chunk.bad[0]), chunk.bad[0].code)
        rows += len(chunk.rows)
        yield from chunk.rows
    if not rows:
        raise BadInputError(f"{path.name} holds no rows", "no_data")


def bad_row(path: Path, row: Row, reason: str) -> BadInputError:
    """What to raise for a row that is not what was expected."""
    return BadInputError(f"{path.name} {row_name(path.name)} {row.line:,}: {reason}")


def _all_hold(values: NDArray[Any], cells: Cells) -> bool:
    if isinstance(cells, tuple):
        return bool(cells[0] <= values.min() and values.max() <= cells[1])
    return cells is None or set(values) <= cells


def _holds(cell: str, cells: Cells) -> bool:
    if isinstance(cells, tuple):
        return bool(_WHOLE.fullmatch(cell)) and cells[0] <= int(cell) <= cells[1]
    return cells is None or cell in cells


def _fault(
    path: Path, names: tuple[str, ...], columns: Mapping[str, Cells], reason: str
) -> BadInputError:
    """What is wrong with a file that the fast reader refused, with the line where it is wrong."""
    layout = Layout(len(names), has_header=True)
    for row in sound_rows(path, text.chunks(path, layout)):
        for name, cells in columns.items():
            cell = str(row.cells[names.index(name)])
            if not _holds(cell, cells):
                return bad_row(path, row, f"{name} must be {_in_words(cells)}, got {shown(cell)}")
    return BadInputError(f"{path.name} cannot be read: {reason}")


def _in_words(cells: Cells) -> str:
    if isinstance(cells, tuple):
        return f"a whole number from {cells[0]} to {cells[1]}"
    return f"one of {', '.join(sorted(cells or ()))}"
