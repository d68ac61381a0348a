"""The arms by name: which parts of the system are on, and what stands in for the others."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from model.errors import BadInputError
from model.fast.config import MemoryConfig
from model.workspace import Config
from pipelines.baselines.registry import BASELINES
from pipelines.evaluation.chain import Nights

OURS: Final = "ours"
SLEEPS_EVERY: Final = 6
"""Nights from one that happens to the next for the arms that are deprived of sleep."""

MEMORY_OFF: Final[Mapping[str, Any]] = {
    "trending_weight": 0.0,
    "cross_weight": 0.0,
    "fast_weight": 0.0,
    "lesson_weight": 0.0,
}


@dataclass(frozen=True)
class ProductArm:
    """One setting of the product.

    Attributes:
      nights: What happens at night.
      memory: Changes to the settings of the fast memory.
      slow: Changes to the settings of the slow model.
      night: Changes to the settings of the night.
      kind: The product itself, the slow model with a memory of its errors, or a placebo
        that gives every user another user's memory.
      every: One night in so many happens, the others are skipped.
      words: What the arm is, in words.
    """

    nights: Nights
    words: str
    memory: Mapping[str, Any] = field(default_factory=dict)
    slow: Mapping[str, Any] = field(default_factory=dict)
    night: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["product", "error memory", "another user"] = "product"
    every: int = 1

    def config(self, base: Config) -> Config:
        """The protocol's settings with this arm's changes."""
        return dataclasses.replace(
            base,
            slow=dataclasses.replace(base.slow, **self.slow),
            night=dataclasses.replace(base.night, **self.night),
        )

    def memory_config(self, base: MemoryConfig) -> MemoryConfig:
        """The protocol's memory settings with this arm's changes."""
        return dataclasses.replace(base, **self.memory)


PRODUCT: Final[Mapping[str, ProductArm]] = {
    "slow": ProductArm("none", "slow model, never taught again", MEMORY_OFF),
    "slow+finetune": ProductArm("finetune", "slow model, fine-tuned every night", MEMORY_OFF),
    "slow+retrain": ProductArm("retrain", "slow model, retrained every night", MEMORY_OFF),
    "slow+errormemory": ProductArm(
        "none", "slow model and a memory of its errors", MEMORY_OFF, kind="error memory"
    ),
    "slow+errormemory+finetune": ProductArm(
        "finetune", "memory of errors, fine-tuned every night", MEMORY_OFF, kind="error memory"
    ),
    "slow+fast": ProductArm("none", "slow model and fast memory, never consolidated"),
    OURS: ProductArm("consolidate", "slow model, fast memory, consolidation"),
    "ours-memory": ProductArm("consolidate", "ours without the fast memory by day", MEMORY_OFF),
    "ours-sleepless": ProductArm(
        "consolidate", "ours, five nights in six skipped", every=SLEEPS_EVERY
    ),
    "ours-memory-sleepless": ProductArm(
        "consolidate",
        "ours without the fast memory by day, five nights in six skipped",
        MEMORY_OFF,
        every=SLEEPS_EVERY,
    ),
    "ours+leash": ProductArm(
        "consolidate", "ours, nights held near the served model", night={"drift_target": 0.01}
    ),
    "ours+soft": ProductArm(
        "consolidate",
        "ours, nights with soft targets of the served model",
        night={"softness": 0.2, "temperature": 1.0},
    ),
    "ours+handover": ProductArm(
        "consolidate", "ours, new crosses begin at what the day said", night={"handover": 0.5}
    ),
    "ours+phases": ProductArm(
        "consolidate",
        "ours, nights that learn which item of a category before which category",
        night={"phases": "category"},
    ),
    "ours+phases-placebo": ProductArm(
        "consolidate",
        "placebo: the same two phases with categories drawn by lot",
        night={"phases": "placebo"},
    ),
    "ours-half": ProductArm(
        "consolidate",
        "ours, nights learn the surprising and repeated half of the events",
        night={"select_share": 0.5},
    ),
    "ours-halflot": ProductArm(
        "consolidate",
        "placebo: nights learn half of the events, drawn by lot",
        night={"select_share": 0.5, "selection": "lot"},
    ),
    "slow+tuned": ProductArm(
        "none", "slow model after a search for its settings", MEMORY_OFF, {"tuning_share": 0.5}
    ),
    "slow+finetune-nearby": ProductArm(
        "finetune",
        "slow+finetune without counts of what is chosen near what",
        MEMORY_OFF,
        {"nearby_per_row": 0},
    ),
    "wide": ProductArm("none", "wide half alone", MEMORY_OFF, {"halves": "wide"}),
    "deep": ProductArm("none", "deep half alone", MEMORY_OFF, {"halves": "deep"}),
    "ours-trending": ProductArm(
        "consolidate", "ours without the row everyone", {"trending_weight": 0.0}
    ),
    "slow+fast-trending": ProductArm(
        "none", "slow+fast without the row everyone", {"trending_weight": 0.0}
    ),
    "slow+fast-crosses": ProductArm(
        "none", "slow+fast without fast crosses", {"cross_weight": 0.0}
    ),
    "slow+fast-weights": ProductArm("none", "slow+fast without fast weights", {"fast_weight": 0.0}),
    "slow+fast-lessons": ProductArm("none", "slow+fast without lessons", {"lesson_weight": 0.0}),
    "slow+fast-momentum": ProductArm("none", "slow+fast without momentum", {"momentum": 0.0}),
    "slow+fast-decay": ProductArm(
        "none", "slow+fast whose fast weights and lessons stay", {"forgetting_s": 1e12}
    ),
    "slow+fast-randomgate": ProductArm(
        "none", "placebo: as many fast crosses kept, drawn by lot", {"gate": "random"}
    ),
    "slow+fast-shuffledlessons": ProductArm(
        "none", "placebo: lessons apply to attributes drawn by lot", {"shuffled_lessons": True}
    ),
    "slow+fast-nogate": ProductArm("none", "slow+fast with every cross kept", {"gate": "all"}),
    "slow+fast-anotheruser": ProductArm(
        "none", "placebo: every user gets another user's memory", kind="another user"
    ),
}

ENSEMBLES: Final[Mapping[str, tuple[str, ...]]] = {"ensemble": ("wide", "deep")}

MINIMUM: Final = (
    "popularity-decayed",
    "ease",
    "slow+finetune",
    "slow+errormemory+finetune",
    OURS,
)
"""What a first table needs."""


def arm_names() -> list[str]:
    """All arms, baselines first."""
    return [*BASELINES, *PRODUCT, *ENSEMBLES]


def arm_words() -> Mapping[str, str]:
    """What each arm is, for those whose names do not say it."""
    return {name: arm.words for name, arm in PRODUCT.items()} | {
        name: f"{' and '.join(parts)} trained apart and averaged"
        for name, parts in ENSEMBLES.items()
    }


def check_arms(names: list[str]) -> None:
    """Refuses names that no arm has.

    Raises:
      BadInputError: If there is one.
    """
    if unknown := sorted(set(names) - set(arm_names())):
        raise BadInputError(
            f"expected arms among {', '.join(arm_names())}; got {', '.join(unknown)}"
        )
