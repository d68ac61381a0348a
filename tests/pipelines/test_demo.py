"""The demo on a small world in MovieLens-100K's files: the real commands, a real service."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from model.errors import BadInputError
from model.storage.event_log import open_log
from model.workspace import Workspace
from pipelines.console import Console
from pipelines.demo import KNOWN_USER, demo
from pipelines.demo_lists import reasons
from pipelines.demo_workspace import FIRST_RATED
from pipelines.running_service import free_port
from tests.worlds import TINY_CONFIG, ratings

WAIT_S = 60


def write_films(folder):
    """Even films are for children, the first rated ones among them; odd ones are dramas."""
    folder.mkdir()
    titles = dict(zip((10, 12, 14), FIRST_RATED, strict=True))
    films, events = [], ratings(np.random.default_rng(0))
    for number in range(40):
        flags = ["1" if n == (4 if number % 2 == 0 else 8) else "0" for n in range(19)]
        title = titles.get(number, f"Film {number} (1990)")
        films.append("|".join([str(number), title, "01-Jan-1990", "", "", *flags]))
    users = [f"{n}|30|F|writer|12345" for n in range(60)]
    # the known user takes the place of one of them
    lines = []
    for event in events:
        user, item = str(event.user_id)[1:], str(event.item_id)[1:]
        user = KNOWN_USER if user == "7" else user
        lines.append(f"{user}\t{item}\t{event.value:g}\t{event.timestamp_ms // 1000}")
    (folder / "u.data").write_text("\n".join(lines) + "\n")
    (folder / "u.item").write_text("\n".join(films) + "\n")
    (folder / "u.user").write_text("\n".join(users) + f"\n{KNOWN_USER}|49|M|writer|55105\n")
    return folder


def start(home, data, *options):
    command = [sys.executable, "-m", "pipelines", "demo", "--home", home, "--data", data]
    return subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background of a shell ignores Ctrl-C, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(started):
    """Exit code, output and errors, of which none is a traceback."""
    output, errors = started.communicate(timeout=WAIT_S)
    assert "Traceback" not in output + errors
    return started.returncode, output, errors


def last_line(output):
    return json.loads(output.strip().rpartition("\n")[2])


def read_until(started, pattern):
    """Reads the output up to a line with this pattern; returns what it matched."""
    for line in started.stdout:
        if found := re.search(pattern, line):
            return found[0]
    raise AssertionError(f"{pattern} never came; errors: {started.stderr.read()}")


def answers(url):
    try:
        return urllib.request.urlopen(f"{url}/health/ready", timeout=5).status == 200  # noqa: S310
    except urllib.error.URLError:
        return False


def children(process_id):
    return Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """What the demo said of a new workspace, the workspace and the data."""
    folder = tmp_path_factory.mktemp("demo")
    data, home = write_films(folder / "ml-100k"), folder / "home"
    home.mkdir()
    Workspace(home).config_path.write_text(TINY_CONFIG)
    code, output, _ = finish(start(home, data, "--no-serve", "--port", "0", "--json"))
    assert code == 0
    return output, home, data


@pytest.fixture
def home_and_data(first_run, tmp_path):
    """A copy of the workspace of the first run that a test may change."""
    _, home, data = first_run
    return shutil.copytree(home, tmp_path / "home"), data


@pytest.mark.slow
def test_a_newcomers_list_changes_after_three_ratings_and_says_why(first_run):
    newcomer = last_line(first_run[0])["newcomer"]
    before, after = newcomer["before"], newcomer["after"]
    assert (before["fallback"], after["fallback"]) == ("popular", None)
    assert [rated["title"] for rated in newcomer["ratings"]] == list(FIRST_RATED)
    then, now = ([item["title"] for item in ranked["items"]] for ranked in (before, after))
    assert len(then) == len(now) == 10
    assert not set(now) & set(FIRST_RATED)
    change = newcomer["change"]
    assert change["overlap"] == len(set(then) & set(now)) < 10
    assert set(change["came"]) == set(now) - set(then)
    assert set(change["left"]) == set(then) - set(now)
    texts = {cause["text"] for cause in change["causes"]}
    assert texts & {f"you liked {title}" for title in FIRST_RATED}


@pytest.mark.slow
def test_the_last_line_accounts_for_the_run(first_run):
    output, home, _ = first_run
    told = last_line(output)
    assert told["home"] == str(home)
    assert told["trained"] is True
    assert told["imported"]["events"] == 1_200
    assert told["model_version"] == (home / "models" / "CURRENT").read_text().strip()
    assert set(told["seconds"]) == {"fetch", "import", "train", "ready", "total"}
    assert told["known"]["user_id"] == KNOWN_USER
    assert told["known"]["fallback"] is None
    assert "auc" in told["metrics"]


@pytest.mark.slow
def test_the_text_names_the_films_the_url_and_the_next_calls(first_run):
    output, home, _ = first_run
    for words in (
        "SLOWWAVE_AUTH=off", "A known user: 196", "49 years old, writer", "Three ratings later",
        "of the 10 films are new", "/recommend -H", "/events -H", "/docs", "/metrics",
        f"consolidate --home {home}", f"serve --home {home}",
    ):  # fmt: skip
        assert words in output


@pytest.mark.slow
def test_no_serve_leaves_no_service(first_run):
    assert not answers(last_line(first_run[0])["url"])


@pytest.mark.slow
def test_a_second_run_uses_what_is_there(first_run, home_and_data):
    code, output, _ = finish(start(*home_and_data, "--no-serve", "--port", "0", "--json"))
    first, second = last_line(first_run[0]), last_line(output)
    assert code == 0
    assert second["trained"] is False
    assert second["imported"]["events"] == 0
    assert second["model_version"] == first["model_version"]
    # somebody new is new every time
    assert second["newcomer"]["user_id"] != first["newcomer"]["user_id"]
    assert second["newcomer"]["before"]["fallback"] == "popular"


@pytest.mark.slow
def test_a_port_in_use_is_replaced_by_a_free_one(home_and_data):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        code, output, _ = finish(start(*home_and_data, "--no-serve", "--port", str(port), "--json"))
    assert code == 0
    taken = last_line(output)["url"].rpartition(":")[2]
    assert f"Port {port} is in use, so port {taken} is taken." in output
    assert taken != str(port)


@pytest.mark.slow
def test_the_service_runs_until_ctrl_c_and_ends_well(home_and_data):
    started = start(*home_and_data, "--port", "0")
    url = read_until(started, "http:" + re.escape("//127.0.0.1:") + r"\d+")
    read_until(started, "until you press Ctrl-C")
    assert answers(url)
    started.send_signal(signal.SIGINT)
    code, output, _ = finish(started)
    assert code == 0
    assert "Stopping the service." in output
    assert not answers(url)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 1)]
)
def test_a_signal_in_the_middle_stops_the_service_too(home_and_data, number, code):
    started = start(*home_and_data, "--port", "0", "--no-serve")
    read_until(started, "── Data and model")
    (service,) = wait_for(lambda: children(started.pid))
    started.send_signal(number)
    assert finish(started)[0] == code
    assert not Path("/proc", service).exists()


@pytest.mark.slow
def test_a_service_that_dies_ends_the_demo_with_its_last_words(home_and_data):
    started = start(*home_and_data, "--port", "0")
    read_until(started, "until you press Ctrl-C")
    (service,) = children(started.pid)
    os.kill(int(service), signal.SIGKILL)
    code, _, errors = finish(started)
    assert code == 1
    assert "the service ended with exit code -9" in errors
    assert "service.log" in errors


@pytest.mark.slow
def test_a_service_that_cannot_start_is_told_with_its_last_words(home_and_data):
    home, data = home_and_data
    with Workspace(home).config_path.open("a") as config:
        config.write('\n[service]\nworkers = "several"\n')
    code, _, errors = finish(start(home, data, "--port", "0", "--no-serve"))
    assert code == 1
    assert "the service ended with exit code 2" in errors
    assert "workers" in errors


def wait_for(found):
    deadline = time.monotonic() + WAIT_S
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value


def test_other_peoples_data_are_not_mixed_with_films(tiny_home, tmp_path):
    data = write_films(tmp_path / "ml-100k")
    with pytest.raises(BadInputError, match="holds data other than MovieLens-100K"):
        demo(home=tiny_home, data=data, serve=False, port=0, console=Console(quiet=True))
    with closing(open_log(Workspace(tiny_home).log_path)) as log:
        titles = {(item.attributes or {})["title"] for item in log.catalogue().items}
    assert titles == {f"Item {number}" for number in range(40)}


def test_a_folder_with_something_else_makes_no_workspace(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(BadInputError, match="holds no known data set"):
        demo(
            home=tmp_path / "home",
            data=tmp_path / "data",
            serve=False,
            port=0,
            console=Console(quiet=True),
        )
    assert not (tmp_path / "home").exists()


def test_a_reason_counts_once_with_all_its_weight_and_only_when_it_speaks_for_the_item():
    because = [
        {"text": "you liked A", "contribution": 0.2},
        {"text": "you liked B", "contribution": 0.3},
        {"text": "you liked A", "contribution": 0.25},
        {"text": "you disliked C", "contribution": -0.5},
    ]
    (first, weight), second = reasons(because)
    assert (first, second) == ("you liked A", ("you liked B", 0.3))
    assert weight == pytest.approx(0.45)


def test_a_wanted_port_is_taken_when_it_is_free_and_replaced_when_not():
    free = free_port()
    assert free_port(free) == free
    with socket.create_server(("127.0.0.1", free)):
        assert free_port(free) != free
