"""A night that is killed or runs out of disk leaves everything as it was."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from model.storage.event_log import open_log
from model.storage.registry import Registry
from model.workspace import Workspace
from tests.killed_night import STAGES
from tests.nights import LATER_MS, append
from tests.worlds import ratings

pytestmark = pytest.mark.tf

PUBLISHING = STAGES.index("settled")
# three moments, and twenty in the long form (`make fuzz`)
TRIED = 3 if (settings.default or settings()).max_examples < 1_000 else 20
# shares of a night's work: from the start of its process to its end
MOMENTS = np.random.default_rng(2).random(TRIED).tolist()


def state(home):
    log = open_log(Workspace(home).log_path)
    try:
        return Registry(Workspace(home).models).current(), log.tail(0)
    finally:
        log.close()


def day():
    rng = np.random.default_rng(1)
    return ratings(rng, n_users=80, per_user=16, start_ms=LATER_MS, prefix="n1")


def command(home):
    return [sys.executable, "-m", "pipelines", "consolidate", "--home", str(home), "--json"]


def consolidate(home, **more):
    return subprocess.run(command(home), capture_output=True, text=True, check=False, **more)


@pytest.fixture(scope="module")
def eventful_home(trained_home, tmp_path_factory):
    """A workspace with a day to learn. Copy it."""
    home = shutil.copytree(trained_home, tmp_path_factory.mktemp("eventful") / "home")
    append(home, day())
    return home


@pytest.fixture(scope="module")
def night_s(eventful_home, tmp_path_factory):
    """The processor seconds that a whole night takes."""
    home = shutil.copytree(eventful_home, tmp_path_factory.mktemp("whole") / "home")
    before = children_s()
    done = consolidate(home)
    assert done.returncode == 0, done.stdout + done.stderr
    return children_s() - before


def children_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def used_s(process_id):
    """Processor seconds of a process so far; a busy machine stretches the clock's."""
    fields = Path(f"/proc/{process_id}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kill_after(job, seconds):
    """Kills a process once it has used so many processor seconds; its exit code."""
    while job.poll() is None:
        if used_s(job.pid) >= seconds:
            job.send_signal(signal.SIGKILL)
            return job.wait()
        time.sleep(0.01)
    return job.returncode


@pytest.mark.slow
def test_a_night_killed_after_any_stage_leaves_a_whole_model_and_the_log(tiny_home):
    append(tiny_home, day())
    before, rows = state(tiny_home)
    models = Registry(Workspace(tiny_home).models)
    current = before
    for stage in STAGES[: PUBLISHING + 1]:
        command = [sys.executable, "-m", "tests.killed_night", str(tiny_home), stage]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, (stage, done.stderr)
        current, now = state(tiny_home)
        models.open(current)
        assert now == rows
        # up to the rename the old one serves, from then on the new one
        assert (current == before) == (stage != "settled")
    assert models.manifest(current)["parent"] == before
    assert not any(Workspace(tiny_home).reports.glob("night-*.json"))
    done = consolidate(tiny_home)
    assert json.loads(done.stdout.splitlines()[-1])["verdict"] == "nothing_new"
    assert not any((Workspace(tiny_home).models / ".staging").glob("*/bundle"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", MOMENTS, ids="{:.2f}".format)
def test_a_night_killed_at_any_moment_leaves_a_whole_model_and_the_log(
    eventful_home, night_s, tmp_path, share
):
    home = shutil.copytree(eventful_home, tmp_path / "home")
    before, rows = state(home)
    job = subprocess.Popen(command(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # one that needed less than the night before it came to its end
    assert kill_after(job, share * night_s) in (-signal.SIGKILL, 0)
    models = Registry(Workspace(home).models)
    current, now = state(home)
    assert now == rows
    models.open(current)
    published = current != before
    assert not published or models.manifest(current)["parent"] == before
    done = consolidate(home)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    verdict = json.loads(done.stdout.splitlines()[-1])["verdict"]
    assert verdict in (("nothing_new",) if published else ("published", "refused"))
    assert state(home)[1] == rows
    models.open(state(home)[0])
    assert not any((Workspace(home).models / ".staging").glob("*/bundle"))


def test_of_two_nights_at_once_the_second_says_so_and_leaves(tiny_home):
    append(tiny_home, day())
    before, _ = state(tiny_home)
    with subprocess.Popen(command(tiny_home), stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline().startswith("Teaching")
        first.send_signal(signal.SIGSTOP)
        second = consolidate(tiny_home)
        meanwhile, _ = state(tiny_home)
        first.send_signal(signal.SIGCONT)
        report = json.loads(first.stdout.read().splitlines()[-1])
    assert meanwhile == before
    assert second.returncode == 2
    assert "another" in second.stderr.lower()
    assert "Traceback" not in second.stderr
    assert first.returncode == 0
    assert report["verdict"] == "published"
    assert state(tiny_home)[0] == report["version"]


def test_a_disk_that_fills_up_stops_the_night_and_the_next_one_completes(tiny_home):
    append(tiny_home, day())
    before, rows = state(tiny_home)

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    done = consolidate(tiny_home, preexec_fn=full)
    assert done.returncode not in (0, 3), done.stdout
    assert state(tiny_home) == (before, rows)
    done = consolidate(tiny_home)
    assert done.returncode == 0, done.stdout + done.stderr
    current, now = state(tiny_home)
    assert current != before
    assert now == rows
