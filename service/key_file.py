"""The workspace's API keys, read again when their file changes."""

import logging
import time
from pathlib import Path
from typing import Final

from model.errors import BadInputError
from model.storage.api_keys import KeyRing, load_keys

logger = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 1.0


class KeyFile:
    """Answers what a key may do; a key that is made or revoked counts within a second.

    Raises:
      BadInputError: If the file is damaged when the service starts. Later the keys known
        until then stay in force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._ring: KeyRing = load_keys(path)
        self._looked_s = time.monotonic()
        if not self._ring.keys:
            logger.warning("no API key exists yet: make one with `slowwave keys create`")

    def scopes(self, presented: str) -> frozenset[str] | None:
        """What the presented key may do; None when it is not known."""
        if time.monotonic() >= self._looked_s + _LOOK_EVERY_S:
            self._look()
        return self._ring.scopes(presented)

    def _look(self) -> None:
        self._looked_s = time.monotonic()
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        # Noted first: a damaged file is reported once, not at every look.
        self._stamp = stamp
        try:
            self._ring = load_keys(self._path)
        except (BadInputError, OSError):
            logger.exception("API keys cannot be read again")
        else:
            logger.info("API keys read again")


def _stamp(path: Path) -> tuple[int, int] | None:
    """Changes whenever the file is replaced; None while there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
