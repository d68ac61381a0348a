"""What callers hear while the event log cannot be used."""

import os
import resource
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

from model.storage.event_log import open_log
from model.workspace import Workspace
from pipelines.benchmark.swap import publish_again
from tests.repository import ROOT
from tests.service.conftest import process, serving, wait_until


def batch(start, size):
    return {
        "events": [
            {"event_id": f"e-{n}", "event_type": "click", "user_id": "u1", "item_id": "i1"}
            for n in range(start, start + size)
        ]
    }


def test_more_events_than_may_wait_are_told_to_come_back(tiny_home):
    with serving(tiny_home, event_queue_entries=1_000) as client:
        answers = []
        with closing(sqlite3.connect(Workspace(tiny_home).log_path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            thread = threading.Thread(
                target=lambda: answers.append(client.post("/events", json=batch(0, 900)))
            )
            thread.start()
            wait_until(lambda: "slowwave_events_waiting 900.0" in client.get("/metrics").text)
            refused = client.post("/events", json=batch(900, 200))
            db.execute("ROLLBACK")
        thread.join()
        assert (refused.status_code, refused.json()["code"]) == (503, "events_waiting")
        assert int(refused.headers["Retry-After"]) >= 1
        assert answers[0].json()["accepted"] == 900
        assert client.post("/events", json=batch(900, 200)).json()["accepted"] == 200


def test_a_log_that_cannot_be_written_is_told_and_nothing_is_acknowledged(tiny_home):
    with serving(tiny_home) as client:
        path = Workspace(tiny_home).log_path
        with path.open("r+b") as file:
            file.write(b"\0" * path.stat().st_size)
        answer = client.post("/events", json=batch(0, 1))
        assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        assert str(tiny_home) not in answer.text


def test_while_the_log_cannot_be_read_lists_come_from_memory_and_say_so(tiny_home):
    with serving(tiny_home) as client:
        known = client.get("/recommend/u1").json()
        path = Workspace(tiny_home).log_path
        with path.open("r+b") as file:
            file.write(b"\0" * path.stat().st_size)
        # another connection's change makes the reader look at the file again
        for _ in range(3):
            reply = client.get("/recommend/never met").json()
            assert len(reply["items"]) == 10
            assert reply["fallback"] in {"popular", "log_unavailable"}
            assert reply["memory_as_of"] == known["memory_as_of"]
        assert client.get("/popular").status_code in {200, 503}


def test_a_full_disk_is_told_reads_go_on_and_room_heals_it(tiny_home):
    """The file-size limit of the process stands for a disk without room."""
    with process(tiny_home) as running, running.client() as client:
        used = max(file.stat().st_size for file in tiny_home.glob("events.db*"))
        limit = used + 300_000
        resource.prlimit(running.popen.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        accepted, refused = 0, None
        for start in range(0, 1_000_000, 500):
            answer = client.post("/events", json=batch(start, 500))
            if answer.status_code != 202:
                refused = answer
                break
            accepted += answer.json()["accepted"]
        assert refused is not None
        assert (refused.status_code, refused.json()["code"]) == (503, "log_unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        reply = client.get("/recommend/u1").json()
        assert len(reply["items"]) == 10
        assert client.get("/health/live").status_code == 200
        resource.prlimit(
            running.popen.pid,
            resource.RLIMIT_FSIZE,
            (resource.RLIM_INFINITY, resource.RLIM_INFINITY),
        )
        again = client.post("/events", json=batch(2_000_000, 500))
        assert again.json()["accepted"] == 500
    with closing(open_log(Workspace(tiny_home).log_path)) as log:
        # every acknowledged event is there, and nothing of the refused batch in part
        known = [log.event(f"e-{n}") is not None for n in range(accepted)]
        assert all(known)


def test_a_disk_that_may_only_be_read_is_told_and_reads_go_on(tiny_home):
    """As when a file system is remounted read-only: open files go on, nothing is written."""
    publish_again(Workspace(tiny_home))
    with process(tiny_home) as running, running.client() as client:
        known = client.get("/recommend/u1").json()
        resource.prlimit(running.popen.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        answer = client.post("/events", json=batch(0, 1))
        assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")
        for call in ("/users/u1", "/items/i1"):
            answer = client.request("PUT", call, json={"attributes": {"new": True}})
            assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")
        assert client.delete("/users/u1").status_code == 503
        for call in ("/admin/consolidate", "/admin/rollback"):
            answer = client.post(call, json={})
            assert (answer.status_code, answer.json()["code"]) == (503, "disk_unavailable")
            assert answer.headers["Retry-After"] == "5"
            assert str(tiny_home) not in answer.text
        assert not [*tiny_home.rglob(".CURRENT.*"), *tiny_home.rglob(".*.json.*")]
        assert client.get("/recommend/u1").json()["items"] == known["items"]
        assert client.get("/items/i1").status_code == 200
        assert client.get("/health/live").status_code == 200


def test_a_service_on_a_folder_that_may_only_be_read_says_so_and_ends(tiny_home):
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    else:
        command = []
    for path in (tiny_home, *tiny_home.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    parents = [each for each in tiny_home.parents if (each.stat().st_mode & 0o055) != 0o055]
    before = [(parent, parent.stat().st_mode) for parent in parents]
    for parent, _ in before:
        parent.chmod(0o755)
    try:
        done = subprocess.run(
            [*command, sys.executable, "-m", "service", "--home", tiny_home, "--port", "0"],
            env=os.environ | {"SLOWWAVE_AUTH": "off", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        for parent, mode in before:
            parent.chmod(mode)
        for path in (tiny_home, *tiny_home.rglob("*")):
            path.chmod(0o755)
    assert done.returncode != 0
    assert "events.db" in done.stderr
