"""Sudden deaths under write load: `python -m tests.service.killing HOME KILLS`.

A service with two workers takes events from several writers, one reader follows the log, and
again and again everything is killed at once. What was acknowledged must be there exactly
once, whatever the reader saw must stay, and the next start must be quick.
"""

import contextlib
import json
import os
import random
import signal
import statistics
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx

from model.interactions import Kind
from model.storage.event_log import open_log
from model.workspace import Workspace
from tests.service.conftest import Process, wait_until

WRITERS = 4
BATCH = 7


class Writer(threading.Thread):
    """Sends batches until the service is gone; repeats what was not acknowledged."""

    def __init__(self, running, life, number, unsure):
        super().__init__()
        self.running = running
        self.name_ = f"w{life}-{number}"
        self.acknowledged = []
        self.unsure = unsure  # ids of which nobody knows whether they were written
        self.refused = 0

    def run(self):
        count = 0
        with contextlib.suppress(httpx.TransportError), self.running.client() as client:
            while True:
                ids = [f"{self.name_}-{count}-{which}" for which in range(BATCH)]
                again = self.unsure[:BATCH]
                sent = [*ids, *again]
                self.unsure[:] = [*ids, *self.unsure]
                events = [
                    {"event_id": one, "event_type": "click", "user_id": self.name_, "item_id": "i1"}
                    for one in sent
                ]
                answer = client.post("/events", json={"events": events})
                if answer.status_code != 202:
                    self.refused += 1
                    continue
                told = answer.json()
                assert told["accepted"] + told["duplicates"] == len(sent), told
                self.acknowledged += sent
                self.unsure[:] = [one for one in self.unsure if one not in set(sent)]
                count += 1


class Reader(threading.Thread):
    """Follows the log as another process would; positions rise and nothing comes twice."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.stopping = threading.Event()
        self.ids = set()
        self.after = 0
        self.error = None

    def run(self):
        try:
            with closing(open_log(self.path)) as log:
                while not self.stopping.is_set():
                    rows = log.tail(self.after, limit=200)
                    assert [r.seq for r in rows] == list(
                        range(self.after + 1, self.after + 1 + len(rows))
                    )
                    for row in rows:
                        if row.kind == Kind.EVENT:
                            assert row.event_id not in self.ids, row.event_id
                            self.ids.add(row.event_id)
                        self.after = row.seq
                    if not rows:
                        time.sleep(0.002)
        except Exception as error:  # noqa: BLE001 (told to the main thread)
            self.error = error


def kill(running):
    """Ends the process that was started and its workers; stopped first, it makes no new ones."""
    first = running.popen.pid
    os.kill(first, signal.SIGSTOP)
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    for pid in [first, *map(int, children)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.popen.wait()


def started(home, workers):
    """A service that answers, and the seconds it took from the start to ready."""
    began = time.monotonic()
    running = Process(home, "--workers", str(workers))
    with running.client() as client:

        def is_ready():
            assert running.popen.poll() is None, running.log_path.read_text()
            with contextlib.suppress(httpx.TransportError):
                return client.get("/health/ready").status_code == 200

        wait_until(is_ready)
    return running, time.monotonic() - began


def live_and_die(home, life, workers, unsure, rng):
    """One life of the service under load; returns what was acknowledged and the start's time."""
    running, start_s = started(home, workers)
    writers = [Writer(running, life, number, unsure[number]) for number in range(WRITERS)]
    try:
        for writer in writers:
            writer.start()
        wait_until(lambda: sum(len(writer.acknowledged) for writer in writers) > 50)
        time.sleep(rng.uniform(0, 0.3))
    finally:
        kill(running)
        for writer in writers:
            writer.join()
        running.log_path.unlink()
    return [one for writer in writers for one in writer.acknowledged], start_s


def kill_many_times(home, kills, *, workers=2, seed=None):
    """Raises AssertionError where something was lost, doubled or torn; returns what was done."""
    rng = random.Random(seed)  # noqa: S311
    path = Workspace(home).log_path
    unsure: list[list[str]] = [[] for _ in range(WRITERS)]
    acknowledged, starts_s = set(), []
    reader = Reader(path)
    reader.start()
    try:
        for life in range(kills):
            known, start_s = live_and_die(home, life, workers, unsure, rng)
            acknowledged.update(known)
            starts_s.append(start_s)
            assert reader.error is None, reader.error
    finally:
        reader.stopping.set()
        reader.join()
    assert reader.error is None, reader.error
    with closing(open_log(path)) as log:
        rows = [row for row in log.tail(0, limit=10**8) if row.kind == Kind.EVENT]
        ids = [row.event_id for row in rows]
        assert len(set(ids)) == len(ids)
        assert acknowledged <= set(ids)
        assert reader.ids <= set(ids)
        head = log.head()
    return {
        "kills": kills,
        "acknowledged": len(acknowledged),
        "in_the_log": head,
        "lost": 0,
        "doubled": 0,
        "start_s_median": round(statistics.median(starts_s), 2),
        "start_s_most": round(max(starts_s), 2),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(kill_many_times(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
