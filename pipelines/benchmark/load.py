"""`python -m pipelines.benchmark.load`: requests over many connections, from a process of its own.

A loop over plain sockets: an HTTP client library would be slower than the server it measures.
"""

import json
import math
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final

HOST: Final = "127.0.0.1"
MARKER: Final = b"########"
"""In a body: where the number of the request is written, so that no two are the same."""

_TIMEOUT_S: Final = 30.0
_SUCCESS: Final = (b"200", b"202")
_SHED: Final = (b"429", b"503")


@dataclass(frozen=True)
class Load:
    """What to send.

    Attributes:
      port: The server's port on this machine.
      path: The path of every request.
      bodies: A file with a JSON body on each line; they are sent in turn.
      connections: How many requests may be under way.
      seconds: How long.
      rate: Requests per second, evenly spread; None for as many as are answered.
      overload: Whether it is meant to be too much: being turned away is no failure then, and
        time counts from the sending.
      key: The API key that is sent with every request; None for none.
      first: Number of the first request.
    """

    port: int
    path: str
    bodies: str
    connections: int
    seconds: float
    rate: float | None = None
    first: int = 0
    overload: bool = False
    key: str | None = None

    def as_argument(self) -> str:
        """For the command line of the process that sends it."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Sent:
    """What came of it.

    Attributes:
      requests: Requests that were answered with success.
      failed: Requests that were answered in another way.
      shed: Of these, how many were turned away with 429 or 503.
      seconds: From the first request to the last answer.
      latencies_ms: Share of requests in percent (50, 95, 99) to the time within which they
        were answered; at a fixed rate it counts from the moment a request was due.
    """

    requests: int
    failed: int
    shed: int
    seconds: float
    latencies_ms: dict[str, float]

    @property
    def per_s(self) -> float:
        """Answered requests per second."""
        return self.requests / self.seconds


class _Connection:
    """A kept-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._received = b""
        self._length = 0

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Takes what has come; the status of the answer once it is whole.

        Raises:
          ConnectionError: If the server has closed the connection.
        """
        block = self.socket.recv(1 << 18)
        if not block:
            raise ConnectionError("the server closed a connection")
        self._received += block
        if not self._length:
            self._length = _answer_length(self._received)
        if not self._length or len(self._received) < self._length:
            return None
        status = self._received[9:12]
        self._received, self._length = b"", 0
        return status


def _answer_length(received: bytes) -> int:
    """Bytes of the whole answer, 0 while its head is not complete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = received[:end].lower()
    at = head.find(b"content-length:") + len(b"content-length:")
    return end + 4 + int(head[at:].split(b"\r\n", 1)[0])


class _Run:
    """One load on its way: what is due is sent on idle connections, what comes is timed."""

    def __init__(self, load: Load, selector: selectors.BaseSelector) -> None:
        self.failed = 0
        self.shed = 0
        self._from_due = not load.overload
        self.latencies_s: list[float] = []
        self._requests = cycle(_requests(load))
        self._first = load.first
        self._sent = 0
        self._selector = selector
        self._idle = [_Connection(load.port) for _ in range(load.connections)]
        for each in self._idle:
            selector.register(each.socket, selectors.EVENT_READ, each)
        self._open = len(self._idle)
        self._interval_s = None if load.rate is None else 1.0 / load.rate
        # at a fixed rate all that was due is sent, however late
        self._planned = math.inf if load.rate is None else math.ceil(load.rate * load.seconds)
        self._begin = self._now = time.perf_counter()
        self._end = self._begin + load.seconds

    def run(self) -> float:
        """Sends all of it and waits for the answers; returns the seconds that took."""
        while self._is_sending() or len(self._idle) < self._open:
            due = self._send_what_is_due()
            paced = self._idle and self._is_sending()
            self._receive(max(due - self._now, 0.0) if paced else _TIMEOUT_S)
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        return self._now - self._begin

    def _send_what_is_due(self) -> float:
        """Returns when the next request is due."""
        while (due := self._due()) <= self._now and self._idle and self._is_sending():
            number = b"%08x" % (self._first + self._sent)
            request = next(self._requests).replace(MARKER, number)
            self._idle.pop().send(request, due if self._from_due else self._now)
            self._sent += 1
        return due

    def _due(self) -> float:
        if self._interval_s is None:
            return self._now
        return self._begin + self._sent * self._interval_s

    def _is_sending(self) -> bool:
        if self._interval_s is None:
            return self._now < self._end
        return self._sent < self._planned

    def _receive(self, wait_s: float) -> None:
        ready = self._selector.select(wait_s)
        self._now = time.perf_counter()
        if not ready and wait_s == _TIMEOUT_S:
            raise TimeoutError(f"the server did not answer within {_TIMEOUT_S:.0f} s")
        for key, _ in ready:
            connection: _Connection = key.data
            status = connection.receive()
            if status is not None:
                self._idle.append(connection)
                if status in _SUCCESS:
                    self.latencies_s.append(self._now - connection.due)
                else:
                    self.failed += 1
                    self.shed += status in _SHED


def send(load: Load) -> Sent:
    """Sends a load from this process.

    Raises:
      ConnectionError: If the server closes a connection.
      TimeoutError: If it does not answer.
    """
    with selectors.DefaultSelector() as selector:
        run = _Run(load, selector)
        seconds = run.run()
    return Sent(len(run.latencies_s), run.failed, run.shed, seconds, _percentiles(run.latencies_s))


def _requests(load: Load) -> list[bytes]:
    head = f"POST {load.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    if load.key is not None:
        head += f"X-API-Key: {load.key}\r\n"
    return [
        b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body)
        for body in Path(load.bodies).read_bytes().splitlines()
    ]


def _percentiles(latencies_s: list[float]) -> dict[str, float]:
    ordered = sorted(latencies_s) or [math.nan]
    return {
        f"p{share}": round(ordered[min(len(ordered) * share // 100, len(ordered) - 1)] * 1_000, 3)
        for share in (50, 95, 99)
    }


def main() -> None:
    """Sends the load that the only argument describes; prints what came of it as JSON."""
    described: dict[str, Any] = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(asdict(send(Load(**described)))))


if __name__ == "__main__":
    main()
