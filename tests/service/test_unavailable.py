"""What callers hear while the event log cannot be used."""

import sqlite3
import threading
from contextlib import closing

from model.workspace import Workspace
from tests.service.conftest import serving, wait_until


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
