"""Files that a reader finds either as they were or as they shall be, never in between."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces the file's content in one step that survives a crash at any moment.

    Folders that are missing are made. A writer that is killed leaves at most a file
    with a leading dot beside the target.

    Raises:
      OSError: If the disk is full or the folder may not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name is the process's own: two writers never share a staged file.
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except OSError:
        # on a full disk of all places nothing may be left lying about
        staged.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable: a rename is not, until its folder is synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
