"""The protocols by name, and where each finds its data."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from model.errors import BadInputError
from pipelines.evaluation.stream import Stream

DEFAULT_DATA: Final = Path("../shared/data")

PROTOCOLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ml-100k": "MovieLens-100K: ratings of films, 80,000 as history, 46 nights",
        "globo": "Globo.com: clicks on news, twelve days as history, four days replayed",
        "diginetica": "Diginetica: anonymous shop sessions, sixteen weeks one after the other",
        "mind": "MIND sample: which of the news shown together is clicked",
        "taobao": "Taobao: next category and next known item, six days as history, three replayed",
        "world": "a generated world whose truth is known: drift, reversals, new items, exceptions",
    }
)

_FOLDERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "ml-100k": ("ml-100k", ("u.data", "ml-100k.inter")),
        "globo": ("globo-news", ("clicks.csv",)),
        "diginetica": ("diginetica-weeks", ("clicks.csv",)),
        "mind": ("mind-sample", ("impressions.csv",)),
        "taobao": ("taobao-events", ("events.csv",)),
    }
)


def open_streams(
    name: str,
    data: Path | None,
    *,
    quick: bool,
    seed: int,
    fetch: Callable[[], Path] | None = None,
    sample: float = 0.25,
) -> list[Stream]:
    """What a protocol replays; most have one stream, `taobao` has two.

    Args:
      name: One of `PROTOCOLS`.
      data: The folder of the data set, or the folder that holds the folders of all data
        sets; None for `../shared/data`.
      quick: Takes a small slice under the same rules, that replays in seconds.
      seed: Of the generated world; what is asked of real data never depends on it.
      fetch: Gets MovieLens-100K and says where it is; called where `data` is None and
        there is none in `../shared/data`.
      sample: Share of the tested sessions of `diginetica` that are asked.

    Raises:
      BadInputError: If there is no such protocol, or its data are missing or damaged.
    """
    if name not in PROTOCOLS:
        raise BadInputError(f"a protocol must be one of {', '.join(PROTOCOLS)}; got {name!r}")
    if name == "world":
        from pipelines.evaluation.protocols import world

        return [world.stream(quick=quick, seed=seed)]
    folder = _folder(name, data, fetch if name == "ml-100k" else None)
    return _open(name, folder, quick=quick, sample=sample)


def find_data(name: str, data: Path | None, fetch: Callable[[], Path] | None = None) -> Path | None:
    """Where a protocol's data lie, after fetching them if need be; None for a generated world.

    Raises:
      BadInputError: If they are missing.
    """
    return None if name == "world" else _folder(name, data, fetch if name == "ml-100k" else None)


def _open(name: str, folder: Path, *, quick: bool, sample: float) -> list[Stream]:
    # the readers load PyArrow, which a list of names does without
    if name == "ml-100k":
        from pipelines.evaluation.protocols import movielens

        return [movielens.stream(folder, quick=quick)]
    if name == "globo":
        from pipelines.evaluation.protocols import globo

        return [globo.stream(folder, quick=quick)]
    if name == "diginetica":
        from pipelines.evaluation.protocols import diginetica

        return [diginetica.stream(folder, quick=quick, sample=sample)]
    if name == "mind":
        from pipelines.evaluation.protocols import mind

        return [mind.stream(folder, quick=quick)]
    from pipelines.evaluation.protocols import taobao

    return taobao.streams(folder, quick=quick)


def _folder(name: str, data: Path | None, fetch: Callable[[], Path] | None) -> Path:
    """The folder with the protocol's data.

    Raises:
      BadInputError: If there is none; says which files were expected where.
    """
    own, files = _FOLDERS[name]
    parent = data or DEFAULT_DATA
    places = (parent / own, parent) if data else (parent / own,)
    for place in places:
        if any((place / f"{file}{end}").is_file() for file in files for end in ("", ".gz")):
            return place
    if data is None and fetch is not None:
        return fetch()
    raise BadInputError(
        f"{name} needs {' or '.join(files)}, gzipped or not, and {' and '.join(map(str, places))} "
        f"{'has' if len(places) == 1 else 'have'} none; name the folder that holds the files, or "
        f"the folder around {own}, with --data",
        "no_data",
    )
