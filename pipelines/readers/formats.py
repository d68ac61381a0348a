"""Which format a folder holds, told by the names of its files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from model.errors import BadInputError
from pipelines.readers import folder as slowwave
from pipelines.readers import movielens
from pipelines.readers.tables import Source


def _has_100k(folder: Path) -> bool:
    both = (movielens.GROUPLENS_100K, movielens.RECBOLE_100K)
    return any(movielens.has_ratings(folder, files) for files in both)


def _open_100k(folder: Path) -> Source:
    recbole = movielens.RECBOLE_100K
    files = recbole if movielens.has_ratings(folder, recbole) else movielens.GROUPLENS_100K
    return movielens.source(folder, "movielens-100k", files)


def _has_1m(folder: Path) -> bool:
    return movielens.has_ratings(folder, movielens.GROUPLENS_1M)


def _open_1m(folder: Path) -> Source:
    return movielens.source(folder, "movielens-1m", movielens.GROUPLENS_1M)


_FORMATS: Final[Mapping[str, tuple[Callable[[Path], bool], Callable[[Path], Source], str]]] = (
    MappingProxyType(
        {
            "slowwave": (
                slowwave.has_interactions,
                slowwave.source,
                "interactions.csv, interactions.csv.gz or interactions.parquet",
            ),
            "movielens-100k": (_has_100k, _open_100k, "u.data or ml-100k.inter"),
            "movielens-1m": (_has_1m, _open_1m, "ratings.dat or ratings_sample.dat"),
        }
    )
)

NAMES: Final = tuple(_FORMATS)


def open_source(folder: Path, format_name: str | None) -> Source:
    """The data set in a folder.

    Args:
      folder: Where its files lie.
      format_name: One of `NAMES`; None to tell it by the files.

    Raises:
      BadInputError: If there is no such folder or format, if the files fit no format
        or several, or if a file is damaged.
    """
    if not folder.is_dir():
        came = "is a file" if folder.exists() else "does not exist"
        raise BadInputError(f"expected a folder with a data set; {folder} {came}", "no_folder")
    if format_name is None:
        format_name = detect(folder)
    if format_name not in _FORMATS:
        raise BadInputError(
            f"format must be one of {', '.join(NAMES)}; got {format_name!r}", "unknown_format"
        )
    return _FORMATS[format_name][1](folder)


def detect(folder: Path) -> str:
    """The format whose files are in the folder.

    Raises:
      BadInputError: If there is none, or more than one.
    """
    found = [name for name, (has, _, _) in _FORMATS.items() if has(folder)]
    if len(found) > 1:
        raise BadInputError(
            f"{folder} holds files of {' and '.join(found)}; name one with --format", "ambiguous"
        )
    if not found:
        expected = "; ".join(f"{files} ({name})" for name, (_, _, files) in _FORMATS.items())
        raise BadInputError(f"{folder} holds no known data set; expected {expected}", "no_data")
    return found[0]
