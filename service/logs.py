"""JSON lines on standard error; a request never waits for them."""

import logging
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any, Final, NamedTuple, TypeAlias

from pydantic_core import to_json

_FLUSH_S: Final = 0.2


class RequestLine(NamedTuple):
    """An answered request.

    Attributes:
      created: When it was answered, in seconds since 1970.
      route: The route's pattern: paths hold user ids, and there are too many of them.
      seconds: From arrival to answer.
    """

    created: float
    request_id: str
    method: str
    route: str
    status: int
    seconds: float


NoteRequest: TypeAlias = Callable[[RequestLine], None]


class JsonLines(logging.Handler):
    """Writes records as JSON lines: at once from `WARNING` on, the others in bursts.

    A line costs a request a few microseconds this way; formatting and writing are done
    by a thread of its own. A killed process may lose its last 0.2 s of `INFO` lines.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        super().__init__()
        self._stream = sys.stderr if stream is None else stream
        self._records: deque[logging.LogRecord | RequestLine] = deque()
        self._writing = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._flush_for_ever, name="log-lines", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record; those of `WARNING` and above are on the stream on return."""
        self._records.append(record)
        if record.levelno >= logging.WARNING:
            self.flush()

    def note_request(self, line: "RequestLine") -> None:
        """Takes an answered request, which is logged for the cost of an append."""
        self._records.append(line)

    def flush(self) -> None:
        """Writes all records taken so far."""
        with self._writing:
            lines = []
            while self._records:
                record = self._records.popleft()
                lines.append(
                    request_line(record) if isinstance(record, RequestLine) else json_line(record)
                )
            # a disk that is full loses lines of the log, not answers
            with suppress(OSError):
                self._stream.write(b"".join(lines).decode())
                self._stream.flush()

    def close(self) -> None:
        """Writes what is left and ends the thread."""
        self._closed.set()
        self.flush()
        super().close()

    def _flush_for_ever(self) -> None:
        while not self._closed.wait(_FLUSH_S):
            self.flush()


def request_line(line: RequestLine) -> bytes:
    """An answered request as one line of JSON."""
    fields = {
        "time": _iso(line.created),
        "level": "info",
        "logger": "service.requests",
        "event": "request",
        "request_id": line.request_id,
        "method": line.method,
        "route": line.route,
        "status": line.status,
        "ms": round(line.seconds * 1_000, 3),
    }
    return to_json(fields) + b"\n"


def json_line(record: logging.LogRecord) -> bytes:
    """A record as one line of JSON; `extra={"fields": {...}}` becomes keys of its own."""
    line: dict[str, Any] = {
        "time": _iso(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": record.getMessage(),
    }
    line.update(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[0] is not None:
        line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
    return to_json(line, fallback=str) + b"\n"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def log_to_stderr(level: str) -> NoteRequest | None:
    """Sends everything this process logs to standard error as JSON lines.

    Returns:
      Where answered requests are to be noted; None where the level leaves them out.
    """
    # Nothing of this is in a line; looking it up would cost more than the rest of a record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    lines = JsonLines()
    logging.basicConfig(level=level.upper(), handlers=[lines], force=True)
    return lines.note_request if logging.getLogger().isEnabledFor(logging.INFO) else None


def flush_lines() -> None:
    """Writes what this process has logged so far.

    A server ends by the signal that stopped it, and with it whatever was not written yet.
    """
    for handler in logging.getLogger().handlers:
        handler.flush()
