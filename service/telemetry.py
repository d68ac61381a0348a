"""The service's Prometheus metrics; with several workers any of them shows the sum."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

MULTIPROCESS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Set, before anything is imported, to a folder that several workers share their metrics in."""

_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_STAGE_SECONDS: Final = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25)
_EVENTS: Final = (1, 10, 100, 1_000, 10_000)
STAGES: Final = ("wait", "read", "score", "write")
"""Of a recommendation: waiting for its turn, reading the question, scoring, writing the answer."""


class Metrics:
    """All metrics by name; each is defined once, in the group it belongs to."""

    def __init__(self) -> None:
        disable_created_metrics()
        self._registry = CollectorRegistry()
        # Looking a labelled child up costs more than counting; each is looked up once.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._item_children: dict[tuple[str, str], Counter] = {}
        self._define_requests()
        self._define_recommendations()
        self._define_events()
        self._define_model()
        self._define_nights()

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"slowwave_{name}", text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(f"slowwave_{name}", text, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, text: str, mode: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(
            f"slowwave_{name}",
            text,
            labels,
            registry=self._registry,
            multiprocess_mode=mode,  # type: ignore[arg-type]
        )

    def _define_requests(self) -> None:
        self._requests = self._counter(
            "http_requests_total", "Requests answered.", ["method", "route", "status"]
        )
        self._seconds = self._histogram(
            "http_request_seconds", "Time from request to answer.", _SECONDS, ["route"]
        )
        self.shed = self._counter(
            "requests_shed_total",
            "Requests and connections turned away, by reason.",
            ["reason"],
        )
        self.connections = self._gauge("connections", "Open connections.", "livesum")
        self.resident_bytes = self._gauge(
            "resident_bytes", "Memory of the serving processes that lies in RAM.", "livesum"
        )

    def _define_recommendations(self) -> None:
        self.recommendations = self._counter(
            "recommendations_total",
            "Lists recommended, by the fallback that answered (none: the model itself).",
            ["fallback"],
        )
        seconds = self._histogram(
            "stage_seconds",
            "Time of a recommendation by stage: wait, read, score, write.",
            _STAGE_SECONDS,
            ["stage"],
        )
        self.stages = tuple(seconds.labels(stage) for stage in STAGES)
        self._items = self._counter(
            "recommended_items_total",
            "Items recommended, by the part of the model that lifted each most, and by version.",
            ["source", "version"],
        )
        self.successes = self._counter(
            "successes_total",
            "Successes that name the recommendation they answer, by the part of the model that "
            "had lifted the item most, and by version (unknown: not remembered by this worker).",
            ["source", "version"],
        )

    def _define_events(self) -> None:
        self.events = self._counter(
            "events_total",
            "Events received, by result: accepted, duplicate or rejected.",
            ["result"],
        )
        self.rejections = self._counter("event_rejections_total", "Events refused.", ["code"])
        self.changes = self._counter(
            "metadata_changes_total", "Changes of items and users written.", ["kind"]
        )
        self.erasures = self._counter("erasures_total", "Users erased.")
        self.commit_seconds = self._histogram(
            "event_commit_seconds", "Time of a durable append to the event log.", _SECONDS
        )
        self.commit_events = self._histogram(
            "event_commit_events", "Entries in a durable append to the event log.", _EVENTS
        )
        self.effect_seconds = self._histogram(
            "time_to_effect_seconds",
            "Time from taking an event to its being in the memory that answers.",
            _SECONDS,
        )
        self.waiting = self._gauge("events_waiting", "Entries that wait for the disk.", "livesum")

    def _define_model(self) -> None:
        self.model_serving = self._gauge(
            "model_serving", "Workers that serve this model version.", "livesum", ["version"]
        )
        self.memory_as_of = self._gauge(
            "memory_as_of",
            "Last log position reflected, of the worker that is furthest behind.",
            "livemin",
        )
        self.log_lag = self._gauge(
            "log_lag_entries",
            "Log entries not yet in the memory, of the worker that is furthest behind.",
            "livemax",
        )
        self.memory_bytes = self._gauge(
            "memory_bytes", "What the fast memory keeps for everyone, largest worker.", "livemax"
        )
        self.model_swaps = self._counter("model_swaps_total", "Model versions taken into service.")
        self.model_failures = self._counter(
            "model_load_failures_total",
            "Published model versions that could not be loaded.",
            ["code"],
        )

    def _define_nights(self) -> None:
        self.night_verdict = self._gauge(
            "night_verdict",
            "Verdict of the last night by gate: 1 passed, 0 refused.",
            "livemostrecent",
            ["gate"],
        )
        self.night_time = self._gauge(
            "night_timestamp_seconds", "When the last night ran.", "livemostrecent", ["verdict"]
        )
        self.night_seconds = self._gauge(
            "night_seconds", "How long the last night took.", "livemostrecent"
        )
        self.nights_refused = self._gauge(
            "nights_refused_in_a_row",
            "Nights since the last one that did not refuse its candidate.",
            "livemostrecent",
        )

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        children = self._children.get((method, route, status))
        if children is None:
            children = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(route),
            )
            self._children[method, route, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def count_items(self, sources: Sequence[str], version: str) -> None:
        """Counts the items of one list by what lifted them."""
        for source in set(sources):
            child = self._item_children.get((source, version))
            if child is None:
                child = self._items.labels(source, version)
                self._item_children[source, version] = child
            child.inc(sources.count(source))

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        folder = os.environ.get(MULTIPROCESS_DIR)
        if folder is None:
            return generate_latest(self._registry)
        _forget_dead_workers(Path(folder))
        shared = CollectorRegistry()
        MultiProcessCollector(shared, folder)
        return generate_latest(shared)


def _forget_dead_workers(folder: Path) -> None:
    """A worker that was killed cannot take its own gauges down."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = path.stem.rsplit("_", 1)[1]
        if not Path("/proc", pid).exists() and Path("/proc/self").exists():
            mark_process_dead(int(pid), str(folder))
