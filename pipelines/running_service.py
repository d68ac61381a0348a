"""The real service as a process of its own, for as long as a block of code needs it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

HOST: Final = "127.0.0.1"

_START_S: Final = 120.0
_STOP_S: Final = 15.0
_CALL_S: Final = 30.0
_POLL_S: Final = 0.005
_LOG_TAIL_BYTES: Final = 4_096


@dataclass(frozen=True)
class RunningService:
    """A service that answers on this machine.

    Attributes:
      port: Where it listens, on the loopback address.
      log_path: What it writes to its standard streams.
      process: The running process.
      ready_s: Seconds from the start of the process to the first ready answer.
      key: The API key that is sent with every call; None where none is asked for.
    """

    port: int
    log_path: Path
    process: subprocess.Popen[bytes]
    ready_s: float
    key: str | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON answer to a POST of a JSON body.

        Raises:
          ConnectionError: If the service refuses the call or does not answer.
        """
        status, answer = _call(self.port, "POST", path, json.dumps(body), self.key)
        if status >= 300:
            raise ConnectionError(f"POST {path} was answered with {status}: {answer.get('detail')}")
        return answer

    def get(self, path: str) -> dict[str, Any]:
        """The JSON answer to a GET.

        Raises:
          ConnectionError: If the service refuses the call or does not answer.
        """
        status, answer = _call(self.port, "GET", path, key=self.key)
        if status >= 300:
            raise ConnectionError(f"GET {path} was answered with {status}: {answer.get('detail')}")
        return answer


def free_port(wanted: int = 0) -> int:
    """The wanted port when it is free on the loopback address, and any free one otherwise."""
    with socket.socket() as probe:
        # as servers do: a port whose last connections are fading away is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_service(
    home: Path,
    *,
    port: int,
    log_path: Path,
    key: str | None = None,
    workers: int | None = None,
    max_wait_ms: int | None = None,
) -> Iterator[RunningService]:
    """Starts the service on a workspace, for this machine alone, and stops it at the end.

    Args:
      home: The workspace.
      port: A free port.
      log_path: The file for its output, written anew.
      key: An API key of the workspace; None to let everybody on this machine in.
      workers: Number of serving processes; None for what the workspace is configured to.
      max_wait_ms: How long a request may wait for its turn; None for the default.

    Raises:
      ChildProcessError: If it ends instead of becoming ready, or never does.
    """
    command = [sys.executable, "-m", "service"]
    options = ["--home", str(home), "--host", HOST, "--port", str(port)]
    if workers is not None:
        options += ["--workers", str(workers)]
    environment = {"SLOWWAVE_AUTH": "off" if key is None else "on"}
    if max_wait_ms is not None:
        environment["SLOWWAVE_MAX_WAIT_MS"] = str(max_wait_ms)
    with process(command + options, environment, log_path) as started:
        ready_s = wait_until_ready(started, port, log_path)
        yield RunningService(port, log_path, started, ready_s, key)


@contextmanager
def process(
    command: list[str], environment: Mapping[str, str], log_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone when the block ends, however it ends."""
    started: subprocess.Popen[bytes] | None = None
    try:
        with log_path.open("wb") as log, _signals_held():
            started = subprocess.Popen(  # noqa: S603 (no outside text)
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        yield started
    finally:
        if started is not None:
            _stop(started)


def _stop(started: subprocess.Popen[bytes]) -> None:
    started.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            started.wait(_STOP_S)
    finally:
        # does nothing to a process that has ended
        started.kill()
        started.wait()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Delivers signals when the block is over.

    One that raised while a process is being started would leave it running, with nobody
    who knows of it.
    """
    arrived: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, lambda n, _: arrived.append(n))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)


def wait_until_ready(
    started: subprocess.Popen[bytes], port: int, log_path: Path, path: str = "/health/ready"
) -> float:
    """Seconds until a GET of `path` is answered with success, counted from this call.

    Raises:
      ChildProcessError: If the process ends before, or two minutes pass.
    """
    begin = time.perf_counter()
    said = "nothing"
    while (seconds := time.perf_counter() - begin) < _START_S:
        if started.poll() is not None:
            raise ChildProcessError(ended(started, log_path))
        with suppress(OSError):
            status, answer = _call(port, "GET", path)
            if status < 300:
                return time.perf_counter() - begin
            said = str(answer.get("detail", status))
        time.sleep(_POLL_S)
    raise ChildProcessError(
        f"the service was not ready after {seconds:.0f} s; its last answer: {said}; its log is "
        f"{log_path}"
    )


def ended(finished: subprocess.Popen[bytes], log_path: Path) -> str:
    """What to tell of a service that ended by itself: its exit code and its last words."""
    with log_path.open("rb") as log:
        log.seek(max(log_path.stat().st_size - _LOG_TAIL_BYTES, 0))
        lines = log.read().decode("utf-8", "replace").strip().splitlines()
    last = lines[-1] if lines else "nothing"
    return (
        f"the service ended with exit code {finished.returncode}. Its last words: {last}\n"
        f"Its log: {log_path}"
    )


def _call(
    port: int, method: str, path: str, body: str | None = None, key: str | None = None
) -> tuple[int, dict[str, Any]]:
    headers = {} if body is None else {"Content-Type": "application/json"}
    if key is not None:
        headers["X-API-Key"] = key
    with closing(http.client.HTTPConnection(HOST, port, timeout=_CALL_S)) as connection:
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path} got no valid answer: {error!r}") from error
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    return answer.status, parsed if isinstance(parsed, dict) else {}


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Makes the signals that end a process raise, so that what was started is stopped first."""
    signals = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _exit) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (how signals call)
    raise SystemExit(128 + number)
