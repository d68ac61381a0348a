"""The SQLite event log: the contract, and what is particular to the file."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from model.errors import LogUnavailableError
from model.interactions import ItemChange, LogRow, UserChange
from model.storage.event_log import event_of, open_log
from model.storage.sqlite_file import ACTOR
from tests.contracts import EventLogContract
from tests.erasing_contract import ErasingContract
from tests.model.storage.entries import NOW_MS, click, clicks


class TestSqliteEventLog(EventLogContract, ErasingContract):
    @pytest.fixture
    def new_log(self, tmp_path):
        numbers = count()

        def make():
            path = tmp_path / f"log-{next(numbers)}.db"
            return lambda: open_log(path)

        return make


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.db"


@pytest.fixture
def log(path):
    with closing(open_log(path)) as log:
        yield log


def change(path, statement, *values):
    """Does to the file what Slowwave never does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement, values)


def setting(path, name):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"PRAGMA {name}").fetchone()[0]


def test_the_tables_columns_are_the_fields_of_a_row_in_their_order(path):
    open_log(path).close()
    with closing(sqlite3.connect(path)) as db:
        columns = [column[1] for column in db.execute("PRAGMA table_info(log)")]
    assert tuple(columns) == LogRow._fields


def test_the_log_is_written_ahead_and_synced_at_every_commit(log, path):
    assert setting(path, "journal_mode") == "wal"
    assert log._writer.execute("PRAGMA synchronous").fetchone()[0] == 2  # noqa: SLF001


def test_missing_folders_are_made(tmp_path):
    with closing(open_log(tmp_path / "a" / "b" / "events.db")) as log:
        assert log.head() == 0


def test_a_path_with_signs_that_mean_something_in_a_url_works(tmp_path):
    path = tmp_path / "50% #1?mode=memory ü.db"
    with closing(open_log(path)) as log:
        log.append([click("e1")], NOW_MS)
    assert path.stat().st_size > 0


def test_reads_by_actor_and_by_event_use_an_index(path):
    open_log(path).close()
    with closing(sqlite3.connect(path)) as db:
        for query in (
            f"SELECT * FROM log WHERE kind = 0 AND {ACTOR} = ? AND seq <= 9 ORDER BY seq",  # noqa: S608
            "SELECT * FROM log WHERE event_id = ?",
        ):
            plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", ("x",)))
            assert "USING INDEX" in plan
            assert "TEMP B-TREE" not in plan


def test_positions_are_never_used_again_even_after_rows_were_erased(log, path):
    log.append(clicks(3), NOW_MS)
    change(path, "DELETE FROM log WHERE seq = 3")
    assert log.append([click("e9")], NOW_MS).first_seq == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "application id is 0"),
        (b"user_id,item_id\nu1,i1\n" * 100, "file is not a database"),
        (b"SQLite format 3\0", "file is not a database"),
    ],
)
def test_a_file_that_is_not_a_log_is_refused_and_left_as_it_was(path, content, message):
    path.write_bytes(content)
    with pytest.raises(LogUnavailableError, match=message) as caught:
        open_log(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused(path):
    change(path, "CREATE TABLE log (seq INTEGER)")
    with pytest.raises(LogUnavailableError, match="not a Slowwave event log"):
        open_log(path)
    assert setting(path, "journal_mode") == "delete"


def test_a_format_version_from_the_future_is_refused(path):
    open_log(path).close()
    change(path, "PRAGMA user_version = 7")
    with pytest.raises(
        LogUnavailableError, match="of format version 7; this version of Slowwave reads"
    ):
        open_log(path)


def test_a_folder_in_place_of_the_file_is_refused(path):
    path.mkdir()
    with pytest.raises(LogUnavailableError, match="unable to open"):
        open_log(path)


def test_a_parent_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "home").write_text("")
    with pytest.raises(LogUnavailableError, match="home"):
        open_log(tmp_path / "home" / "events.db")


def test_a_log_that_was_restored_without_its_mode_gets_it_back(path):
    with closing(open_log(path)) as log:
        log.append(clicks(3), NOW_MS)
    change(path, "PRAGMA journal_mode = DELETE")
    with closing(open_log(path)) as log:
        assert log.head() == 3
    assert setting(path, "journal_mode") == "wal"


def test_what_a_killed_creation_left_behind_is_replaced(path):
    for ending in ("", "-journal", "-wal"):
        path.with_name(f"events.db.new{ending}").write_bytes(b"half a file")
    with closing(open_log(path)) as log:
        log.append([click("e1")], NOW_MS)
    assert sorted(found.name for found in path.parent.iterdir()) == ["events.db"]


def test_an_append_that_waits_too_long_for_another_writer_says_so_and_writes_nothing(path):
    with closing(open_log(path, busy_timeout_ms=50)) as log, closing(sqlite3.connect(path)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailableError, match="database is locked"):
            log.append([click("e1")], NOW_MS)
        db.rollback()
        assert log.head() == 0
        assert log.append([click("e1")], NOW_MS).accepted == 1


def test_a_closed_log_says_that_it_is_closed(path):
    log = open_log(path)
    log.close()
    for use in (log.head, log.catalogue, lambda: log.append([click("e1")], NOW_MS)):
        with pytest.raises(LogUnavailableError, match="closed"):
            use()


def test_a_damaged_file_is_an_error_and_never_an_empty_answer(path):
    with closing(open_log(path)) as log:
        log.append(clicks(5_000), NOW_MS)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with closing(open_log(path)) as log:
        with pytest.raises(LogUnavailableError, match="malformed"):
            log.tail(0)
        with pytest.raises(LogUnavailableError, match="malformed"):
            log.append([click("new")], NOW_MS)


@pytest.mark.parametrize("details", ["{", "5", '{"properties": 5}'])
def test_damaged_details_of_an_event_are_an_error(log, path, details):
    log.append([click("e1")], NOW_MS)
    change(path, "UPDATE log SET details = ?", details)
    with pytest.raises(LogUnavailableError, match="stored details of event 'e1'"):
        event_of(log.event("e1"))


@pytest.mark.parametrize("details", ["{", "5", "{}", '{"attributes": null}'])
def test_damaged_details_of_an_item_are_an_error(log, path, details):
    log.append([ItemChange("i1", {})], NOW_MS)
    change(path, "UPDATE metadata SET details = ?", details)
    with pytest.raises(LogUnavailableError, match="stored details of item 'i1'"):
        log.catalogue()


def test_what_was_erased_is_nowhere_in_the_files(log, path):
    name = "somebody-who-must-be-forgotten"
    log.append([UserChange(name, {"city": "Hidden-in-plain-sight"})], NOW_MS)
    log.append([click(f"e{n}", user_id=name) for n in range(200)], NOW_MS)
    log.append(clicks(200, start=200), NOW_MS)
    log.erase_user(name, NOW_MS)
    for file in path.parent.iterdir():
        assert name.encode() not in file.read_bytes(), file.name
        assert b"Hidden-in-plain-sight" not in file.read_bytes(), file.name


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from model.errors import LogUnavailableError
from model.storage.event_log import open_log
from tests.model.storage.entries import NOW_MS, clicks

log = open_log(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
accepted = 0
try:
    while True:
        accepted += log.append(clicks(500, start=accepted), NOW_MS).accepted
except LogUnavailableError as error:
    print(error)
# what the log said before it failed, and the log itself, are both still right
assert log.head() == accepted > 0, (log.head(), accepted)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append(clicks(500, start=accepted), NOW_MS)
print(log.head() - accepted)
"""


def test_a_full_disk_is_reported_and_loses_nothing_that_was_acknowledged(path):
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(path)], capture_output=True, text=True, check=True
    )
    complaint, written_when_there_was_room = done.stdout.splitlines()
    assert str(path) in complaint
    assert written_when_there_was_room == "500"
    with closing(open_log(path)) as log:
        assert [row.event_id for row in log.tail(0)] == [f"e{n}" for n in range(log.head())]


APPEND_WITHOUT_PERMISSION = """
import os, sys
from pathlib import Path
from model.errors import LogUnavailableError
from model.storage.event_log import open_log
from tests.model.storage.entries import NOW_MS, click

if os.geteuid() == 0:
    os.setuid(65534)  # permissions do not bind root
try:
    open_log(Path("events.db")).append([click("e1")], NOW_MS)
except LogUnavailableError as error:
    print(error)
"""


def test_a_log_that_may_not_be_written_says_so(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readable")
    open_log(folder / "events.db").close()
    (folder / "events.db").chmod(0o444)
    parents = list(folder.parents)[:2]
    modes = [(parent, parent.stat().st_mode) for parent in parents]
    for parent in parents:
        parent.chmod(0o755)
    folder.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", APPEND_WITHOUT_PERMISSION],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        folder.chmod(0o755)
        for parent, mode in modes:
            parent.chmod(mode)
    assert "events.db failed" in done.stdout
    assert "readonly" in done.stdout or "unable to open" in done.stdout
