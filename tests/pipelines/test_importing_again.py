"""The same rows, ids and files more than once; and imports that were killed."""

import json
import resource
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BadInputError
from model.interactions import ItemChange
from model.storage.event_log import open_log
from model.workspace import Workspace
from tests.pipelines.writing import (
    HEADER,
    NOW_MS,
    T0,
    click,
    events_in,
    interactions,
    items_in,
    run_import,
    write_files,
)


def with_ids(*rows):
    return interactions(*rows, header=HEADER + ",event_id")


def test_the_same_data_again_changes_nothing(tmp_path):
    home = tmp_path / "home"
    folder = write_files(
        tmp_path / "data",
        {
            "interactions.csv": interactions(*(click("u", f"i{n}") for n in range(20))),
            "items.csv": "item_id,title,year\ni1,A,1995\ni2,B,1996\n",
            "users.csv": "user_id,age\nu,30\n",
        },
    )
    first = run_import(home, folder)
    with closing(open_log(Workspace(home).log_path)) as log:
        rows = log.tail(0)
    again = run_import(home, folder, now_ms=NOW_MS + 5)
    with closing(open_log(Workspace(home).log_path)) as log:
        assert log.tail(0) == rows
    assert (first.events, first.items, first.users) == (20, 2, 1)
    assert (again.events, again.items, again.users) == (0, 0, 0)
    assert (again.duplicates, again.unchanged) == (20, 3)


def test_a_file_that_has_grown_adds_only_its_new_rows(tmp_path):
    home = tmp_path / "home"
    header = HEADER + ",slot"
    rows = [click("u", f"i{n}") + f",{n}" for n in range(5)]
    folder = write_files(
        tmp_path / "data", {"interactions.csv": interactions(*rows, header=header)}
    )
    run_import(home, folder)
    # the new row makes text of a column that was numbers: the old rows stay the same events
    Workspace(home).schema_path.unlink()
    grown = interactions(*rows, click("u", "i9") + ",top", header=header)
    report = run_import(home, write_files(folder, {"interactions.csv": grown}))
    assert (report.events, report.duplicates) == (1, 5)


def test_rows_that_are_alike_in_every_column_are_one_event(tmp_path):
    rows = [click("u", "i"), click("u", "i"), click("u", "j")]
    folder = write_files(tmp_path / "data", {"interactions.csv": interactions(*rows)})
    report = run_import(tmp_path / "home", folder)
    assert (report.events, report.duplicates, report.n_bad_rows) == (2, 1, 0)


def test_an_id_used_twice_with_other_content_keeps_its_first_row(tmp_path):
    home = tmp_path / "home"
    folder = write_files(
        tmp_path / "data",
        {
            "interactions.csv": with_ids(
                f"u,i1,click,,{T0},e1",
                f"u,i2,click,,{T0 - 9},e1",
                f"u,i1,click,,{T0},e1",
                f"u,i3,click,,{T0},e2",
            ),
            "items.csv": "item_id,title\ni1,A\ni1,A\ni1,B\n",
        },
    )
    report = run_import(home, folder)
    assert [(row.file, row.line, row.code) for row in report.bad_rows] == [
        ("items.csv", 4, "duplicate_item_id"),
        ("interactions.csv", 3, "duplicate_event_id"),
    ]
    assert "'e1' was used on line 2 already" in report.bad_rows[1].reason
    assert (report.events, report.duplicates, report.items, report.unchanged) == (2, 1, 1, 1)
    assert [event.item_id for event in events_in(home)] == ["i1", "i3"]
    assert items_in(home)["i1"].attributes == {"title": "A"}


def test_an_id_of_the_log_with_other_content_is_a_bad_row(tmp_path):
    home = tmp_path / "home"
    first = with_ids(f"u,i1,click,,{T0},e1", f"u,i1,click,,{T0},e2")
    run_import(home, write_files(tmp_path / "first", {"interactions.csv": first}))
    second = with_ids(f"u,i2,click,,{T0},e1", f"u,i1,click,,{T0},e2", f"u,i1,click,,{T0},e3")
    folder = write_files(tmp_path / "second", {"interactions.csv": second})
    with pytest.raises(BadInputError, match="event_id 'e1' is in the log already"):
        run_import(home, folder, strict=True)
    assert len(events_in(home)) == 2
    report = run_import(home, folder)
    assert [(row.line, row.code) for row in report.bad_rows] == [(2, "duplicate_event_id")]
    assert (report.events, report.duplicates) == (1, 1)
    assert [event.event_id for event in events_in(home)] == ["e1", "e2", "e3"]


def test_when_every_id_contradicts_the_log_nothing_is_imported(tmp_path):
    home = tmp_path / "home"
    for name, item in (("first", "i1"), ("second", "i2")):
        content = with_ids(f"u,{item},click,,{T0},e1")
        write_files(tmp_path / name, {"interactions.csv": content})
    run_import(home, tmp_path / "first")
    with pytest.raises(BadInputError, match="1 bad row and no event left"):
        run_import(home, tmp_path / "second")


def test_what_a_file_does_not_speak_of_stays(tmp_path):
    home = tmp_path / "home"
    files = {
        "interactions.csv": interactions(click("u", "i1")),
        "items.csv": "item_id,title\ni1,A\n",
    }
    folder = write_files(tmp_path / "data", files)
    run_import(home, folder)
    hidden = ItemChange("i1", {"title": "A"}, hidden=True, available_from_ms=5)
    with closing(open_log(Workspace(home).log_path)) as log:
        log.append([hidden], NOW_MS)
    assert run_import(home, folder).items == 0
    assert items_in(home)["i1"] == hidden


values = st.sampled_from(["", "3", "3.0", "a", "true", "a|b", "05"])
rows = st.lists(
    st.tuples(st.sampled_from("uv"), st.sampled_from("ij"), st.integers(0, 3), values), min_size=1
)


@given(rows=rows)
def test_any_data_imported_twice_is_imported_once(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("data")
    lines = [click(user, item, T0 + at) + f",{value}" for user, item, at, value in rows]
    write_files(folder, {"interactions.csv": interactions(*lines, header=HEADER + ",x")})
    home = folder / "home"
    first = run_import(home, folder)
    once = events_in(home)
    again = run_import(home, folder)
    assert events_in(home) == once
    assert first.events == len(once) <= len(rows)
    assert first.events + first.duplicates == again.duplicates == len(rows)


@pytest.mark.slow
def test_an_import_killed_at_any_moment_is_completed_by_the_next(tmp_path):
    home, whole = tmp_path / "home", tmp_path / "whole"
    n_rows = 20_000
    lines = [click(f"u{n % 700}", f"i{n % 90}", T0 + n * 7_919 % n_rows) for n in range(n_rows)]
    items = "item_id,title\n" + "".join(f"i{n},Film {n}\n" for n in range(90))
    files = {"interactions.csv": interactions(*lines), "items.csv": items}
    folder = write_files(tmp_path / "data", files)
    run_import(whole, folder)
    expected = events_in(whole)

    command = [sys.executable, "-m", "pipelines", "import", str(folder), "--home", str(home)]
    partial = []
    for target in (1, 2_000, 8_000):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_rows(home, target, run)
        run.send_signal(signal.SIGKILL)
        run.wait()
        partial.append(len(events_in(home)))
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["events"] + report["duplicates"] == n_rows
    assert report["events"] == n_rows - partial[-1]
    assert 0 < partial[-1] < n_rows
    assert events_in(home) == expected
    assert items_in(home) == items_in(whole)
    assert Workspace(home).schema_path.read_text() == Workspace(whole).schema_path.read_text()
    # a killed import leaves nothing behind that grows with every kill
    assert not [entry for entry in home.iterdir() if entry.name.startswith(".")]


def wait_for_rows(home, target, run):
    """Returns as soon as the log of a running import has so many rows."""
    path = Workspace(home).log_path
    while run.poll() is None:
        if path.exists():
            with closing(open_log(path)) as log:
                if log.head() >= target:
                    return
        time.sleep(0.001)


@pytest.mark.slow
def test_a_full_disk_stops_the_import_with_one_message_and_writes_nothing(tmp_path):
    items = "item_id,text\n" + "".join(f"i{n},{'x' * 120_000}\n" for n in range(700))
    files = {"interactions.csv": interactions(click("u", "i1")), "items.csv": items}
    folder = write_files(tmp_path / "data", files)
    command = [sys.executable, "-m", "pipelines", "import", folder, "--home", tmp_path / "home"]
    done = subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: the rows cannot be kept in the folder for temporary")
    assert not (tmp_path / "home").exists()
