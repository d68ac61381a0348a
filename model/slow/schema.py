"""Which attributes the slow model learns from, and as what: `schema.toml`."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from model.errors import BadInputError
from model.files import write_atomically
from model.interactions import Attributes, AttributeValue

# Beyond this many different values a column counts as free text; it also bounds memory.
_MAX_CATEGORIES: Final = 50_000
# Numbers with at most this many different values are names in disguise, like codes of age groups.
_FEW_NUMBERS: Final = 20
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")

_HEADER: Final = """\
# What the model learns from. Edit it and train again; Slowwave never overwrites it.
#
#   "category"    one of several names, such as a brand or an occupation
#   "categories"  several names at once, such as genres
#   "number"      a quantity, such as a year or a price; cut into ranges at training
#   "text"        shown to people and not learned from, such as a title
#
# An attribute that is not listed is stored, can be filtered by, and is not learned from.
"""

_TABLE_COMMENTS: Final = {
    "item": "Attributes of items.",
    "user": "Attributes of users.",
    "context": "Attributes of the moment: the properties of an event, the context of a request.",
}


class AttributeType(StrEnum):
    """How an attribute enters the model."""

    CATEGORY = "category"
    CATEGORIES = "categories"
    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True)
class Schema:
    """The type of every known attribute, by name.

    Attributes:
      item: Attributes of items.
      user: Attributes of users.
      context: Attributes of the moment.
    """

    item: Mapping[str, AttributeType] = field(default_factory=dict)
    user: Mapping[str, AttributeType] = field(default_factory=dict)
    context: Mapping[str, AttributeType] = field(default_factory=dict)


def infer_schema(
    items: Iterable[Attributes], users: Iterable[Attributes], contexts: Iterable[Attributes]
) -> Schema:
    """The types that the values themselves suggest.

    Several values at once are `CATEGORIES`. Strings that hardly repeat, such as titles
    and zip codes, are `TEXT`, other strings and truths `CATEGORY`. Numbers are
    `NUMBER`, unless they take few values and repeat them: then they are `CATEGORY`.
    """
    return Schema(_infer_types(items), _infer_types(users), _infer_types(contexts))


@dataclass
class _Seen:
    """What one attribute's values have in common.

    Attributes:
      n_values: How many values there were.
      different: The different values, of which at most `_MAX_CATEGORIES` + 1 are kept.
      several: Whether one of them holds several categories.
      numeric: Whether all are numbers.
      truths: Whether one of them is true or false.
    """

    n_values: int = 0
    different: set[AttributeValue] = field(default_factory=set)
    several: bool = False
    numeric: bool = True
    truths: bool = False

    def add(self, value: AttributeValue) -> None:
        self.n_values += 1
        self.several |= isinstance(value, tuple)
        self.truths |= isinstance(value, bool)
        self.numeric &= isinstance(value, (int, float)) and not isinstance(value, bool)
        if len(self.different) <= _MAX_CATEGORIES:
            self.different.add(value)

    def type(self) -> AttributeType:
        if self.several:
            return AttributeType.CATEGORIES
        # Fewer than two values of a kind cannot tell what the kind is worth.
        repeats = 2 * len(self.different) <= self.n_values
        if self.numeric:
            few = repeats and len(self.different) <= _FEW_NUMBERS
            return AttributeType.CATEGORY if few else AttributeType.NUMBER
        if self.truths or (repeats and len(self.different) <= _MAX_CATEGORIES):
            return AttributeType.CATEGORY
        return AttributeType.TEXT


def _infer_types(rows: Iterable[Attributes]) -> dict[str, AttributeType]:
    seen: dict[str, _Seen] = {}
    for row in rows:
        for name, value in row.items():
            seen.setdefault(name, _Seen()).add(value)
    return {name: column.type() for name, column in seen.items()}


def read_schema(path: Path) -> Schema:
    """The schema in a TOML file; a missing file is an empty schema.

    Raises:
      BadInputError: If the file is not TOML, or names an unknown table or type.
    """
    if not path.exists():
        return Schema()
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path.name} is not valid TOML: {error}") from error
    known = [part.name for part in fields(Schema)]
    if extra := sorted(set(tables) - set(known)):
        raise BadInputError(
            f"{path.name}: expected the tables {', '.join(known)}; got {', '.join(extra)}"
        )
    return Schema(**{name: _read_types(path, name, table) for name, table in tables.items()})


def _read_types(path: Path, name: str, table: Any) -> dict[str, AttributeType]:
    if not isinstance(table, dict):
        raise BadInputError(f"{path.name}: {name} must be a table, got {table!r}")
    known = [kind.value for kind in AttributeType]
    for attribute, kind in table.items():
        if kind not in known:
            raise BadInputError(
                f"{path.name}: [{name}] {attribute} must be one of {', '.join(known)}; got {kind!r}"
            )
    return {attribute: AttributeType(kind) for attribute, kind in table.items()}


def write_schema(schema: Schema, path: Path) -> None:
    """Writes the schema as TOML that explains itself, in one atomic step."""
    write_atomically(path, _schema_text(schema).encode())


def _schema_text(schema: Schema) -> str:
    parts = [_HEADER]
    for part in fields(Schema):
        types: Mapping[str, AttributeType] = getattr(schema, part.name)
        parts.append(f"\n# {_TABLE_COMMENTS[part.name]}\n[{part.name}]\n")
        parts.extend(f'{_key(name)} = "{kind.value}"\n' for name, kind in types.items())
    return "".join(parts)


def _key(name: str) -> str:
    # JSON's escapes are TOML's too, except for the one character that JSON leaves alone
    return (
        name
        if _BARE_KEY.fullmatch(name)
        else json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")
    )
