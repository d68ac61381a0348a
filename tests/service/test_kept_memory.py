"""A worker begins with what the one before has kept, and an erased user is not in it."""

import re
import signal
import time

from model.interactions import Event
from model.storage.event_log import open_log
from model.workspace import Workspace
from pipelines.console import Console
from pipelines.forget import forget
from tests.service.conftest import process, serving, wait_until

SILENT = Console(quiet=True)


def with_many_events(home, n=6_000):
    """A log that is worth keeping a memory of."""
    now_ms = time.time_ns() // 1_000_000
    log = open_log(Workspace(home).log_path)
    log.append(
        [
            Event(f"many-{k}", "click", now_ms - k, user_id=f"m{k % 500}", item_id=f"i{k % 37}")
            for k in range(n)
        ],
        now_ms,
    )
    head = log.head()
    log.close()
    return Workspace(home), head


def rows_read(running):
    """Log rows that each start of the service has read."""
    return [int(rows) for rows in re.findall(r'"log_rows":(\d+)', running.log_path.read_text())]


def asked(client):
    reply = client.post("/recommend", json={"user_id": "m7", "n": 20, "explain": "brief"}).json()
    return [item["item_id"] for item in reply["items"]], reply["memory_as_of"]


def test_after_sudden_death_a_start_reads_only_what_came_since(tiny_home):
    workspace, head = with_many_events(tiny_home)
    with process(tiny_home) as running, running.client() as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        first = asked(client)
        wait_until(lambda: rows_read(running) == [head])
        client.post("/events", json={"event_type": "click", "user_id": "m7", "item_id": "i3"})
        running.stop(signal.SIGKILL)
    assert workspace.snapshot_path.exists()
    with process(tiny_home) as running, running.client() as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        second = asked(client)
        wait_until(lambda: rows_read(running) == [1])
    workspace.snapshot_path.unlink()
    with process(tiny_home) as running, running.client() as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        assert asked(client) == second
        wait_until(lambda: rows_read(running) == [head + 1])
    assert (first[1], second[1]) == (head, head + 1)


def test_a_memory_that_cannot_be_kept_is_no_reason_not_to_serve(tiny_home):
    workspace, head = with_many_events(tiny_home)
    workspace.snapshot_path.mkdir(parents=True)
    with serving(tiny_home) as client:
        assert asked(client)[1] == head


def test_what_was_kept_goes_with_an_erased_user(tiny_home):
    workspace, _ = with_many_events(tiny_home)
    with serving(tiny_home) as client:
        assert b"m7" in workspace.snapshot_path.read_bytes()
        client.delete("/users/m7")
        # it is made again without them, or not at all
        path = workspace.snapshot_path
        assert not path.exists() or b"m7m8" not in path.read_bytes()
        wait_until(lambda: path.exists())
        assert b"m6m8" in path.read_bytes()


def test_a_user_erased_on_the_command_line_is_not_kept_either(tiny_home):
    workspace, _ = with_many_events(tiny_home)
    with serving(tiny_home):
        assert workspace.snapshot_path.exists()
    now_ms = time.time_ns() // 1_000_000
    forget(workspace, user_id="m7", now_ms=now_ms, console=SILENT)
    assert not workspace.snapshot_path.exists()
