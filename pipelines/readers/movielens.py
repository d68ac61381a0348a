"""The MovieLens data sets as GroupLens publishes them, and ML-100K as RecBole ships it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model.errors import BadInputError
from pipelines.readers import text
from pipelines.readers.tables import Cell, CellType, Source, Table, check_header
from pipelines.readers.text import Convert, Layout

_LATIN_1: Final = "latin-1"
_RATING_COLUMNS: Final = ("user_id", "item_id", "value", "timestamp", "event_type")
_ITEM_COLUMNS: Final = ("item_id", "title", "year", "genres")
_USER_COLUMNS: Final = ("user_id", "age", "gender", "occupation", "zip_code")

# Zip codes are text even where every one of them is made of digits.
_DECLARED: Final[Mapping[str, CellType]] = {
    "title": CellType.TEXT,
    "year": CellType.NUMBER,
    "genres": CellType.LIST,
    "age": CellType.NUMBER,
    "gender": CellType.TEXT,
    "occupation": CellType.TEXT,
    "zip_code": CellType.TEXT,
}

# The order of the flags in u.item, from u.genre.
_GENRES: Final = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime",
    "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance",
    "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip

# The codes in users.dat of MovieLens-1M, from its README.
_OCCUPATIONS: Final = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student",
    "customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker",
    "K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist",
    "self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer",
)  # fmt: skip

_YEAR: Final = re.compile(r"\((\d{4})\)")


def year_of(title: str) -> str:
    """The year that a title like `Toy Story (1995)` carries, or nothing."""
    years = _YEAR.findall(title)
    return years[-1] if years else ""


def _rating(fields: list[str]) -> list[Cell]:
    return [*fields, "rating"]


def _film_100k(fields: list[str]) -> list[Cell]:
    title = fields[1].strip()
    flags = fields[5:]
    if set(flags) - {"0", "1"}:
        raise BadInputError(f"genre flags must be 0 or 1, got {'|'.join(flags)}", "invalid_genres")
    genres = tuple(genre for genre, flag in zip(_GENRES, flags, strict=True) if flag == "1")
    return [fields[0], title, year_of(title), genres]


def _film_1m(fields: list[str]) -> list[Cell]:
    title = fields[1].strip()
    return [fields[0], title, year_of(title), tuple(fields[2].split("|"))]


def _film_recbole(fields: list[str]) -> list[Cell]:
    # RecBole split "Toy Story (1995)" in two; a film of no known year has a misspelt marker.
    item_id, title, suffix, genres = fields
    whole = "unknown" if suffix == "unkonwn" else f"{title} ({suffix})"
    return [item_id, whole, year_of(whole), tuple(genres.split(" "))]


def _user_1m(fields: list[str]) -> list[Cell]:
    user_id, gender, age, occupation, zip_code = fields
    known = occupation.isdecimal() and int(occupation) < len(_OCCUPATIONS)
    return [user_id, age, gender, _OCCUPATIONS[int(occupation)] if known else occupation, zip_code]


@dataclass(frozen=True)
class _File:
    """One file of a data set.

    Attributes:
      names: The names it goes by; the first one is the published name.
      columns: The columns of its table.
      layout: How it is laid out.
      convert: Makes the cells of the fields.
      titles: The names in the first row, where it has one.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    layout: Layout
    convert: Convert | None = None
    titles: tuple[str, ...] = ()

    def find(self, folder: Path) -> Path | None:
        """Where it lies, gzipped or not; None where it does not."""
        names = (name + ending for name in self.names for ending in ("", ".gz"))
        return next((folder / name for name in names if (folder / name).is_file()), None)

    def table(self, folder: Path) -> Table | None:
        """Its table, or None where it is missing."""
        path = self.find(folder)
        if path is None:
            return None
        if self.titles:
            check_header(path, text.header(path, self.layout.separator), self.titles)
        return Table(
            path, self.columns, lambda: text.chunks(path, self.layout, self.convert), _DECLARED
        )


_Files = tuple[_File, _File, _File]

GROUPLENS_100K: Final[_Files] = (
    _File(("u.data",), _RATING_COLUMNS, Layout(4, "\t", _LATIN_1), _rating),
    _File(("u.item",), _ITEM_COLUMNS, Layout(5 + len(_GENRES), "|", _LATIN_1), _film_100k),
    _File(("u.user",), _USER_COLUMNS, Layout(5, "|", _LATIN_1)),
)

RECBOLE_100K: Final[_Files] = (
    _File(
        ("ml-100k.inter",),
        _RATING_COLUMNS,
        Layout(4, "\t", has_header=True),
        _rating,
        ("user_id:token", "item_id:token", "rating:float", "timestamp:float"),
    ),
    _File(
        ("ml-100k.item",),
        _ITEM_COLUMNS,
        Layout(4, "\t", has_header=True),
        _film_recbole,
        ("item_id:token", "movie_title:token_seq", "release_year:token", "class:token_seq"),
    ),
    _File(
        ("ml-100k.user",),
        _USER_COLUMNS,
        Layout(5, "\t", has_header=True),
        None,
        ("user_id:token", "age:token", "gender:token", "occupation:token", "zip_code:token"),
    ),
)

GROUPLENS_1M: Final[_Files] = (
    _File(
        ("ratings.dat", "ratings_sample.dat"),
        _RATING_COLUMNS,
        Layout(4, "::", _LATIN_1),
        _rating,
    ),
    _File(("movies.dat",), _ITEM_COLUMNS, Layout(3, "::", _LATIN_1), _film_1m),
    _File(("users.dat",), _USER_COLUMNS, Layout(5, "::", _LATIN_1), _user_1m),
)


def has_ratings(folder: Path, files: _Files) -> bool:
    """Whether the folder holds the ratings file."""
    return files[0].find(folder) is not None


def source(folder: Path, format_name: str, files: _Files) -> Source:
    """The data set in a folder; films and users may be missing.

    Raises:
      BadInputError: If there is no ratings file, or a header is not the expected one.
    """
    interactions, items, users = (file.table(folder) for file in files)
    if interactions is None:
        raise BadInputError(f"{folder} holds no {files[0].names[0]}, gzipped or not", "no_data")
    return Source(format_name, interactions, items, users)
