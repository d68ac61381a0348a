"""What tracked files may not say: where this machine keeps things, or where packages come from."""

import re
from pathlib import Path

from tests.repository import ROOT, shown, tracked_files

URL = re.compile(r"https?://(\[?[\w.:-]+)")
# Hosts that readers or the demo are sent to, and stand-ins; package sources are the
# environment's business.
KNOWN_HOSTS = re.compile(
    r"(127\.0\.0\.1|localhost|0\.0\.0\.0|testserver|\[::1|service|here|x)(:.*)?$"
    r"|(.*\.)?example(\.\w+)?$|keepachangelog\.com$|semver\.org$|www\.apache\.org$|files\.grouplens\.org$|grouplens\.org$"
)
INDEX_OPTIONS = re.compile(
    r"(extra[-_])?index[-_]url|find[-_]links|trusted[-_]host|registry[-_]mirror"
)
HOME_FOLDERS = re.compile(r"(?<![\w.}])/(?:home|root|Users)/\w")


def lines():
    for path in tracked_files():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            yield path, number, line


def test_every_address_in_the_repository_is_a_known_one():
    unknown = [
        f"{shown(path)}:{number}: {host}"
        for path, number, line in lines()
        for host in URL.findall(line)
        if not KNOWN_HOSTS.match(host)
    ]
    assert unknown == []


def test_nothing_says_where_packages_come_from():
    this_file = Path(__file__).resolve()
    found = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path, number, line in lines()
        if path != this_file and INDEX_OPTIONS.search(line)
    ]
    assert found == []


def test_no_path_of_one_machine_is_written_down():
    found = [
        f"{shown(path)}:{number}: {line.strip()}"
        for path, number, line in lines()
        if HOME_FOLDERS.search(line) or f"{ROOT}/" in line
    ]
    assert found == []


def test_constraints_are_plain_names_and_versions():
    plain = re.compile(r"[A-Za-z0-9][\w.-]*==[\w.]+$")
    listed = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert listed == sorted(listed, key=str.lower)
    assert [line for line in listed if not plain.match(line)] == []
