"""A published slow model: plain arrays and one JSON file in a folder, memory-mapped."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.errors import CorruptBundleError
from model.slow.features import FeatureSpace
from model.slow.nearby import PLACES, Nearby
from model.slow.parameters import Parameters, item_vectors

FORMAT: Final = "slowwave-bundle/1"
_DESCRIPTION: Final = "bundle.json"

DERIVED: Final = ("item_vectors", "nearby_lifts")
"""Arrays that follow from the others."""


@dataclass(frozen=True)
class Calibration:
    """Platt's map from outcome log-odds to calibrated log-odds: scale · z + offset."""

    scale: float
    offset: float


@dataclass(frozen=True)
class Bundle:
    """The slow model as it is stored and served.

    Attributes:
      space: What its numbers mean.
      parameters: Its arrays, `item_vectors` among them.
      calibration: Of the outcome head; None where the data hold one outcome only,
        so that no probability can be learned.
    """

    space: FeatureSpace
    parameters: Mapping[str, NDArray[Any]]
    calibration: Calibration | None


def make_bundle(
    space: FeatureSpace, parameters: Parameters, calibration: Calibration | None
) -> Bundle:
    """A bundle with its derived arrays worked out."""
    arrays = dict(parameters)
    arrays["item_vectors"] = item_vectors(parameters)
    arrays["nearby_lifts"] = Nearby.of(parameters).lifts(parameters["item_share"])
    return Bundle(space, arrays, calibration)


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Writes the bundle's files into an empty staging folder.

    Making them durable and visible at once is the registry's work.
    """
    for name, array in bundle.parameters.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    calibration = bundle.calibration
    description = {
        "format": FORMAT,
        "arrays": sorted(bundle.parameters),
        "calibration": calibration and {"scale": calibration.scale, "offset": calibration.offset},
        "features": bundle.space.as_json(),
    }
    text = json.dumps(description, ensure_ascii=False, allow_nan=False)
    (folder / _DESCRIPTION).write_text(text, encoding="utf-8")


def load_bundle(folder: Path) -> Bundle:
    """The bundle in a folder, its arrays memory-mapped and read-only.

    Raises:
      CorruptBundleError: If a file is missing, malformed, of another format, or
        the shapes do not fit together.
    """
    try:
        description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorruptBundleError(
            f"{folder.name}: {_DESCRIPTION} cannot be read: {error}"
        ) from error
    if (found := description.get("format")) != FORMAT:
        raise CorruptBundleError(f"{folder.name}: expected format {FORMAT!r}, got {found!r}")
    try:
        # a plain view of the map: the memmap class costs time at every operation
        parameters = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(
                np.ndarray
            )
            for name in description["arrays"]
        }
        space = FeatureSpace.from_json(description["features"])
        stored = description["calibration"]
        calibration = stored and Calibration(float(stored["scale"]), float(stored["offset"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CorruptBundleError(
            f"{folder.name}: the bundle cannot be read: {type(error).__name__}: {error}"
        ) from error
    _check_shapes(folder.name, space, parameters)
    return Bundle(space, parameters, calibration)


def _check_shapes(name: str, space: FeatureSpace, parameters: Mapping[str, NDArray[Any]]) -> None:
    try:
        trunk = len(parameters["hidden_bias"]) + 3 * parameters["item_embedding"].shape[1]
        lengths = {
            "item_vectors": space.items.size,
            "item_embedding": space.items.size,
            "item_bias": space.items.size,
            "item_share": space.items.size,
            "outcome_item_bias": space.items.size,
            "user_embedding": space.users.size,
            "query_attribute_embedding": space.query_attributes.size,
            "liked_decay": space.history,
            "repeat_weights": 2 * space.wide_history + 1,
            "query_kernel": trunk,
            "outcome_kernel": trunk,
            "query_scale": 1,
            "trust": 1,
            "nearby_weights": PLACES,
            "return_weights": PLACES,
            "nearby_indptr": space.items.size + 1,
            "nearby_totals": space.items.size,
            "nearby_items": int(parameters["nearby_indptr"][-1]),
            "nearby_counts": int(parameters["nearby_indptr"][-1]),
            "nearby_lifts": int(parameters["nearby_indptr"][-1]),
            "wide_indptr": space.n_rows + 1,
            "wide_items": int(parameters["wide_indptr"][-1]),
            "wide_weights": int(parameters["wide_indptr"][-1]),
        }
        for array, expected in lengths.items():
            if (got := len(parameters[array])) != expected:
                raise CorruptBundleError(
                    f"{name}: {array} must have {expected} rows by the feature space, got {got}"
                )
    except KeyError as error:
        raise CorruptBundleError(f"{name}: the array {error.args[0]} is missing") from error
