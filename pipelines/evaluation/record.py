"""What a replay leaves behind: one row for every question, enough for every table and plot."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from model.files import write_atomically


@dataclass(frozen=True)
class Asked:
    """What can be said of each ranking question without knowing any arm.

    Two arms on the same stream have equal columns here, so they can be paired.

    Attributes:
      row: [questions] row of the stream.
      actor: [questions] whose.
      block: [questions] day or period.
      timestamp_ms: [questions] when.
      actor_events: [questions] events of the actor before this one.
      actor_bootstrap: [questions] the actor's events in the bootstrap part.
      item_events: [questions] events of the target before this one.
      item_age_s: [questions] seconds since the target's first event; NaN before it.
      item_bootstrap: [questions] the target's successes in the bootstrap part.
      since_turn: [questions] events of the actor since its taste was turned round, as in
        `Stream`.
    """

    row: NDArray[np.int64]
    actor: NDArray[np.int32]
    block: NDArray[np.int32]
    timestamp_ms: NDArray[np.int64]
    actor_events: NDArray[np.int32]
    actor_bootstrap: NDArray[np.int32]
    item_events: NDArray[np.int32]
    item_age_s: NDArray[np.float64]
    item_bootstrap: NDArray[np.int32]
    since_turn: NDArray[np.int32]


@dataclass(frozen=True)
class Judged:
    """Each outcome question and the answer.

    Attributes:
      row: [questions] row of the stream.
      actor: [questions] whose.
      block: [questions] day or period.
      actor_events: [questions] events of the actor before this one.
      item_bootstrap: [questions] the item's successes in the bootstrap part.
      label: [questions] 1 success, 0 failure.
      probability: [questions] what the arm said.
    """

    row: NDArray[np.int64]
    actor: NDArray[np.int32]
    block: NDArray[np.int32]
    actor_events: NDArray[np.int32]
    item_bootstrap: NDArray[np.int32]
    label: NDArray[np.float32]
    probability: NDArray[np.float32]


@dataclass(frozen=True)
class Record:
    """One arm's replay of one stream with one seed.

    Attributes:
      protocol: Name of the stream.
      arm: Name of the arm.
      seed: What decided everything random.
      n_items: Items of the stream.
      asked: The ranking questions.
      metrics: Name to [questions] value; for `hr@10` and the like 0 or 1.
      top: [questions, 10] the arm's best candidates, -1 padded; empty for shown lists.
      judged: The outcome questions, None where the arm says no probability.
      nights: For each night: `row`, `seconds`, and what the arm says of it.
      seconds: Of the whole replay, by step: `start`, `replay`, `nights`.
    """

    protocol: str
    arm: str
    seed: int
    n_items: int
    asked: Asked
    metrics: Mapping[str, NDArray[np.float32]]
    top: NDArray[np.int32]
    judged: Judged | None
    nights: list[dict[str, Any]] = field(default_factory=list)
    seconds: Mapping[str, float] = field(default_factory=dict)


_FORMAT = "slowwave-record/1"
_PLAIN = ("protocol", "arm", "seed", "n_items", "nights", "seconds")


def write_record(record: Record, path: Path) -> None:
    """Writes a record whole or not at all."""
    arrays: dict[str, Any] = {"top": record.top}
    arrays |= {f"metric {name}": values for name, values in record.metrics.items()}
    for part in ("asked", "judged"):
        table = getattr(record, part)
        if table is not None:
            arrays |= {f"{part} {f.name}": getattr(table, f.name) for f in fields(table)}
    plain = {"format": _FORMAT} | {name: getattr(record, name) for name in _PLAIN}
    arrays["plain"] = np.array(json.dumps(plain))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def read_record(path: Path) -> Record:
    """A record that `write_record` wrote.

    Raises:
      BadInputError: If the file is none.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        plain = json.loads(str(arrays["plain"]))
        if plain.pop("format") != _FORMAT:
            raise ValueError("unknown format")  # noqa: TRY301 - one exit for all damage
        judged = _table(arrays, "judged") if "judged row" in arrays else None
        return Record(
            **plain,
            asked=Asked(**_table(arrays, "asked")),
            judged=None if judged is None else Judged(**judged),
            metrics={k.removeprefix("metric "): v for k, v in arrays.items() if k[:7] == "metric "},
            top=arrays["top"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(f"{path} is not the record of a replay: {error}") from error


def _table(arrays: Mapping[str, Any], part: str) -> dict[str, Any]:
    prefix = f"{part} "
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
