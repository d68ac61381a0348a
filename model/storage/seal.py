"""Manifests: a folder of files, sealed with their digests, and compared with them later."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from model.errors import BadInputError, CorruptBundleError
from model.files import sync_folder, write_atomically

FORMAT: Final = "slowwave-bundle/1"

_MANIFEST: Final = "manifest.json"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def seal(folder: Path, manifest: Mapping[str, Any], prefix: str) -> str:
    """Writes the manifest, with every file's digest, checks it and makes all durable.

    Returns:
      The version's name: the prefix and 8 hex digits of a digest over the files.

    Raises:
      BadInputError: If the manifest is not JSON, or the folder holds no files or
        something that is not a file.
      CorruptBundleError: If the folder does not read back as it was sealed.
    """
    files = _digests(folder)
    version = f"{prefix}-{_fingerprint(files)}"
    sealed = {**manifest, "format": FORMAT, "version": version, "files": files}
    try:
        text = json.dumps(sealed, indent=2, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"a manifest must be plain JSON: {error}") from error
    write_atomically(folder / _MANIFEST, f"{text}\n".encode())
    verify(folder, version)
    _sync_tree(folder)
    return version


def read_manifest(folder: Path, version: str) -> dict[str, Any]:
    """The manifest of a sealed folder.

    Raises:
      CorruptBundleError: If it cannot be read, is of an unknown format, belongs to another
        version or its list of files was changed.
    """
    manifest = _read_json(folder / _MANIFEST)
    found = manifest.get("format")
    if found != FORMAT:
        raise CorruptBundleError(f"{version} is of format {found!r}; expected {FORMAT!r}")
    if manifest.get("version") != version:
        raise CorruptBundleError(
            f"the manifest of {version} belongs to version {manifest.get('version')!r}"
        )
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(_is_entry(*pair) for pair in files.items()):
        raise CorruptBundleError(f"the manifest of {version} holds no valid list of files")
    if _fingerprint(files) != version.rpartition("-")[2]:
        raise CorruptBundleError(f"the list of files in the manifest of {version} was changed")
    return manifest


def verify(folder: Path, version: str) -> None:
    """Compares every file of a sealed folder with the manifest.

    Raises:
      CorruptBundleError: If the manifest is not valid, or a file is missing or differs.
    """
    for name, expected in read_manifest(folder, version)["files"].items():
        try:
            found = _digest(folder / name)
        except OSError as error:
            raise CorruptBundleError(f"{version}: {name} cannot be read: {error}") from error
        if found != expected:
            raise CorruptBundleError(f"{version}: expected {name} with {expected}, found {found}")


def _digests(folder: Path) -> dict[str, dict[str, Any]]:
    """What the manifest states of every file below a folder, by its path in it."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name == _MANIFEST or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink() or not path.is_file():
            raise BadInputError(f"a version holds plain files alone, but {name} is none")
        digests[name] = _digest(path)
    if not digests:
        raise BadInputError(f"a version must hold at least one file, but {folder} is empty")
    return digests


def _digest(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": sha256}


def _fingerprint(digests: Mapping[str, Mapping[str, Any]]) -> str:
    lines = "".join(f"{digests[name]['sha256']} {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()[:8]


def _is_entry(name: str, entry: object) -> bool:
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    return (
        inside
        and isinstance(entry, dict)
        and isinstance(entry.get("bytes"), int)
        and isinstance(entry.get("sha256"), str)
        and _SHA256.fullmatch(entry["sha256"]) is not None
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CorruptBundleError(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict):
        raise CorruptBundleError(f"{path} must hold a JSON object, got {type(manifest).__name__}")
    return manifest


def _sync_tree(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            _sync_file(Path(place, name))
        sync_folder(Path(place))


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
