"""The registry of model versions: sealed folders, and one pointer to the served one.

    models/
      CURRENT                the served version's name
      SERVED                 names of the versions that served before it, a line each
      v0001-0a1b2c3d/        a version: its files and manifest.json
      refused/r0001-…/       candidates that the gates turned down
      .staging/              where versions are made; cleaned after dead processes

A version appears by one rename of a folder that is complete, verified and on the disk;
`CURRENT` changes after that, by another. So it names a complete version at any moment.
Whoever is killed between the two leaves a version that was never served: it is not among
`SERVED`, and no roll-back chooses it by itself.
"""

import itertools
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from model.errors import BadInputError, BusyError, CorruptBundleError, NoModelError, NotFoundError
from model.files import sync_folder, write_atomically
from model.storage.locks import flocked
from model.storage.seal import read_manifest, seal, verify

JSON: TypeAlias = Any
"""A value that JSON can hold."""

_VERSION: Final = re.compile(r"v(\d{4,})-[0-9a-f]{8}")
_REFUSED: Final = re.compile(r"r(\d{4,})-[0-9a-f]{8}")


class Registry:
    """Model versions under one folder, shared by any number of processes.

    Folders are made when something is first written. Errors of the file system, such as
    a full disk, are raised as they are and leave what was published untouched.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._staging = root / ".staging"
        self._current = root / "CURRENT"
        self._served = root / "SERVED"

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """An empty folder to make a version in; removed at the end unless it was published.

        What processes that died left behind is removed first.
        """
        with ExitStack() as held:
            with self._writing():
                self._remove_abandoned()
                scratch = held.enter_context(self._scratch())
            # The inner folder leaves at publishing; the outer one keeps the name and the lock.
            folder = scratch / "bundle"
            folder.mkdir()
            yield folder

    def publish(self, staged: Path, manifest: Mapping[str, JSON], *, created_ms: int) -> str:
        """Seals a staged folder, makes it a version and points `CURRENT` at it.

        Args:
          staged: A folder from `stage`, with all files of the version.
          manifest: What is to be known of the version. The registry itself sets `format`,
            `version`, `created_ms` and `files`.
          created_ms: The moment that the manifest states.

        Returns:
          The version's name.

        Raises:
          BadInputError: If the folder is not a staged one or holds no files, or the
            manifest is not JSON.
          CorruptBundleError: If the files do not read back as they were sealed.
        """
        with self._writing():
            version = self._settle(staged, manifest, created_ms, self._root, _VERSION)
            self._serve(version)
        return version

    def keep_refused(self, staged: Path, manifest: Mapping[str, JSON], *, created_ms: int) -> str:
        """Seals a staged folder and keeps it under `refused/`; what is served stays.

        Takes, returns and raises what `publish` does.
        """
        with self._writing():
            refused = self._root / "refused"
            refused.mkdir(exist_ok=True)
            return self._settle(staged, manifest, created_ms, refused, _REFUSED)

    def current(self) -> str | None:
        """The served version, or None before the first.

        Raises:
          CorruptBundleError: If `CURRENT` names no published version.
        """
        try:
            version = self._current.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise CorruptBundleError(f"{self._current} is not text: {error}") from error
        if not self._is_published(version):
            raise CorruptBundleError(f"{self._current} names {version!r}, which is not published")
        return version

    def versions(self) -> list[str]:
        """Published versions, oldest first."""
        return _numbered(self._root, _VERSION)

    def refused(self) -> list[str]:
        """Refused candidates, oldest first."""
        return _numbered(self._root / "refused", _REFUSED)

    def manifest(self, version: str) -> dict[str, JSON]:
        """The manifest of a published version or of a refused candidate.

        Raises:
          NotFoundError: If there is no such version.
          CorruptBundleError: If the manifest cannot be read, is of a format this code
            does not know or belongs to another version.
        """
        if _REFUSED.fullmatch(version) and (folder := self._root / "refused" / version).is_dir():
            return read_manifest(folder, version)
        return read_manifest(self._folder(version), version)

    def open(self, version: str) -> Path:
        """A published version's folder, after every file was compared with its digest.

        Raises:
          NotFoundError: If there is no such version.
          CorruptBundleError: If the manifest or a file is not what was sealed.
        """
        folder = self._folder(version)
        verify(folder, version)
        return folder

    def rollback(self, to: str | None = None) -> str:
        """Points `CURRENT` at an older version, or the named one, after verifying it.

        Args:
          to: A published version; None for the one that served before the current.

        Returns:
          The version that is served now.

        Raises:
          NoModelError: If nothing is published yet.
          NotFoundError: If there is no such version, or none before the current.
          CorruptBundleError: If that version's files are not what was sealed.
        """
        with self._writing():
            version = self._previous() if to is None else to
            self.open(version)
            self._serve(version)
        return version

    def prune(self, keep: int) -> list[str]:
        """Removes all but the `keep` newest versions; never the current one.

        Returns:
          The versions removed, oldest first.

        Raises:
          BadInputError: If `keep` is below 1.
        """
        if keep < 1:
            raise BadInputError(f"at least 1 version must be kept, got keep={keep}")
        with self._writing():
            current = self.current()
            pruned = [version for version in self.versions()[:-keep] if version != current]
            # Moved away first: a version that is half removed must not look published.
            with self._scratch() as scratch:
                for version in pruned:
                    (self._root / version).rename(scratch / version)
                sync_folder(self._root)
        return pruned

    @contextmanager
    def lock(self) -> Iterator[None]:
        """The exclusive lock of jobs that make versions, held until the block ends.

        Raises:
          BusyError: If another job holds it; at once, without waiting.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        path = self._root / ".lock"
        path.touch()
        with ExitStack() as held:
            try:
                held.enter_context(flocked(path, wait=False))
            except BlockingIOError as error:
                raise BusyError(
                    f"another training or consolidation run holds {path}; try again when it is done"
                ) from error
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Waits until no other process changes the registry."""
        self._staging.mkdir(parents=True, exist_ok=True)
        with flocked(self._staging, wait=True):
            yield

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder that counts as abandoned as soon as this process is dead."""
        with ExitStack() as held:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(dir=self._staging)))
            held.enter_context(flocked(folder, wait=False))
            yield folder

    def _remove_abandoned(self) -> None:
        for folder in self._staging.iterdir():
            # Held by its process, or just removed by it
            with suppress(BlockingIOError, FileNotFoundError), flocked(folder, wait=False):
                shutil.rmtree(folder)

    def _settle(
        self,
        staged: Path,
        manifest: Mapping[str, JSON],
        created_ms: int,
        target: Path,
        names: re.Pattern[str],
    ) -> str:
        if staged.parent.parent != self._staging or not staged.is_dir():
            raise BadInputError(f"expected a folder that stage() gave, got {staged}")
        known = {"parent": None, **manifest, "created_ms": created_ms}
        name = seal(staged, known, _next_prefix(target, names))
        staged.rename(target / name)
        sync_folder(target)
        return name

    def _serve(self, version: str) -> None:
        """Points `CURRENT` at a version, and keeps the way back from it."""
        way_back, current = self._way_back(), self._sound_current()
        if version in way_back:
            del way_back[way_back.index(version) :]
            write_atomically(self._current, f"{version}\n".encode())
        elif current not in (None, version):
            way_back.append(str(current))
        # Killed between the two, `SERVED` is too long, and `_way_back` ends it at `CURRENT`.
        write_atomically(self._served, "".join(f"{name}\n" for name in way_back).encode())
        write_atomically(self._current, f"{version}\n".encode())

    def _way_back(self) -> list[str]:
        """The versions that served before the current one and are still there, oldest first."""
        names = self._served.read_text("utf-8").split() if self._served.exists() else []
        current = self._sound_current()
        before = itertools.takewhile(lambda name: name != current, names)
        return [name for name in before if self._is_published(name)]

    def _sound_current(self) -> str | None:
        with suppress(CorruptBundleError):
            return self.current()
        return None

    def _previous(self) -> str:
        current = self.current()
        if current is None:
            raise NoModelError("no model version is published, so there is none to go back to")
        way_back = self._way_back()
        if not way_back:
            raise NotFoundError(f"no version was served before {current}")
        return way_back[-1]

    def _is_published(self, version: str) -> bool:
        # The pattern also keeps names such as "../x" inside the registry.
        return _VERSION.fullmatch(version) is not None and (self._root / version).is_dir()

    def _folder(self, version: str) -> Path:
        if not self._is_published(version):
            shown = version if len(version) <= 60 else version[:60] + "…"
            raise NotFoundError(f"no model version {shown!r}; see `slowwave models list`")
        return self._root / version


def _numbered(folder: Path, names: re.Pattern[str]) -> list[str]:
    if not folder.is_dir():
        return []
    found = [match for path in folder.iterdir() if (match := names.fullmatch(path.name))]
    return [match[0] for match in sorted(found, key=lambda match: int(match[1]))]


def _next_prefix(folder: Path, names: re.Pattern[str]) -> str:
    taken = _numbered(folder, names)
    match = names.fullmatch(taken[-1]) if taken else None
    return f"{names.pattern[0]}{1 + (int(match[1]) if match else 0):04d}"
