"""An event to one worker, a question to another: `python -m tests.service.pairs HOME PAIRS`.

Several threads each ask one worker for a new user's list, tell another worker that the user
likes its first item, and ask the first one again at once: the reply must reflect the event.
"""

import contextlib
import json
import os
import re
import statistics
import sys
import threading
import time
from pathlib import Path

import httpx

from tests.service.conftest import wait_until
from tests.service.killing import kill, started

THREADS = 4
CONNECTIONS = 24


def worker_of(client, port):
    """Process id of the worker that serves this client's connection."""
    stream = client.get("/health/live").extensions["network_stream"]
    own = stream.get_extra_info("client_addr")[1]
    wanted = (f":{port:04X}", f":{own:04X}")
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (fields[1][-5:], fields[2][-5:]) == wanted:
            return _owner(f"socket:[{fields[9]}]")
    raise AssertionError(f"no socket between {port} and {own}")


def _owner(socket):
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            if any(str(file.readlink()) == socket for file in folder.iterdir()):
                return int(folder.parent.name)
    raise AssertionError(f"{socket} belongs to nobody")


class Pairs(threading.Thread):
    """Makes pairs until it has made enough.

    Attributes:
      misses: What replies did not reflect.
      waited_s: From the acknowledgement to the reply that reflects it, by pair.
    """

    def __init__(self, number, writer, reader, pairs):
        super().__init__()
        self.number, self.writer, self.reader, self.pairs = number, writer, reader, pairs
        self.misses = []
        self.waited_s = []

    def run(self):
        for pair in range(self.pairs):
            user = f"pair-{self.number}-{os.getpid()}-{pair}"
            best = self.ask(user)["items"][0]["item_id"]
            event = {"event_type": "like", "user_id": user, "item_id": best}
            seq = self.writer.post("/events", json=event).json()["last_seq"]
            began = time.perf_counter()
            reply = self.ask(user)
            self.waited_s.append(time.perf_counter() - began)
            listed = best in [item["item_id"] for item in reply["items"]]
            if listed or reply["memory_as_of"] < seq:
                self.misses.append((user, seq, reply["memory_as_of"], listed))

    def ask(self, user):
        return self.reader.get(f"/recommend/{user}").json()


def make_pairs(home, pairs, workers=2):
    """What came of so many pairs, each of two different workers."""
    running, _ = started(home, workers)
    try:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(running.client()) for _ in range(CONNECTIONS)]
            wait_until(lambda: all(c.get("/health/ready").status_code == 200 for c in clients))
            by_worker: dict[int, list[httpx.Client]] = {}
            for client in clients:
                by_worker.setdefault(worker_of(client, running.port), []).append(client)
            told, heard = sorted(by_worker.values(), key=len)[-2:]
            threads = min(THREADS, len(told))
            own = [Pairs(n, told[n], heard[n], -(-pairs // threads)) for n in range(threads)]
            for thread in own:
                thread.start()
            for thread in own:
                thread.join()
            metrics = clients[0].get("/metrics").text
    finally:
        kill(running)
    waited = [1e3 * s for thread in own for s in thread.waited_s]
    effect = re.findall(r"^(slowwave_time_to_effect\w*_(?:sum|count)).* (\S+)$", metrics, re.M)
    return {
        "workers": len(by_worker),
        "threads": threads,
        "pairs": len(waited),
        "misses": [miss for thread in own for miss in thread.misses],
        "reply_ms_median": round(statistics.median(waited), 2),
        "reply_ms_most": round(max(waited), 2),
        "time_to_effect": dict(effect),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(make_pairs(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
