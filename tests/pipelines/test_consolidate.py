"""The nightly job, as the command that people run, on a small world."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.interactions import Event, ItemChange
from model.storage.registry import Registry
from model.workspace import Workspace
from tests.nights import LATER_MS, append
from tests.worlds import ratings


def command(home, *more):
    return [sys.executable, "-m", "pipelines", "consolidate", "--home", str(home), "--json", *more]


def night(home, *more):
    done = subprocess.run(command(home, *more), capture_output=True, text=True, check=False)
    report = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None
    return done, report


def registry(home):
    return Registry(Workspace(home).models)


def next_day(seed=1, **more):
    """Sixty users, twenty of them new, rate as the world's truth says."""
    rng = np.random.default_rng(seed)
    return ratings(rng, n_users=80, per_user=16, start_ms=LATER_MS, prefix=f"n{seed}", **more)


def flipped(events):
    return [
        Event(e.event_id, e.event_type, e.timestamp_ms, e.user_id, e.item_id, 6.0 - e.value)
        for e in events
    ]


def test_a_good_night_is_published_with_its_verdicts(tiny_home):
    append(tiny_home, [ItemChange("fresh", {"genres": ("odd",), "year": 2001.0}), *next_day()])
    before = registry(tiny_home).current()
    done, report = night(tiny_home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["verdict"] == "published"
    assert registry(tiny_home).current() == report["version"] != before
    manifest = registry(tiny_home).manifest(report["version"])
    assert (manifest["kind"], manifest["parent"]) == ("consolidate", before)
    assert {v["name"] for v in manifest["verdicts"]} >= {
        "quality",
        "forgetting",
        "calibration",
        "coverage",
        "finite",
        "parity",
    }
    assert all(v["passed"] for v in manifest["verdicts"])
    # twenty users are new; those whose every event is held out wait for the next night
    assert 10 < report["counts"]["new_users"] <= 20
    # what was held out is left for the next night to learn
    assert manifest["trained_through_seq"] < report["log_through_seq"]
    assert json.loads(Path(report["report"]).read_text("utf-8"))["verdict"] == "published"


def test_a_night_with_nothing_new_says_so_and_changes_nothing(tiny_home):
    before = registry(tiny_home).versions()
    done, report = night(tiny_home)
    assert done.returncode == 0
    assert report["verdict"] == "nothing_new"
    assert "Nothing new" in done.stdout
    assert registry(tiny_home).versions() == before


@pytest.mark.parametrize("sabotage", ["flipped labels", "exploding step"])
def test_a_bad_candidate_is_refused_and_kept_while_the_old_one_serves(tiny_home, sabotage):
    # the same events, honest and at the usual step, are published: see the first test
    events = next_day()
    if sabotage == "flipped labels":
        cut = int(len(events) * 0.8)
        append(tiny_home, flipped(events[:cut]) + events[cut:])
    else:
        append(tiny_home, events)
        config = Workspace(tiny_home).config_path
        text = config.read_text("utf-8").replace("scale = 0.3", "scale = 1000.0")
        config.write_text(text, encoding="utf-8")
    before = registry(tiny_home).current()
    done, report = night(tiny_home)
    assert done.returncode == 3, done.stdout + done.stderr
    assert report["verdict"] == "refused"
    assert report["reasons"]
    assert registry(tiny_home).current() == before
    kept = Workspace(tiny_home).models / "refused" / report["refused"] / "manifest.json"
    assert json.loads(kept.read_text("utf-8"))["verdicts"]


def test_a_dry_run_judges_and_publishes_nothing(tiny_home):
    append(tiny_home, next_day())
    before = registry(tiny_home).versions()
    done, report = night(tiny_home, "--dry-run")
    assert done.returncode == 0
    assert report["dry_run"]
    assert report["verdicts"]
    assert registry(tiny_home).versions() == before
    assert not any((Workspace(tiny_home).models / "refused").glob("*"))


def test_the_same_night_again_makes_the_same_bits(tiny_home, tmp_path):
    append(tiny_home, next_day())
    twin = shutil.copytree(tiny_home, tmp_path / "twin")
    first, second = night(tiny_home)[1], night(twin)[1]
    made = [
        registry(home).manifest(report["version"])["files"]
        for home, report in ((tiny_home, first), (twin, second))
    ]
    digests = [{name: entry["sha256"] for name, entry in files.items()} for files in made]
    assert digests[0] == digests[1]


def test_without_a_model_the_night_says_what_to_do(tiny_home):
    shutil.rmtree(Workspace(tiny_home).models)
    done, _ = night(tiny_home)
    assert done.returncode == 2
    assert "train one first" in done.stderr
