"""Reading text files row by row in bounded memory: CSV, or fields split by a separator."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from model.errors import BadInputError
from pipelines.readers.tables import CHUNK_ROWS, BadRow, Cell, Chunk, Row, check_growth

# No honest row is longer, and a file of one endless line must not fill the memory.
_MAX_LINE_BYTES: Final = 1 << 20
# A chunk is handed on before it fills the memory, however long its rows are.
_CHUNK_BYTES: Final = 32 << 20
_LINES_BETWEEN_CHECKS: Final = 64
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Layout:
    """How a text file is laid out.

    Attributes:
      width: Fields in each row.
      separator: What stands between fields; None for CSV with quotation marks.
      encoding: The text's encoding.
      has_header: Whether the first row names the columns.
    """

    width: int
    separator: str | None = None
    encoding: str = "utf-8"
    has_header: bool = False


Convert = Callable[[list[str]], list[Cell]]


class _NotTextError(BadInputError):
    """The file as a whole cannot be read, not just one of its rows."""


class _Rows(Protocol):
    def __iter__(self) -> "_Rows": ...

    def __next__(self) -> list[str]: ...


def header(path: Path, separator: str | None = None) -> tuple[str, ...]:
    """The names in the first row of a UTF-8 file.

    Raises:
      BadInputError: If the file is empty, damaged or not UTF-8.
    """
    with _opened(path) as (raw, file):
        lines = _Lines(path, file, "utf-8", raw)
        try:
            first = next(_split(lines, separator), None)
        except csv.Error as error:
            raise BadInputError(f"{path.name}: its header is not CSV: {error}") from error
        if lines.undecodable:
            raise BadInputError(f"{path.name}: its header is {lines.undecodable}", "encoding")
    if not first or not any(first):
        raise BadInputError(f"{path.name} is empty: not even a header is there", "empty_file")
    return tuple(name.strip() for name in first)


def chunks(path: Path, layout: Layout, convert: Convert | None = None) -> Iterator[Chunk]:
    """The rows of a text file, gzipped or not.

    Args:
      path: The file; a name ending in `.gz` says that it is gzipped.
      layout: How it is laid out.
      convert: Makes a row's cells of its fields; may raise BadInputError for a bad row.

    Raises:
      BadInputError: If the file cannot be opened, is cut short or is not text.
    """
    size = max(path.stat().st_size, 1)
    rows: list[Row] = []
    bad: list[BadRow] = []
    with _opened(path) as (raw, file):
        lines = _Lines(path, file, layout.encoding, raw)
        begun = 0
        for row in _rows(path, lines, layout, convert):
            if isinstance(row, BadRow):
                bad.append(row)
            else:
                rows.append(row)
            if len(rows) + len(bad) >= CHUNK_ROWS or lines.n_bytes - begun > _CHUNK_BYTES:
                yield Chunk(rows, bad, min(raw.tell() / size, 1.0))
                rows, bad, begun = [], [], lines.n_bytes
    yield Chunk(rows, bad, 1.0)


def _rows(
    path: Path, lines: "_Lines", layout: Layout, convert: Convert | None
) -> Iterator[Row | BadRow]:
    split = _split(lines, layout.separator)
    if layout.has_header:
        next(split, None)
    while True:
        line = lines.number + 1
        try:
            fields = next(split)
            if fields or lines.undecodable:
                lines.check()
                yield Row(line, _cells(fields, layout.width, convert))
        except StopIteration:
            return
        except _NotTextError:
            raise
        except csv.Error as error:
            yield BadRow(path.name, line, "invalid_csv", _csv_reason(error, line, lines.number))
        except BadInputError as error:
            yield BadRow(path.name, line, error.code, str(error))


def _cells(fields: list[str], width: int, convert: Convert | None) -> list[Cell]:
    if len(fields) != width:
        raise BadInputError(f"expected {width} fields, got {len(fields)}", "wrong_width")
    return convert(fields) if convert else [*fields]


def _csv_reason(error: csv.Error, first: int, last: int) -> str:
    reason = f"not CSV: {error}"
    if "field limit" in str(error):
        reason = f"a field is longer than {csv.field_size_limit():,} characters"
    if "unexpected end" in str(error):
        reason = "a quotation mark is opened and never closed"
    # an open quotation mark makes one field of all that follows
    return f"{reason}; everything up to line {last:,} is lost" if last > first else reason


class _Lines:
    """A file's lines as text.

    A line that cannot be decoded is delivered with replacement characters and noted,
    so that the row it belongs to can be refused by its number.

    Attributes:
      number: Lines read so far.
      n_bytes: Their length.
      undecodable: What was wrong with a line since the last `check`, if anything.
    """

    def __init__(self, path: Path, file: IO[bytes], encoding: str, raw: IO[bytes]) -> None:
        self.number = 0
        self.n_bytes = 0
        self._raw = raw
        self.undecodable: str | None = None
        self._name = path.name
        self._file = file
        self._encoding = encoding

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(_MAX_LINE_BYTES)
        if not line:
            raise StopIteration
        self.number += 1
        self.n_bytes += len(line)
        if self._file is not self._raw and self.number % _LINES_BETWEEN_CHECKS == 0:
            self._check_growth()
        if len(line) == _MAX_LINE_BYTES and not line.endswith(b"\n"):
            raise _NotTextError(
                f"{self._name} line {self.number:,} is longer than {_MAX_LINE_BYTES:,} bytes; "
                f"it is not a text file of rows",
                "endless_line",
            )
        if self.number == 1:
            line = self._without_mark(line)
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError as error:
            byte = line[error.start]
            self.undecodable = f"not {self._encoding.upper()} text (byte 0x{byte:02X})"
            return line.decode(self._encoding, "replace")

    def _check_growth(self) -> None:
        try:
            check_growth(self._name, self._raw.tell(), self.n_bytes)
        except BadInputError as error:
            raise _NotTextError(str(error), error.code) from None

    def check(self) -> None:
        """Refuses the row whose lines were read since the last check, if one was undecodable."""
        if self.undecodable:
            reason, self.undecodable = self.undecodable, None
            raise BadInputError(f"{reason}; save the file as {self._encoding.upper()}", "encoding")

    def _without_mark(self, line: bytes) -> bytes:
        if line.startswith(_UTF16) or b"\0" in line:
            raise _NotTextError(
                f"{self._name} is not {self._encoding.upper()} text (it looks like UTF-16 or a "
                f"binary file); save it as {self._encoding.upper()}",
                "encoding",
            )
        return line.removeprefix(b"\xef\xbb\xbf") if self._encoding == "utf-8" else line


def _split(lines: _Lines, separator: str | None) -> _Rows:
    if separator is None:
        return csv.reader(lines, strict=True)
    return (text.split(separator) if (text := line.rstrip("\r\n")) else [] for line in lines)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The file as it lies on the disk, and its uncompressed content."""
    try:
        with path.open("rb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw) as unzipped:
                    yield raw, unzipped  # type: ignore[misc]
            else:
                yield raw, raw
    except EOFError as error:
        raise BadInputError(
            f"{path.name} is cut short: its compressed data end in the middle. "
            f"Fetch it again; nothing was imported",
            "truncated",
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadInputError(
            f"{path.name} is not a sound gzip file ({error}); nothing was imported", "not_gzip"
        ) from error
    except OSError as error:
        raise BadInputError(
            f"{path.name} cannot be read: {error.strerror}", "unreadable"
        ) from error
