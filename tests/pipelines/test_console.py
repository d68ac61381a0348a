import json
import os
import pty
import subprocess
import sys

import pytest

from pipelines.console import Console, count


def test_messages_and_tables_go_to_standard_output_and_warnings_to_standard_error(capsys):
    console = Console()
    console.message("hello")
    console.table(("name", "n", "share"), [("a", 1_000, 0.5), ("long name", 7, 12_345.678)])
    console.warning("careful")
    out, err = capsys.readouterr()
    assert out == (
        "hello\n"
        "name           n      share\n"
        "a          1,000        0.5\n"
        "long name      7  1.235e+04\n"
    )
    assert err == "careful\n"


def test_a_table_without_rows_shows_its_columns(capsys):
    Console().table(("a", "b"), [])
    assert capsys.readouterr().out == "a  b\n"


def test_the_result_is_one_json_line_where_it_is_asked_for(capsys):
    Console(as_json=True).message("before")
    Console(as_json=True).result({"a": [1, "ü"]})
    Console().result({"a": 2})
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines[1:]] == [{"a": [1, "ü"]}]


def test_a_result_is_valid_json_or_an_error():
    with pytest.raises(ValueError, match="not JSON compliant"):
        Console(as_json=True).result({"a": float("nan")})


def test_a_quiet_console_says_nothing_but_the_result(capfd):
    console = Console(as_json=True, quiet=True)
    console.message("x")
    console.warning("x")
    console.table(("x",), [("x",)])
    with console.progress("x", 1) as bar:
        bar.advance()
    console.result({})
    assert tuple(capfd.readouterr()) == ("{}\n", "")


PROGRESS = (
    "from pipelines.console import Console\n"
    "with Console().progress('Reading', 2) as bar:\n"
    "    bar.advance(1, 'half')\n"
    "    bar.advance(1, 'whole')\n"
)


def test_progress_is_silent_where_there_is_no_terminal():
    done = subprocess.run([sys.executable, "-c", PROGRESS], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_progress_is_a_bar_on_a_terminal():
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRESS], stdout=subprocess.PIPE, stderr=theirs, env=environment,
        check=True,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert done.stdout == b""
    assert "Reading" in shown
    assert "100%" in shown
    assert "whole" in shown


def test_a_count_knows_its_plural():
    assert [count(n, "row") for n in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
