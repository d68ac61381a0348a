"""Errors a caller may want to tell apart. Everything else is a bug and flies.

SlowwaveError
├── BadInputError        what came is not what was expected; nothing was changed
├── NotFoundError        a named thing does not exist
├── NoModelError         nothing is published yet
├── CorruptBundleError   a model version's files are not what its manifest says
├── ParityError          the NumPy scorer and TensorFlow disagree on a bundle
├── LogUnavailableError  the event log cannot be read or written now
└── BusyError            another run holds the lock
"""

from collections.abc import Callable, Mapping
from typing import Any


class SlowwaveError(Exception):
    """Base of all errors Slowwave raises on purpose.

    Attributes:
      code: Machine-readable name, stable across releases.
    """

    code = "error"


class BadInputError(SlowwaveError, ValueError):
    """Input was refused; the text says what was expected and what came.

    Attributes:
      code: Machine-readable reason; `bad_input` unless a finer one is given.
    """

    def __init__(self, message: str, code: str = "bad_input") -> None:
        super().__init__(message)
        self.code = code


class NotFoundError(SlowwaveError, LookupError):
    """A user, item, event or model version that was named does not exist."""

    code = "not_found"


class NoModelError(SlowwaveError):
    """No model version is published, so nothing can be served or continued."""

    code = "no_model"


class CorruptBundleError(SlowwaveError):
    """A bundle's files differ from its manifest, or its format is not known."""

    code = "corrupt_bundle"


class ParityError(SlowwaveError):
    """The serving arithmetic and the training arithmetic disagree on a bundle."""

    code = "parity"


class LogUnavailableError(SlowwaveError):
    """The event log cannot be opened, read or written now; nothing was acknowledged."""

    code = "log_unavailable"


class BusyError(SlowwaveError):
    """Another process holds the lock that this job needs."""

    code = "busy"


def require(
    settings: object, table: str, limits: Mapping[str, tuple[Callable[[Any], bool], str]]
) -> None:
    """Checks the fields of a settings object against their limits.

    Args:
      settings: The object.
      table: The name of its table in the configuration file, for the message.
      limits: For field names, separated by spaces: a test, and what it demands in words.

    Raises:
      BadInputError: Naming the first field that is out of its limits, and its value.
    """
    for names, (holds, demand) in limits.items():
        for name in names.split():
            if not holds(value := getattr(settings, name)):
                raise BadInputError(f"{table}.{name} must {demand}, got {value}")
