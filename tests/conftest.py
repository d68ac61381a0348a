"""What holds for every test: a clean environment, local sockets, TensorFlow only where marked."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import settings

from tests.worlds import MINUTE_MS, ratings, write_world

# Shared machines pause at any moment, so no deadline.
settings.register_profile("quick", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=5_000)
settings.load_profile("quick")

for name in [name for name in os.environ if name.startswith("SLOWWAVE_")]:
    del os.environ[name]

LOCAL_HOSTS = {"127.0.0.1", "::1", "localhost"}


def refuse_distant_hosts(event, arguments):
    """An audit hook: a test that reaches for another machine fails at the call."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
        if host not in LOCAL_HOSTS:
            raise RuntimeError(f"tests speak to this machine only, not to {host}")


sys.addaudithook(refuse_distant_hosts)


def pytest_ignore_collect(collection_path, config):
    """A run without the `tf` tests does not even import the modules full of them."""
    if collection_path.suffix != ".py" or "not tf" not in config.option.markexpr:
        return None
    text = collection_path.read_text("utf-8")
    return bool(re.search(r"^pytestmark = .*\bpytest\.mark\.tf\b", text, re.MULTILINE)) or None


@pytest.fixture(scope="session")
def tensorflow_may_load(request):
    return any(item.get_closest_marker("tf") for item in request.session.items)


@pytest.fixture(autouse=True)
def tensorflow_only_where_marked(tensorflow_may_load):
    """Keeps the fast tests fast: nothing in such a run loads TensorFlow unnoticed."""
    yield
    if not tensorflow_may_load:
        assert "tensorflow" not in sys.modules, "this test loads TensorFlow: mark it `tf`"


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory):
    """A workspace with a log and a model trained by the real command. Read it; to write, copy."""
    home = tmp_path_factory.mktemp("world") / "home"
    events = ratings(np.random.default_rng(0))
    write_world(home, events, now_ms=events[-1].timestamp_ms + MINUTE_MS)
    command = [sys.executable, "-m", "pipelines", "train", "--home", str(home)]
    # a process of its own, so that TensorFlow stays out of this one
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return home


@pytest.fixture
def tiny_home(trained_home, tmp_path):
    """A copy of the trained workspace that a test may change."""
    return shutil.copytree(trained_home, tmp_path / "home")
