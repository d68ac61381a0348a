"""The service as real processes: several workers, signals, sudden death."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from hypothesis import settings

from model.storage.event_log import open_log
from model.workspace import Workspace
from tests.service.conftest import Process, process, wait_until
from tests.service.killing import kill_many_times
from tests.service.pairs import make_pairs


def workers_of(running):
    """Process ids of all serving processes that were started, dead ones too."""
    log = running.log_path.read_text()
    return [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", log)]


def test_what_one_worker_acknowledged_every_worker_knows(tiny_home):
    with process(tiny_home, "--workers", "2") as running:
        with contextlib.ExitStack() as stack:
            # One connection stays with one worker; many reach both.
            clients = [stack.enter_context(running.client()) for _ in range(12)]
            wait_until(lambda: all(c.get("/health/ready").status_code == 200 for c in clients))
            for number, writer in enumerate(clients):
                user = f"user-{number}"
                best = writer.get(f"/recommend/{user}").json()["items"][0]["item_id"]
                event = {"event_type": "like", "user_id": user, "item_id": best}
                seq = writer.post("/events", json=event).json()["last_seq"]
                for reader in clients:
                    reply = reader.get(f"/recommend/{user}").json()
                    assert reply["memory_as_of"] >= seq
                    assert best not in [item["item_id"] for item in reply["items"]]
            # Any worker shows the sum over all of them; an answer is counted after it was sent.
            labels = 'method="GET",route="/recommend/{user_id}",status="200"'
            count = f"slowwave_http_requests_total{{{labels}}} {12 * 13}.0"
            wait_until(lambda: all(count in c.get("/metrics").text for c in clients))
            metrics = clients[0].get("/metrics").text
        assert len(workers_of(running)) == 2
    assert re.search(r'slowwave_model_serving\{version="v0001-\w{8}"\} 2\.0', metrics)
    assert "slowwave_model_swaps_total 2.0" in metrics


def test_a_killed_worker_is_replaced_and_counted_out(tiny_home):
    with process(tiny_home, "--workers", "2") as running:
        wait_until(lambda: len(workers_of(running)) == 2)
        os.kill(workers_of(running)[0], signal.SIGKILL)
        wait_until(lambda: len(workers_of(running)) == 3)

        def two_serve_again():
            with contextlib.suppress(httpx.TransportError), running.client() as client:
                found = client.get("/metrics").text
                return re.search(r"slowwave_model_serving\{.*\} 2\.0", found) is not None

        wait_until(two_serve_again)


def test_workers_end_with_the_process_that_started_them(tiny_home):
    with process(tiny_home, "--workers", "2") as running:
        wait_until(lambda: len(workers_of(running)) == 2)
        workers = workers_of(running)
        running.stop(signal.SIGKILL)

    def is_free():
        with socket.socket() as again:
            return again.connect_ex(("127.0.0.1", running.port)) != 0

    wait_until(lambda: not any(Path("/proc", str(pid)).exists() for pid in workers))
    wait_until(is_free)


def test_sudden_death_under_load_loses_nothing_that_was_acknowledged(tiny_home):
    acknowledged = []
    with process(tiny_home) as running:

        def write_on_and_on(number):
            with contextlib.suppress(httpx.TransportError), running.client() as client:
                for count in range(100_000):
                    ids = [f"e-{number}-{count}-{which}" for which in range(5)]
                    events = [
                        {"event_id": one, "event_type": "click", "user_id": "u1", "item_id": "i1"}
                        for one in ids
                    ]
                    answer = client.post("/events", json={"events": events})
                    assert answer.status_code == 202
                    acknowledged.extend(ids)

        threads = [threading.Thread(target=write_on_and_on, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(acknowledged) > 500)
        running.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()
    log = open_log(Workspace(tiny_home).log_path)
    lost = [one for one in acknowledged if log.event(one) is None]
    log.close()
    assert lost == []
    with process(tiny_home) as again, again.client() as client:
        assert client.get("/recommend/u1").status_code == 200


@pytest.mark.fuzz
def test_what_one_worker_was_told_shows_in_the_next_reply_of_another(tiny_home):
    """By itself, and to see what it came to: `python -m tests.service.pairs HOME PAIRS`."""
    pairs = max(40, (settings.default or settings()).max_examples)
    told = make_pairs(tiny_home, pairs)
    assert told["workers"] == 2
    assert told["pairs"] >= pairs
    assert told["misses"] == []


@pytest.mark.fuzz
def test_whatever_dies_when_nothing_acknowledged_is_lost_doubled_or_torn(tiny_home):
    """By itself, and to see what it came to: `python -m tests.service.killing HOME KILLS`."""
    kills = max(4, (settings.default or settings()).max_examples // 25)
    told = kill_many_times(tiny_home, kills)
    assert told["kills"] == kills
    assert told["acknowledged"] > kills * 50


def test_on_sigterm_a_request_that_runs_is_answered_and_durable(tiny_home):
    event = {"event_id": "the-last", "event_type": "click", "user_id": "u1", "item_id": "i1"}
    body = json.dumps(event).encode()

    with process(tiny_home) as running:

        def slow_body():
            yield body[:10]
            running.popen.send_signal(signal.SIGTERM)
            wait_until(lambda: "Shutting down" in running.log_path.read_text())
            yield body[10:]

        with running.client() as client:
            answer = client.post("/events", content=slow_body())
        assert answer.status_code == 202
        running.popen.wait(30)
    log = open_log(Workspace(tiny_home).log_path)
    assert log.event("the-last") is not None
    log.close()


def test_an_idle_service_stops_at_once(tiny_home):
    with process(tiny_home) as running:
        started = time.monotonic()
        running.stop()
        assert time.monotonic() - started < 5


def test_the_serving_process_loads_neither_tensorflow_nor_parquet_nor_a_terminal(tiny_home):
    code = """
import json, sys, threading, urllib.request
import uvicorn
import service.__main__
from service.app import create_app
from service.settings import load_settings

app = create_app(load_settings(home=sys.argv[1], auth="off"))
server = uvicorn.Server(uvicorn.Config(app, port=0, loop="uvloop", log_config=None))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    thread.join(0.01)
port = server.servers[0].sockets[0].getsockname()[1]

def post(path, **body):
    content = json.dumps(body).encode()
    return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", content).status

assert post("/recommend", user_id="u1", explain="full") == 200
assert post("/events", event_type="like", user_id="u1", item_id="i1") == 202
server.should_exit = True
thread.join()
heavy = {"tensorflow", "tf_keras", "keras", "tensorflow_recommenders", "pyarrow", "rich"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_home)], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--host", "0.0.0.0"], {"SLOWWAVE_AUTH": "off"}, "can be reached by others"),  # noqa: S104
        (["--workers", "0"], {}, "workers"),
        ([], {"SLOWWAVE_AUTH": "perhaps"}, "auth"),
        ([], {"SLOWWAVE_LOG_LEVEL": "chatty"}, "log_level"),
    ],
)
def test_wrong_settings_end_the_start_with_a_plain_message(
    tiny_home, arguments, environment, message
):
    refused = Process(tiny_home, *arguments, **environment)
    assert refused.popen.wait(30) == 2
    said = refused.log_path.read_text()
    assert message in said
    assert "Traceback" not in said


def test_a_file_that_is_no_event_log_ends_the_start(tiny_home):
    Workspace(tiny_home).log_path.write_bytes(b"this is not SQLite" * 1_000)
    refused = Process(tiny_home)
    assert refused.popen.wait(30) != 0
    assert "events.db" in refused.log_path.read_text()


def test_every_line_of_the_log_is_json(tiny_home):
    with process(tiny_home) as running, running.client() as client:
        client.get("/recommend/u1")
    for line in running.log_path.read_text().splitlines():
        assert json.loads(line)["time"]
