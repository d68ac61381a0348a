"""The model that serves, and its replacement between two requests.

A thread looks at what the registry calls current. A new version is verified, loaded and
warmed there, on a log connection of its own, while the old version serves; then the event
loop takes it over with one assignment. A memory that holds something of a user who was
erased meanwhile is built again in the same way.
"""

import asyncio
import contextlib
import logging
import resource
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model import snapshot
from model.errors import LogUnavailableError, SlowwaveError
from model.recommender import Recommender
from model.request import Query
from model.storage.registry import Registry
from model.workspace import Config
from service.followed_log import FollowedLog
from service.nights import NightWatch
from service.recent_users import RecentUsers
from service.settings import Settings
from service.telemetry import Metrics

logger = logging.getLogger(__name__)

_WARMING_QUERIES: Final = 20
# Of the time of one processor, while another model answers.
_LOADING_SHARE: Final = 0.25
_WARMING_S: Final = 60.0
_RETRY_S: Final = 30.0
_FOLLOW_S: Final = 0.05
# Log rows that take about a quarter of a second to read.
_WORTH_KEEPING: Final = 5_000


@dataclass(frozen=True, slots=True)
class Serving:
    """A model version in service.

    Attributes:
      manifest: What its bundle says of it.
      log: The recommender's own connection to the log.
    """

    recommender: Recommender
    manifest: Mapping[str, Any]
    log: FollowedLog


@dataclass(frozen=True, slots=True)
class Refused:
    """A published version that could not be taken into service."""

    version: str
    code: str
    detail: str


class ModelHolder:
    """Keeps the registry's current version in service.

    Attributes:
      serving: What answers requests; None until a model is published. Only the event
        loop's thread reads and replaces it.
      refused: The current version, where it could not be loaded.
      recent_users: Whom a new version is warmed with.
    """

    def __init__(self, settings: Settings, config: Config, metrics: Metrics) -> None:
        self.serving: Serving | None = None
        self.refused: Refused | None = None
        self._settings = settings
        self._config = config
        self._metrics = metrics
        self.registry = Registry(settings.workspace.models)
        self.recent_users = RecentUsers()
        self._nights = NightWatch(settings.workspace.reports, metrics)
        self._handed_over: str | None = None
        self._refused_s = 0.0
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def version(self) -> str | None:
        """The version that serves."""
        return None if self.serving is None else self.serving.recommender.version

    async def start(self) -> None:
        """Loads the current version, where there is one, and begins to watch for others."""
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._look, loop)
        # The first version was handed over by a callback, which this lets run.
        await asyncio.sleep(0)
        self._watcher = threading.Thread(
            target=self._watch, args=(loop,), name="model-watcher", daemon=True
        )
        self._watcher.start()

    async def stop(self) -> None:
        """Ends the watching and closes the log."""
        self._stopping.set()
        if self._watcher is not None:
            await asyncio.to_thread(self._watcher.join)
        await asyncio.sleep(0)
        if self.serving is not None:
            self.serving.log.close()
            self.serving = None

    def drop_snapshot(self) -> None:
        """Removes what is kept of the memory: it may hold something of an erased user."""
        snapshot.drop(self._settings.workspace.snapshot_path)

    async def follow(self) -> None:
        """Keeps the memory current while no request does, so that the next one need not wait."""
        while True:
            await asyncio.sleep(_FOLLOW_S)
            if self.serving is None:
                continue
            # Requests say so themselves when the log cannot be read.
            with contextlib.suppress(LogUnavailableError):
                self._metrics.log_lag.set(self.serving.log.head() - self.serving.recommender.as_of)
                self._metrics.memory_as_of.set(self.serving.recommender.catch_up())
                self._metrics.memory_bytes.set(self.serving.recommender.memory.n_bytes)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stopping.wait(self._settings.model_poll_s):
            self._look(loop)
            self._show()

    def _show(self) -> None:
        """Numbers that change slowly."""
        with contextlib.suppress(OSError):
            self._nights.look()
            pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
            self._metrics.resident_bytes.set(pages * resource.getpagesize())

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Loads the current version unless it serves already or was refused a moment ago."""
        version = "CURRENT"
        try:
            current = self.registry.current()
            if current is None:
                return
            version = current
            serving = self.serving
            forgets = serving is not None and serving.log.saw_erasure
            if version == self._handed_over and not forgets:
                self.refused = None
            elif self._is_due(version):
                fresh = self._load(version)
                self._handed_over = version
                loop.call_soon_threadsafe(self._take_over, fresh)
        except Exception as error:  # noqa: BLE001 (whatever is wrong with it, the old one serves)
            self._refuse(version, error)

    def _is_due(self, version: str) -> bool:
        refused = self.refused
        return (
            refused is None
            or refused.version != version
            or time.monotonic() >= self._refused_s + _RETRY_S
        )

    def _load(self, version: str) -> Serving:
        started = time.perf_counter()
        folder = self.registry.open(version)
        manifest = self.registry.manifest(version)
        log = FollowedLog(self._settings.workspace.log_path, self._metrics)
        share = 1.0 if self.serving is None else _LOADING_SHARE
        try:
            with log.read_in_passing(share):
                recommender, rows = self._remembering(folder, manifest, log)
            self._warm(recommender)
        except BaseException:
            log.close()
            raise
        seconds = round(time.perf_counter() - started, 3)
        fields = {"version": version, "seconds": seconds, "log_rows": rows}
        logger.info("model loaded", extra={"fields": fields})
        return Serving(recommender, manifest, log)

    def _remembering(
        self, folder: Path, manifest: Mapping[str, Any], log: FollowedLog
    ) -> tuple[Recommender, int]:
        """A recommender that has read the log, and how many rows of it."""
        path, config = self._settings.workspace.snapshot_path, self._config
        made_of = snapshot.stamp(str(manifest["version"]), config.events, config.memory, log)
        kept = snapshot.load(path, made_of, log)
        exact = self._settings.exact_items
        recommender = Recommender.open(
            folder, manifest, log, config.events, config.memory, kept, exact
        )
        rows = recommender.as_of - (0 if kept is None else kept.as_of)
        if rows >= _WORTH_KEEPING:
            try:
                snapshot.save(path, recommender.snapshot(), made_of, log)
            except OSError as error:
                # the next start takes longer, and that is all
                logger.warning("memory not kept", extra={"fields": {"reason": str(error)}})
        return recommender, rows

    def _warm(self, recommender: Recommender) -> None:
        """The first answers are slow: pages are read, and what is known of a user is replayed.

        There are pauses, for the model that serves meanwhile needs the processor too.
        """
        now_ms = time.time_ns() // 1_000_000
        for _ in range(_WARMING_QUERIES):
            recommender.recommend(Query(now_ms=now_ms))
        begun = time.perf_counter()
        for user_id in self.recent_users.newest_first():
            started = time.perf_counter()
            if started - begun > _WARMING_S:
                return
            recommender.recommend(Query(now_ms=now_ms, user_id=user_id))
            spent_s = time.perf_counter() - started
            if self._stopping.wait(spent_s * (1 / _LOADING_SHARE - 1)):
                return

    def _take_over(self, fresh: Serving) -> None:
        replaced, self.serving = self.serving, fresh
        self.refused = None
        if replaced is not None:
            self._metrics.model_serving.labels(replaced.recommender.version).set(0)
            replaced.log.close()
        self._metrics.model_serving.labels(fresh.recommender.version).set(1)
        if replaced is None or replaced.recommender.version != fresh.recommender.version:
            self._metrics.model_swaps.inc()

    def _refuse(self, version: str, error: Exception) -> None:
        code = error.code if isinstance(error, SlowwaveError) else "load_failed"
        detail = str(error) if isinstance(error, SlowwaveError) else type(error).__name__
        refused = Refused(version, code, detail)
        self._refused_s = time.monotonic()
        if refused == self.refused:
            return
        self.refused = refused
        self._metrics.model_failures.labels(code).inc()
        fields = {"version": version, "code": code, "detail": detail}
        logger.error("model refused", exc_info=error, extra={"fields": fields})
