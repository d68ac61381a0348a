"""The event log of a workspace that must have one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import BadInputError
from model.storage.event_log import EventLog, open_log


@contextmanager
def opened(path: Path) -> Iterator[EventLog]:
    """The event log, closed at the end; a missing one is bad input, not a new file."""
    if not path.exists():
        raise BadInputError(
            f"expected an event log at {path}, found none; import data first "
            "(slowwave import PATH)",
            "no_data",
        )
    log = open_log(path)
    try:
        yield log
    finally:
        log.close()
