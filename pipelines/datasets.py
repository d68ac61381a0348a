"""Fetching MovieLens-100K, which may be used for research and may not be passed on.

See https://grouplens.org/datasets/movielens/100k/ for its terms.
"""

import hashlib
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from model.errors import BadInputError
from model.files import write_atomically
from pipelines.console import Console
from pipelines.readers.formats import open_source

_MAX_DOWNLOAD_BYTES: Final = 50 << 20
_PIP_TIMEOUT_S: Final = 300
_SILENCE_TIMEOUT_S: Final = 20
_DOWNLOAD_TIMEOUT_S: Final = 300
_BLOCK_BYTES: Final = 1 << 16


@dataclass(frozen=True)
class Member:
    """One file in an archive.

    Attributes:
      path: Its path in the archive.
      sha256: Hex digest of its content.
      n_bytes: Its size; more is never unpacked.
    """

    path: str
    sha256: str
    n_bytes: int

    @property
    def name(self) -> str:
        """The name under which it is kept."""
        return self.path.rpartition("/")[2]


class UnavailableError(Exception):
    """A source cannot deliver; the text says why."""


class Archive(Protocol):
    """A place from which a zip file can be had."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def slug(self) -> str:
        """The folder in which its files are kept."""

    @property
    def members(self) -> tuple[Member, ...]:
        """The files that are wanted of it."""

    def download(self, folder: Path, console: Console) -> Path:
        """The verified zip file, put in a folder.

        Raises:
          UnavailableError: If it cannot be had, or is not the expected one.
        """


@dataclass(frozen=True)
class PackagedArchive:
    """A wheel in the package index that pip is set up to use.

    Attributes:
      requirement: What pip is asked for.
      sha256: Hex digest of the wheel.
    """

    name: str
    slug: str
    requirement: str
    sha256: str
    members: tuple[Member, ...]

    def download(self, folder: Path, console: Console) -> Path:
        """See `Archive.download`."""
        command = (
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"),
            *("--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(folder)),
            self.requirement,
        )
        try:
            with console.progress(f"Fetching {self.requirement}", 1.0) as bar:
                run = subprocess.run(  # noqa: S603 (no outside text)
                    command,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=_PIP_TIMEOUT_S,
                    check=False,
                )
                bar.advance()
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"pip did not finish within {_PIP_TIMEOUT_S} s") from error
        wheels = sorted(folder.glob("*.whl"))
        if run.returncode or not wheels:
            lines = run.stderr.strip().splitlines() or ["it says nothing"]
            raise UnavailableError(f"pip download failed: {lines[-1]}")
        with wheels[0].open("rb") as wheel:
            _check("sha256", self.sha256, hashlib.file_digest(wheel, "sha256").hexdigest())
        return wheels[0]


@dataclass(frozen=True)
class PublishedArchive:
    """A zip file on a web site.

    Attributes:
      url: Its address.
      md5: Hex digest that the publisher states.
    """

    name: str
    slug: str
    url: str
    md5: str
    members: tuple[Member, ...]

    def download(self, folder: Path, console: Console) -> Path:
        """See `Archive.download`."""
        path = folder / "archive.zip"
        # MD5 is what the publisher states; the SHA-256 of each file is checked as well
        digest = hashlib.md5(usedforsecurity=False)
        give_up = time.monotonic() + _DOWNLOAD_TIMEOUT_S
        n_bytes = 0
        try:
            with (
                urllib.request.urlopen(self.url, timeout=_SILENCE_TIMEOUT_S) as answer,  # noqa: S310 (a constant)
                path.open("wb") as file,
                console.progress(f"Fetching {self.url}", int(answer.length or 0)) as bar,
            ):
                while block := answer.read(_BLOCK_BYTES):
                    n_bytes += len(block)
                    if n_bytes > _MAX_DOWNLOAD_BYTES or time.monotonic() > give_up:
                        raise UnavailableError("the download is too large or too slow")
                    digest.update(block)
                    file.write(block)
                    bar.advance(len(block))
        except OSError as error:
            raise UnavailableError(f"the download failed: {error}") from error
        _check("md5", self.md5, digest.hexdigest())
        return path


ARCHIVES: Final[tuple[Archive, ...]] = (
    PackagedArchive(
        name="the package index (recbole 1.2.1)",
        slug="movielens-100k-recbole",
        requirement="recbole==1.2.1",
        sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        members=(
            Member(
                "recbole/dataset_example/ml-100k/ml-100k.inter",
                "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
                1_979_230,
            ),
            Member(
                "recbole/dataset_example/ml-100k/ml-100k.item",
                "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
                66_632,
            ),
            Member(
                "recbole/dataset_example/ml-100k/ml-100k.user",
                "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
                22_697,
            ),
        ),
    ),
    PublishedArchive(
        name="GroupLens",
        slug="movielens-100k-grouplens",
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        md5="0e33842e24a9c977be4e0107933c0723",
        members=(
            Member(
                "ml-100k/u.data",
                "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
                1_979_173,
            ),
            Member(
                "ml-100k/u.item",
                "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
                236_344,
            ),
            Member(
                "ml-100k/u.user",
                "f120e114da2e8cf314fd28f99417c94ae9ddf1cb6db8ce0e4b5995d40e90e62c",
                22_628,
            ),
        ),
    ),
)


def fetch_movielens_100k(
    data: Path | None, cache: Path, console: Console, archives: Sequence[Archive] = ARCHIVES
) -> Path:
    """A folder with MovieLens-100K that `import_path` can read.

    Args:
      data: A folder that has it; None to fetch it.
      cache: Where fetched files are kept, to be used again when their digests are right.
      console: Where progress is shown.
      archives: Where to look, in this order.

    Raises:
      BadInputError: If `data` holds something else, or no archive can be had; the text
        names each that was tried, and why it failed.
    """
    if data is not None:
        found = open_source(data, None).format
        if found != "movielens-100k":
            raise BadInputError(f"expected MovieLens-100K in {data}, got {found}")
        return data
    for archive in archives:
        if _is_intact(cache / archive.slug, archive.members):
            return cache / archive.slug
    failures = []
    for archive in archives:
        console.message(f"Fetching MovieLens-100K from {archive.name}.")
        try:
            _fetch(archive, cache / archive.slug, console)
        except UnavailableError as error:
            console.warning(f"{archive.name}: {error}")
            failures.append(f"  {archive.name}: {error}")
        else:
            return cache / archive.slug
    raise BadInputError(
        "MovieLens-100K cannot be had from any source:\n"
        + "\n".join(failures)
        + "\nFetch it by other means and name its folder with --data.",
        "no_data",
    )


def _is_intact(folder: Path, members: Sequence[Member]) -> bool:
    return all(
        (folder / member.name).is_file()
        and _sha256((folder / member.name).read_bytes()) == member.sha256
        for member in members
    )


def _fetch(archive: Archive, folder: Path, console: Console) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        contents = _unpack(archive.download(Path(scratch), console), archive.members)
    for member, content in zip(archive.members, contents, strict=True):
        write_atomically(folder / member.name, content)


def _unpack(path: Path, members: Sequence[Member]) -> list[bytes]:
    """The content of the wanted members; nothing else is unpacked, and no path is taken over.

    Raises:
      UnavailableError: If one is missing or is not what it should be.
    """
    contents = []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in members:
                with archive.open(member.path) as file:
                    # one byte more shows that there is more
                    content = file.read(member.n_bytes + 1)
                _check(f"sha256 of {member.name}", member.sha256, _sha256(content))
                contents.append(content)
    except (KeyError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UnavailableError(f"its archive cannot be read: {error}") from error
    return contents


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check(what: str, expected: str, found: str) -> None:
    if found != expected:
        raise UnavailableError(f"its {what} is {found}, expected {expected}")
