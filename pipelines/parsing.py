"""From the text of a cell to a value of the model: times, numbers, ids and attributes."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from model.errors import BadInputError
from model.interactions import AttributeValue
from pipelines.readers.tables import Cell, CellType

EARLIEST_MS: Final = 631_152_000_000  # 1990-01-01
CLOCK_SKEW_MS: Final = 300_000

_MAX_ID: Final = 256
# Below this a number counts seconds: as milliseconds it would lie before March 1973,
# as seconds it reaches the year 5138.
_SECONDS_BELOW: Final = 1e11
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Leading zeros and very long digits belong to codes, which lose their meaning as numbers.
_NUMBER: Final = re.compile(r"[+-]?(0|[1-9]\d{0,14})(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
_NO_NUMBER: Final = "nan"
_TRUTHS: Final = {"true": True, "false": False}


def shown(text: str) -> str:
    """What came, quoted and cut to a length that fits a message."""
    return repr(text if len(text) <= 60 else text[:60] + "…")


def moment(time_ms: int) -> str:
    """A time for people, in UTC."""
    return f"{_EPOCH + timedelta(milliseconds=time_ms):%Y-%m-%d %H:%M:%S} UTC"


def timestamp_ms(text: str) -> int:
    """A moment in milliseconds since 1970-01-01 UTC.

    Args:
      text: ISO 8601 with a zone, or seconds or milliseconds since 1970.

    Raises:
      BadInputError: For anything else; code `timestamp_naive` for a time without a zone.
    """
    try:
        number = float(text)
    except ValueError:
        return _from_iso(text)
    if not math.isfinite(number) or abs(number) > 1e15:
        raise BadInputError(
            f"timestamp must be a moment, got the number {shown(text)}", "invalid_timestamp"
        )
    return round(number * 1_000) if abs(number) < _SECONDS_BELOW else round(number)


def _from_iso(text: str) -> int:
    if not text:
        raise BadInputError("timestamp is missing", "missing_timestamp")
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError(
            f"timestamp must be ISO 8601 with a time zone, such as 2026-01-31T12:00:00Z, or "
            f"seconds or milliseconds since 1970; got {shown(text)}",
            "invalid_timestamp",
        ) from None
    if when.tzinfo is None:
        raise BadInputError(
            f"timestamp {shown(text)} has no time zone; write it like 2026-01-31T12:00:00Z or "
            f"2026-01-31T12:00:00+02:00",
            "timestamp_naive",
        )
    return (when - _EPOCH) // timedelta(milliseconds=1)


def event_time_ms(text: str, now_ms: int) -> int:
    """The moment of an event, which is neither in the future nor before 1990.

    Raises:
      BadInputError: If it is, or is no moment at all.
    """
    time_ms = timestamp_ms(text)
    if time_ms > now_ms + CLOCK_SKEW_MS:
        raise BadInputError(
            f"timestamp {shown(text)} lies in the future; it is {moment(now_ms)} now",
            "timestamp_in_future",
        )
    if time_ms < EARLIEST_MS:
        raise BadInputError(
            f"timestamp {shown(text)} lies before 1990-01-01; a number counts seconds or "
            f"milliseconds since 1970",
            "timestamp_too_old",
        )
    return time_ms


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


def identifier(name: str, text: str) -> str:
    """An id of 1 to 256 characters without control characters.

    Raises:
      BadInputError: If the text is none.
    """
    if not text:
        raise BadInputError(f"{name} is missing", f"missing_{name}")
    if len(text) > _MAX_ID:
        raise BadInputError(
            f"{name} must have at most {_MAX_ID} characters, got {len(text):,}", f"invalid_{name}"
        )
    if not text.isprintable() and any(unicodedata.category(c) == "Cc" for c in text):
        raise BadInputError(
            f"{name} must have no control characters, got {shown(text)}", f"invalid_{name}"
        )
    return text


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
