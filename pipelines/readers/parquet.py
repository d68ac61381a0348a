"""Reading Parquet files in chunks, every value as the text a CSV file would hold."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.errors import BadInputError
from pipelines.readers.parquet_types import EXACT
from pipelines.readers.tables import CHUNK_ROWS, Cell, CellType, Chunk, Row, check_growth

# Whole numbers beyond this are not exact as floats, so their digits say nothing.
_EXACT: Final = 2.0**53
# As in a text file: no honest row is longer.
_MOST_TEXT_BYTES: Final = 1 << 20


class Columns(NamedTuple):
    """What the columns of a file are.

    Attributes:
      names: All of them.
      texts: Those that hold text.
      declared: What columns hold, where the file's types are meant as they are.
    """

    names: tuple[str, ...]
    texts: frozenset[str]
    declared: dict[str, CellType]


def columns(path: Path) -> Columns:
    """The columns of a file.

    Raises:
      BadInputError: If the file is damaged, or a column's type has no text form.
    """
    with _sound(path), pq.ParquetFile(path) as file:
        _check_size(path, file.metadata)
        schema = file.schema_arrow
        for column in schema:
            _converter(path, column)
        texts = frozenset(column.name for column in schema if _is_text(column.type))
        exact = EXACT in (schema.metadata or {})
        declared = {each.name: _cell_type(each.type) for each in schema} if exact else {}
        return Columns(tuple(schema.names), texts, declared)


def _cell_type(kind: pa.DataType) -> CellType:
    if pa.types.is_boolean(kind):
        return CellType.TRUTH
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return CellType.NUMBER
    return CellType.LIST if pa.types.is_list(kind) else CellType.TEXT


def _check_size(path: Path, metadata: Any) -> None:
    """Refuses a file that says of itself that it is a bomb.

    Raises:
      BadInputError: If it does.
    """
    # by groups: pyarrow ends the process where what is said of a group's columns is damaged
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    size = path.stat().st_size
    check_growth(path.name, size, sum(group.total_byte_size for group in groups))
    # runs of equal values take next to nothing, but a row that says anything takes some bits
    check_growth(path.name, size, metadata.num_rows)


def chunks(path: Path) -> Iterator[Chunk]:
    """The rows of a Parquet file.

    Raises:
      BadInputError: If the file is damaged.
    """
    texts = columns(path).texts
    # one long text, named by many rows, must not become many
    with _sound(path), pq.ParquetFile(path, read_dictionary=sorted(texts)) as file:
        converters = [_converter(path, column) for column in file.schema_arrow]
        n_rows = max(file.metadata.num_rows, 1)
        first = 1
        for batch in file.iter_batches(batch_size=CHUNK_ROWS):
            values = [
                [convert(value) for value in _values(path, column)]
                for column, convert in zip(batch.columns, converters, strict=True)
            ]
            rows = [
                Row(first + at, list(cells)) for at, cells in enumerate(zip(*values, strict=True))
            ]
            first += batch.num_rows
            yield Chunk(rows, [], (first - 1) / n_rows)


def _values(path: Path, column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
        if longest > _MOST_TEXT_BYTES:
            raise BadInputError(
                f"{path.name} holds a text of {longest:,} bytes; {_MOST_TEXT_BYTES:,} are the most",
                "endless_text",
            )
    if pa.types.is_timestamp(column.type):
        # nanoseconds have no datetime; milliseconds are what the log keeps
        column = column.cast(pa.timestamp("ms", column.type.tz), safe=False)
    return column.to_pylist()  # type: ignore[no-any-return]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _converter(path: Path, column: pa.Field) -> Callable[[Any], Cell]:
    """Makes text of the values of a column.

    Raises:
      BadInputError: If the column's type has no text form.
    """
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = _text_of(path, column.name, kind.value_type)
        return lambda value: tuple(inner(part) for part in value or () if part is not None)
    convert = _text_of(path, column.name, kind)
    return lambda value: "" if value is None else convert(value)


def _text_of(path: Path, name: str, kind: pa.DataType) -> Callable[[Any], str]:
    types = pa.types
    if types.is_floating(kind):
        return _float_text
    if types.is_timestamp(kind) or types.is_date(kind):
        return lambda value: str(value.isoformat())
    if types.is_boolean(kind):
        return lambda value: str(value).lower()
    if _is_text(kind) or types.is_integer(kind) or types.is_decimal(kind) or types.is_null(kind):
        return str
    raise BadInputError(
        f"{path.name}: column {name} is of type {kind}; expected text, a number, a truth value, "
        f"a time or a list of texts",
        "invalid_column",
    )


def _float_text(value: float) -> str:
    # Identifiers become floats where a table has gaps: 123.0 is the id 123.
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{path.name} holds text that is not UTF-8; nothing was imported", "encoding"
        ) from error
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise BadInputError(
            f"{path.name} is not a sound Parquet file ({reason}); nothing was imported",
            "not_parquet",
        ) from error
