"""From the text of a cell to a value of the model: times, numbers, ids and attributes."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from model.acceptance import epoch_ms, iso_ms
from model.errors import BadInputError
from model.interactions import AttributeValue
from pipelines.readers.tables import Cell, CellType

# Leading zeros and very long digits belong to codes, which lose their meaning as numbers.
_NUMBER: Final = re.compile(r"[+-]?(0|[1-9]\d{0,14})(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
_NO_NUMBER: Final = "nan"
_TRUTHS: Final = {"true": True, "false": False}


def shown(text: str) -> str:
    """What came, quoted and cut to a length that fits a message."""
    return repr(text if len(text) <= 60 else text[:60] + "…")


def timestamp_ms(text: str) -> int:
    """A moment in milliseconds since 1970-01-01 UTC.

    Args:
      text: ISO 8601 with a zone, or seconds or milliseconds since 1970.

    Raises:
      BadInputError: For anything else; code `timestamp_naive` for a time without a zone.
    """
    if not text:
        raise BadInputError("timestamp is missing", "missing_timestamp")
    try:
        number = float(text)
    except ValueError:
        number = None
    try:
        return iso_ms(text) if number is None else epoch_ms(number)
    except BadInputError as error:
        raise BadInputError(f"{error}; got {shown(text)}", error.code) from None


def number(name: str, text: str) -> float:
    """A finite number.

    Raises:
      BadInputError: If the text is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # Python reads 1_000 as a thousand, which no file means
    if not math.isfinite(value) or "_" in text:
        raise BadInputError(f"{name} must be a finite number, got {shown(text)}", f"invalid_{name}")
    return value


def truth(name: str, text: str) -> bool:
    """True or false, as a word or as 1 or 0.

    Raises:
      BadInputError: If the text is neither.
    """
    value = (_TRUTHS | {"1": True, "0": False}).get(text.lower())
    if value is None:
        raise BadInputError(f"{name} must be true or false, got {shown(text)}", f"invalid_{name}")
    return value


def canonical(value: AttributeValue) -> str:
    """One text for all forms of a value, so that `3`, `3.0` and the number are alike."""
    if isinstance(value, tuple):
        return "|".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(float(value))
    if _NUMBER.fullmatch(value):
        return repr(float(value))
    return value.lower() if value.lower() in _TRUTHS else value


class AttributeCells:
    """Attribute columns: judges what they hold, then turns their cells into values.

    Every cell has to be seen before the first value is made, because one word makes
    text of a column of numbers. What a column holds is known beforehand where it is
    declared.
    """

    def __init__(
        self,
        columns: Iterable[str],
        declared: Mapping[str, CellType],
        *,
        plain_text: frozenset[str] = frozenset(),
        unlisted: frozenset[str] = frozenset(),
    ) -> None:
        """Starts with no cell seen.

        Args:
          columns: Names of the attribute columns.
          declared: What some of them hold.
          plain_text: Columns that hold no numbers, whatever their digits look like.
          unlisted: Columns in which `|` separates nothing.
        """
        self._declared = {name: declared[name] for name in columns if name in declared}
        undeclared = [name for name in columns if name not in declared]
        self._possible = {name: _possible(name, plain_text, unlisted) for name in undeclared}
        self._listed: set[str] = set()

    def see(self, name: str, cell: Cell) -> None:
        """Takes a cell that is not empty into account.

        Raises:
          BadInputError: If it is not what the column is declared to hold.
        """
        declared = self._declared.get(name)
        if declared is not None:
            if declared is CellType.NUMBER and _joined(cell).lower() != _NO_NUMBER:
                number(name, _joined(cell))
            return
        possible = self._possible[name]
        if isinstance(cell, tuple):
            self._listed.add(name)
            return
        if CellType.LIST in possible and "|" in cell:
            self._listed.add(name)
        if CellType.NUMBER in possible and not _is_number(cell):
            possible.discard(CellType.NUMBER)
        if CellType.TRUTH in possible and cell.lower() not in _TRUTHS:
            possible.discard(CellType.TRUTH)

    def values(self, cells: Mapping[str, Cell]) -> dict[str, AttributeValue]:
        """The values of a row's cells; a number that is not a number is left out."""
        values = {}
        for name, cell in cells.items():
            value = _value(cell, self._type(name))
            if value is not None:
                values[name] = value
        return values

    def _type(self, name: str) -> CellType:
        if name in self._declared:
            return self._declared[name]
        if name in self._listed:
            return CellType.LIST
        for kind in (CellType.NUMBER, CellType.TRUTH):
            if kind in self._possible[name]:
                return kind
        return CellType.TEXT


def _possible(name: str, plain_text: frozenset[str], unlisted: frozenset[str]) -> set[CellType]:
    possible = {CellType.NUMBER, CellType.TRUTH, CellType.LIST}
    if name in plain_text:
        possible -= {CellType.NUMBER, CellType.TRUTH}
    return possible - {CellType.LIST} if name in unlisted else possible


def _is_number(text: str) -> bool:
    if text.lower() == _NO_NUMBER:
        return True
    return bool(_NUMBER.fullmatch(text)) and math.isfinite(float(text))


def _joined(cell: Cell) -> str:
    return cell if isinstance(cell, str) else "|".join(cell)


def _value(cell: Cell, kind: CellType) -> AttributeValue | None:
    if kind is CellType.LIST:
        parts = cell.split("|") if isinstance(cell, str) else cell
        return tuple(stripped for part in parts if (stripped := part.strip())) or None
    text = _joined(cell)
    if kind is CellType.NUMBER:
        value = float(text)
        return None if math.isnan(value) else value
    return _TRUTHS[text.lower()] if kind is CellType.TRUTH else text
