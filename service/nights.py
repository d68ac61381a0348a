"""What the last nights came to, for the metrics: read from the reports that they leave."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from service.telemetry import Metrics

_MOST_READ: Final = 50


class NightWatch:
    """Looks at the newest reports of nights; dry runs do not count."""

    def __init__(self, reports: Path, metrics: Metrics) -> None:
        self._reports = reports
        self._metrics = metrics
        self._seen: str | None = None

    def look(self) -> None:
        """Shows the last night where there is a newer one than at the last look."""
        names = sorted(path.name for path in self._reports.glob("night-*.json"))
        if not names or names[-1] == self._seen:
            return
        nights = [self._read(name) for name in names[-_MOST_READ:]]
        held = [night for night in nights if night and not night.get("dry_run")]
        self._seen = names[-1]
        if held:
            self._show(held)

    def _read(self, name: str) -> dict[str, Any] | None:
        # an unreadable report is the night's own trouble, which its exit code told
        with suppress(OSError, ValueError):
            night = json.loads((self._reports / name).read_bytes())
            return night if isinstance(night, dict) else None
        return None

    def _show(self, nights: list[dict[str, Any]]) -> None:
        last = nights[-1]
        for verdict in last.get("verdicts", ()):
            self._metrics.night_verdict.labels(verdict["name"]).set(verdict["passed"])
        verdict = str(last.get("verdict"))
        self._metrics.night_time.labels(verdict).set(last["created_ms"] / 1_000)
        self._metrics.night_seconds.set(last.get("seconds", 0.0))
        refused = 0
        for night in reversed(nights):
            if night.get("verdict") == "published":
                break
            refused += night.get("verdict") == "refused"
        self._metrics.nights_refused.set(refused)
