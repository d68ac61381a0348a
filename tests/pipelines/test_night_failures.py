"""A night that is killed or runs out of disk leaves everything as it was."""

import json
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from model.storage.event_log import open_log
from model.storage.registry import Registry
from model.workspace import Workspace
from tests.killed_night import STAGES
from tests.nights import LATER_MS, append
from tests.worlds import ratings

pytestmark = pytest.mark.tf

PUBLISHING = STAGES.index("settled")


def state(home):
    log = open_log(Workspace(home).log_path)
    try:
        return Registry(Workspace(home).models).current(), log.tail(0)
    finally:
        log.close()


def day():
    rng = np.random.default_rng(1)
    return ratings(rng, n_users=80, per_user=16, start_ms=LATER_MS, prefix="n1")


def consolidate(home, **more):
    command = [sys.executable, "-m", "pipelines", "consolidate", "--home", str(home), "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


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
