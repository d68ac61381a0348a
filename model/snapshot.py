"""What a worker remembers, kept in a file so that the next one need not read the whole log.

A snapshot and the rows behind it lead to the same memory as the whole log, to the bit. It
can always be made again, so one that is missing, damaged or of something else is passed
over; and it is dropped when a user is erased, because it may hold something of theirs.
"""

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.fast.arrays import Arrays, from_texts, part, to_texts, under
from model.fast.config import MemoryConfig
from model.files import write_atomically
from model.interactions import EventRules, ItemChange
from model.storage.event_log import EventLog

FORMAT: Final = "slowwave-memory/1"

_DIGEST_BYTES: Final = 32


@dataclass(frozen=True)
class Snapshot:
    """A memory at a log position.

    Attributes:
      items: The catalogue's items in the order of their numbers.
      arrays: The memory's state. They may be the memory's own: to be written at once.
    """

    items: list[ItemChange]
    arrays: Arrays

    @property
    def as_of(self) -> int:
        """The last log position that is reflected."""
        return int(self.arrays["as_of"][0])


def stamp(version: str, rules: EventRules, memory: MemoryConfig, log: EventLog) -> dict[str, Any]:
    """What a snapshot must have been made of to stand for the log's beginning.

    Args:
      version: Of the model.
      rules: What events mean.
      memory: Settings of the memory.
      log: The log; an erased user changes the stamp.
    """
    return {
        "format": FORMAT,
        "code": distribution_version("slowwave"),
        "version": version,
        "settings": repr((rules, memory)),
        "erasures": len(log.erasures()),
    }


def save(path: Path, snapshot: Snapshot, made_of: Mapping[str, Any], log: EventLog) -> None:
    """Writes a snapshot in one step, unless a user was erased since.

    Raises:
      OSError: If the disk is full or the folder may not be written.
    """
    header = {**made_of, "row": _row(log, snapshot.as_of)}
    items = (json.dumps(asdict(item), separators=(",", ":")) for item in snapshot.items)
    arrays = {
        **under("header", from_texts([json.dumps(header)])),
        **under("items", from_texts(items)),
        **under("memory", snapshot.arrays),
    }
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    content = file.getvalue()
    # an archive hides some damage: a wrong byte in its directory can lose it an array
    write_atomically(path, hashlib.sha256(content).digest() + content)
    if len(log.erasures()) != made_of["erasures"]:
        drop(path)


def load(path: Path, made_of: Mapping[str, Any], log: EventLog) -> Snapshot | None:
    """The snapshot of this model and this log, None where there is none.

    One that was made before a user was erased is dropped.
    """
    try:
        sealed = path.read_bytes()
    except OSError:
        return None
    digest, content = sealed[:_DIGEST_BYTES], sealed[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        with contextlib.suppress(OSError):
            drop(path)
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file)
    header = json.loads(to_texts(part("header", arrays))[0])
    row = header.pop("row")
    if header.get("erasures") != made_of["erasures"]:
        with contextlib.suppress(OSError):
            drop(path)
    if header != made_of or row != _row(log, int(row[0])):
        return None
    items = [ItemChange(**_item(json.loads(text))) for text in to_texts(part("items", arrays))]
    return Snapshot(items, part("memory", arrays))


def drop(path: Path) -> None:
    """Removes the snapshot, where there is one."""
    path.unlink(missing_ok=True)


def _row(log: EventLog, seq: int) -> list[Any]:
    """What stands at a log position: another log has something else there."""
    rows = log.tail(seq - 1, through_seq=seq, limit=1)
    return [seq, *(x for row in rows[:1] for x in (row.kind, row.received_ms, row.event_id))]


def _item(stored: dict[str, Any]) -> dict[str, Any]:
    attributes = stored["attributes"]
    if attributes is not None:
        # JSON knows no tuples
        stored["attributes"] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in attributes.items()
        }
    return stored
