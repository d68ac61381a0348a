"""The command as people type it: real processes, a real model on a small generated world."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from pipelines.evaluation.arms import MINIMUM, arm_names


def command(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "pipelines", "evaluate", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        **options,
    )


def last_line(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_arms_are_listed_with_what_they_are():
    done = command("--arms", "list", "--json")
    assert last_line(done)["arms"] == arm_names()
    assert set(MINIMUM) <= set(arm_names())
    assert "slow model, fast memory, consolidation" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a protocol must be one of ml-100k, globo, diginetica, mind, taobao, world; got none"),
        (("netflix",), "'netflix' is not one of 'ml-100k', 'globo'"),
        (("world", "--arms", "ours,best"), "expected arms among popularity, "),
        (("world", "--quick", "--record"), "--record is for whole replays; got --quick"),
        (("world", "--table", "memory"), "--table names what --record records; got 'memory'"),
        (("world", "--arms", "ease", "--against", "ours"), "expected --against one of ease; got"),
        (("world", "--tuning", "--audit"), "expected --tuning or --audit, got both"),
        (("globo", "--data", "."), "globo needs clicks.csv, gzipped or not"),
        (("--compare", "nowhere", "."), "Directory 'nowhere' does not exist"),
    ],
)
def test_bad_usage_is_told_in_one_line_and_ends_with_2(words, message, tmp_path):
    done = command(*words, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()})  # noqa: PTH109
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_baselines_on_a_generated_world_need_no_training_and_compare(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    words = ("world", "--quick", "--arms", "popularity,itemknn", "--json", "--out")
    summary = last_line(command(*words, one))["world"]
    assert set(summary["arms"]) == {"popularity", "itemknn"}
    # a command that anyone can repeat names no folder of this machine
    kept = json.loads((one / "run.json").read_text("utf-8"))["world"]["command"]
    assert kept == "slowwave evaluate world --quick --arms popularity,itemknn --json"
    assert not (one / "streams").exists()
    assert "<html" in (one / "world.html").read_text(encoding="utf-8")
    again = command(*words, one)
    assert "2 replays finished before" in again.stdout
    taken_up = last_line(again)["world"]
    assert taken_up["arms"] == summary["arms"]
    # what was finished is not made again, and its time is told all the same
    spent = [sum(arm["seconds"].values()) for arm in summary["details"].values()]
    assert taken_up["seconds"] >= round(max(spent), 1) > 0
    last_line(command(*words, two))
    assert command("--compare", one, two).returncode == 0


def test_an_audit_finds_nothing_in_honest_arms(tmp_path):
    done = command(
        "world", "--quick", "--audit", "--arms", "popularity,popularity-decayed", "--json",
        "--out", tmp_path,
    )  # fmt: skip
    findings = last_line(done)["world-audit"]["findings"]
    assert {f["arm"] for f in findings} == {"popularity", "popularity-decayed"}
    assert all(abs(f["z"]) < 5 for f in findings)


@pytest.mark.tf
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_that_is_killed_goes_on_where_it_stopped(tmp_path):
    words = ["world", "--quick", "--arms", "slow,slow+fast", "--jobs", "1", "--out", str(tmp_path)]
    killed = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "evaluate", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("chains/*/chain.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    [note] = tmp_path.glob("chains/*/chain.json")
    trained = note.stat().st_mtime_ns
    summary = last_line(command(*words, "--json"))["world"]
    assert note.stat().st_mtime_ns == trained
    assert set(summary["arms"]) == {"slow", "slow+fast"}
    assert "regret@10" in summary["arms"]["slow"]
