"""What one night works with: how it was asked for, and the model that serves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias

from model.fast.mixing import Mixing
from model.slow.bundle import Bundle
from model.slow.tuning import as_tuned
from model.workspace import Config
from pipelines.console import Console

OnStage: TypeAlias = Callable[[str], None]
"""Told the name of each stage once it is done."""


HANDED_ON: Final = ("memory", "memory_learning", "tuned")


def _unheard(stage: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class NightRun:
    """How a night was asked for.

    Attributes:
      config: All settings.
      seed: Decides everything random.
      now_ms: The time to write into the manifest.
      dry_run: Whether the candidate is dropped once it is judged.
      console: Where to report.
      on_stage: Told each stage that is done: `verified`, `read`, `opened`, `taught`,
        `staged`, `judged`, `settled`, `pruned`, `reported`.
    """

    config: Config
    seed: int
    now_ms: int
    dry_run: bool
    console: Console
    on_stage: OnStage = _unheard


class Served(NamedTuple):
    """The model that serves.

    Attributes:
      learned_seq: It has learned the log up to here.
      judged_seq: It was judged on the log up to here; what comes later is fresh.
      kept: What its manifest says that every night hands on: the fast memory's factors, and
        settings that training chose.
    """

    version: str
    bundle: Bundle
    learned_seq: int
    judged_seq: int
    kept: dict[str, Any]

    def mixing(self) -> Mixing:
        """How much each part of the fast memory says beside it."""
        return mixing_of(self.kept)

    def tuned(self, config: Config) -> Config:
        """The settings, with those that training chose."""
        return replace(config, slow=as_tuned(config.slow, self.kept.get("tuned", {})))


def mixing_of(manifest: Mapping[str, Any]) -> Mixing:
    """The factors on the fast memory that a manifest states; the defaults where it has none."""
    stored = manifest.get("memory")
    return Mixing() if stored is None else Mixing.from_json(stored)
