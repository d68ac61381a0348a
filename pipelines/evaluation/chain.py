"""The model versions that a stream's nights lead to: made once, replayed by many arms.

What a night learns is a function of the log up to that night, so versions are made before
any question is asked, and arms that share nights share versions. A chain that was cut
short goes on where it stopped.
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from model.errors import BadInputError
from model.files import write_atomically
from model.slow.bundle import load_bundle, write_bundle
from model.slow.schema import Schema, infer_schema
from model.slow.tuning import as_tuned
from model.storage.event_log import LogReader, open_log
from model.storage.registry import Registry
from model.workspace import Config
from pipelines.console import Console
from pipelines.evaluation.sealed_log import SealedLog
from pipelines.evaluation.stream import Stream

Nights: TypeAlias = Literal["none", "finetune", "retrain", "consolidate"]
"""What happens at night: nothing, training on the new events and on old ones drawn by lot,
training from scratch on all events, or the product's own night with its gates."""

_NOTE: Final = "chain.json"
_KEEP_ALL: Final = 1_000_000


@dataclass(frozen=True)
class ChainPlan:
    """How a chain is made.

    Attributes:
      nights: What happens at night.
      config: All settings.
      seed: Decides everything random.
      every: One night in so many happens, the others are skipped.
    """

    nights: Nights
    config: Config
    seed: int
    every: int = 1

    def first(self) -> "ChainPlan":
        """The plan of the version that the chain starts from."""
        return dataclasses.replace(self, nights="none", every=1)


class Chain:
    """Versions by night, in a folder.

    Attributes:
      steps: The start and each night: `version` that serves from then on, `seconds`
        and `cpu_seconds`, `verdict` and what else the job said.
    """

    def __init__(self, folder: Path) -> None:
        """Reads what is there; nothing for a new chain."""
        self.registry = Registry(folder / "models")
        self._note = folder / _NOTE
        self.steps: list[dict[str, Any]] = []
        if self._note.exists():
            self.steps = json.loads(self._note.read_text(encoding="utf-8"))

    def version(self, night: int) -> str:
        """The version that serves after so many nights.

        Raises:
          BadInputError: If the chain has not come so far.
        """
        if night >= len(self.steps):
            raise BadInputError(f"expected night {night} in the chain, it has {len(self.steps)}")
        return str(self.steps[night]["version"])

    def add(self, step: dict[str, Any]) -> None:
        """Notes a step that is done."""
        self.steps.append(step)
        write_atomically(self._note, json.dumps(self.steps, indent=1).encode())


def make_chain(
    stream: Stream,
    log_path: Path,
    folder: Path,
    plan: ChainPlan,
    *,
    start: Path | None = None,
    console: Console,
) -> Chain:
    """Makes the versions that are still missing.

    Args:
      stream: What happened; the chain looks at the log and at where the nights fall.
      log_path: The stream as an event log.
      folder: Where the versions lie.
      plan: How to make them.
      start: The folder of a finished chain without nights to start from; None to train.
      console: Where to report.
    """
    if start is not None and not (folder / _NOTE).exists():
        _copy_start(start, folder)
    chain = Chain(folder)
    _forget_unnoted(chain)
    sealed = SealedLog(open_log(log_path), stream)
    try:
        made = 1 if plan.nights == "none" else 1 + len(stream.nights)
        rows = [stream.bootstrap, *stream.nights.tolist()]
        with console.progress(f"Nights ({plan.nights})", made) as bar:
            bar.advance(len(chain.steps))
            for row in rows[len(chain.steps) : made]:
                sealed.show(row)
                job = _Job(stream, sealed, chain.registry, plan, console)
                started, cpu_started = time.perf_counter(), time.process_time()
                number = len(chain.steps)
                if number % plan.every:
                    step = {"version": chain.version(number - 1), "verdict": "skipped"}
                else:
                    step = job.night() if number else job.train()
                spent = {
                    "seconds": round(time.perf_counter() - started, 3),
                    "cpu_seconds": round(time.process_time() - cpu_started, 3),
                }
                chain.add(step | {"row": row} | spent)
                bar.advance(1, step["version"])
    finally:
        sealed.close()
    return chain


def _forget_unnoted(chain: Chain) -> None:
    """Goes back to the last version that was noted; a later one is made again."""
    if chain.steps and chain.registry.current() != (noted := chain.version(len(chain.steps) - 1)):
        chain.registry.rollback(noted)


def _copy_start(start: Path, folder: Path) -> None:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(start, partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


@dataclass(frozen=True)
class _Job:
    """One step of a chain: the sealed log as it is now, and where the model goes."""

    stream: Stream
    log: LogReader
    registry: Registry
    plan: ChainPlan
    console: Console

    def train(self) -> dict[str, Any]:
        """Training from scratch on what can be seen."""
        from pipelines.learning import read_log
        from pipelines.train import train_read

        read = read_log(self.log, self.plan.config, None)
        with self.registry.lock():
            manifest = train_read(
                read,
                self.log,
                schema_of(self.stream),
                self.plan.config,
                self.registry,
                seed=self.plan.seed,
                now_ms=self._now_ms(),
                console=self.console,
            )
        kept = {key: manifest[key] for key in ("training", "metrics")}
        return {"version": manifest["version"], "verdict": "published", **kept}

    def night(self) -> dict[str, Any]:
        """One night, of the kind that the plan names."""
        kinds: dict[Nights, Callable[[], dict[str, Any]]] = {
            "retrain": self.train,
            "finetune": self._finetune,
            "consolidate": self._consolidate,
        }
        return kinds[self.plan.nights]()

    def _consolidate(self) -> dict[str, Any]:
        from pipelines.consolidate import consolidate_log
        from pipelines.night_run import NightRun

        night = dataclasses.replace(self.plan.config.night, keep_versions=_KEEP_ALL)
        config = dataclasses.replace(self.plan.config, night=night)
        run = NightRun(config, self.plan.seed, self._now_ms(), dry_run=False, console=self.console)
        with self.registry.lock():
            report = consolidate_log(self.log, self.registry, run, None)
        failed = [v for v in report["verdicts"] if not v["passed"]]
        return {
            "version": report["version"],
            "verdict": report["verdict"],
            "reasons": report["reasons"],
            "failed": [v["name"] for v in failed],
            "counts": report["counts"],
        }

    def _finetune(self) -> dict[str, Any]:
        """Learns all new events and old ones drawn by lot, and publishes whatever comes out."""
        from model.consolidation.continuation import Cut, open_night, teach
        from pipelines.learning import provenance, read_log

        registry, config = self.registry, self.plan.config
        version = str(registry.current())
        before = registry.manifest(version)
        learned, tuned = int(before["trained_through_seq"]), before.get("tuned", {})
        read = read_log(self.log, config, None, newest=config.night.read_rows)
        if not (read.columns.labelled & (read.columns.seq > learned)).any():
            return {"version": version, "verdict": "nothing_new"}
        served = load_bundle(registry.open(version))
        night = open_night(served, read.columns, read.metadata, Cut(learned, read.through_seq + 1))
        plain = config.night.plain()
        slow = as_tuned(config.slow, tuned)
        candidate = teach(night, slow, plain, seed=self.plan.seed)
        if candidate.not_finite:
            return {"version": version, "verdict": "refused", "reasons": ["not finite"]}
        manifest = {
            **provenance(config, seed=self.plan.seed, trained_through_seq=read.through_seq),
            "kind": "finetune",
            "parent": version,
            "metrics": {},
            "tuned": tuned,
        }
        with registry.lock(), registry.stage() as staged:
            write_bundle(candidate.bundle, staged)
            version = registry.publish(staged, manifest, created_ms=self._now_ms())
        return {"version": version, "verdict": "published", "counts": candidate.counts}

    def _now_ms(self) -> int:
        """The moment of the last event that can be seen."""
        last = self.log.tail(self.log.head() - 1)
        return last[0].timestamp_ms if last else 0


def schema_of(stream: Stream) -> Schema:
    """What an import of these data would infer."""
    used = {name: np.unique(column) for name, column in stream.events.context.items()}
    contexts = [
        {name: stream.terms[name][number]}
        for name, numbers in used.items()
        for number in numbers.tolist()
        for _ in range(_REPEATED)
    ]
    return infer_schema(stream.item_attributes.values(), stream.user_attributes.values(), contexts)


# A context value must be seen to repeat, or it would be taken for a title.
_REPEATED: Final = 20
