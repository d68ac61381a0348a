"""The lock that a process holds on a file or folder, and that its death frees."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def flocked(path: Path, *, wait: bool) -> Iterator[None]:
    """Holds the exclusive lock of an existing file or folder.

    Raises:
      BlockingIOError: If another holder has it and `wait` is false.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
