"""State as named arrays, the form in which a memory is written to a file."""

from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""Arrays by name."""


def under(name: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays of a part, under the name of the part."""
    return {f"{name}.{key}": array for key, array in arrays.items()}


def part(name: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """What `under` put there."""
    start = f"{name}."
    return {key[len(start) :]: array for key, array in arrays.items() if key.startswith(start)}


def from_texts(texts: Iterable[str]) -> Arrays:
    """Texts of any characters."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return {
        "bytes": np.frombuffer(b"".join(encoded), np.uint8),
        "lengths": np.array([len(text) for text in encoded], np.int64),
    }


def to_texts(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """What `from_texts` was given."""
    whole = arrays["bytes"].tobytes()
    ends = accumulate(arrays["lengths"].tolist(), initial=0)
    return [whole[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(ends)]


def from_lists(lists: Iterable[Iterable[float]], dtype: type[np.generic]) -> Arrays:
    """Lists of numbers, of any lengths."""
    whole = [list(each) for each in lists]
    return {
        "values": np.array([value for each in whole for value in each], dtype),
        "lengths": np.array([len(each) for each in whole], np.int64),
    }


def to_lists(arrays: Mapping[str, NDArray[Any]]) -> list[list[Any]]:
    """What `from_lists` was given."""
    values = arrays["values"].tolist()
    ends = accumulate(arrays["lengths"].tolist(), initial=0)
    return [values[start:end] for start, end in pairwise(ends)]
