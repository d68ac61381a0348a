"""Training from scratch, as the command that people run."""

import json
import signal
import subprocess
import sys
import time

import pytest

from model.storage.event_log import open_log
from model.storage.registry import Registry
from model.workspace import Workspace


def command(home):
    return [sys.executable, "-m", "pipelines", "train", "--home", str(home), "--json"]


def rows_of(home):
    log = open_log(Workspace(home).log_path)
    try:
        return log.tail(0)
    finally:
        log.close()


@pytest.mark.parametrize("delay_s", [2.0, 5.0])
def test_a_training_that_is_killed_leaves_the_served_model_and_the_log_alone(tiny_home, delay_s):
    registry, rows = Registry(Workspace(tiny_home).models), rows_of(tiny_home)
    before = registry.current()
    job = subprocess.Popen(command(tiny_home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay_s)
    job.send_signal(signal.SIGKILL)
    job.wait()
    # killed in time it published nothing; finished before, it published a whole version
    assert registry.current() == before or len(registry.versions()) == 2
    registry.open(registry.current() or "")
    assert rows_of(tiny_home) == rows
    again = subprocess.run(command(tiny_home), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert registry.current() == json.loads(again.stdout.splitlines()[-1])["version"]


def test_training_without_data_says_what_to_do(tmp_path):
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "import data first" in done.stderr
    assert "Traceback" not in done.stderr
