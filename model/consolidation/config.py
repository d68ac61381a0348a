"""Settings of the nightly consolidation."""

from dataclasses import dataclass, replace
from typing import Final

from model.errors import require

SELECTIONS: Final = ("surprise", "lot")
PHASES: Final = ("none", "category", "placebo")


@dataclass(frozen=True)
class NightConfig:
    """How a night trains and when its candidate is refused.

    Attributes:
      min_events: Fewest new events with an outcome that are worth a night.
      held_out_share: Last part of the new events, by log order, that the candidate
        does not see and is judged on; the next night learns it.
      read_rows: Log rows read, the newest; what is older is in no history and not replayed.
      max_events: Most new events that one night learns.
      select_share: Share of the new events to learn, by what surprised and what was
        repeated; 1 learns all.
      selection: How they are chosen: `surprise`, or `lot` (a control).
      user_shares: Most events of one user, as a multiple of the median user's; what is
        over is neither learned nor judged on.
      item_shares: Most events of one item, as a multiple of the mean item's.
      replay_ratio: Old events replayed for each new one.
      epochs: Passes over the night's events.
      learning_rate_scale: Factor on the training steps of both halves.
      pace_batches: Batches of old events on which the usual size of gradients is measured
        before the first step; 0 to begin with steps as long as the learning rate allows.
      drift_target: Drift from the served model in nats that training aims at, on requests
        that are never taught; 0 lets it drift.
      drift_weight: Weight of the drift in the loss to begin with; it adapts.
      handover: Share of the day's fast value that a cross admitted tonight begins at; 0
        begins at zero.
      softness: Share of the soft targets in the targets of new events: what the served
        model expected before it saw them; 0 for none.
      temperature: Divides the log-odds of the soft targets.
      smoothing: Share of the base rates in the soft targets.
      phases: Whether the choice of a category weighs more once the choice within one is
        learned: `none`, `category`, or `placebo` (a control: categories drawn by lot).
      category: The item attribute that names the category; empty for the one of 5 to 500
        values of which an item has fewest.
      planning_gain: By how much the choice of a category weighs more in the second phase.
      max_quality_loss: Largest relative fall of NDCG@10 that may pass.
      max_forgetting: Largest relative fall of NDCG@10 on old events that may pass.
      max_logloss_rise: Largest relative rise of the outcome loss that may pass.
      max_slice_rise: The same on held-out events of users with little history and of rare
        items.
      twins: Times that the night is learned again with another seed, to know what chance
        alone makes of the drift; 0 leaves the drift without a bound.
      max_drift: Largest drift from the served model that may pass, as a multiple of the
        drift between twins.
      max_dormant_rise: Largest rise of the share of dormant hidden units that may pass.
      max_growth: Largest arithmetic of a request that may pass, as a multiple of the served
        model's.
      max_shift: Largest shift of what succeeds from the stretch before to the new events
        that may pass, as a multiple of the largest between past stretches.
      continuity_users: Users without new events whose lists are compared before and after
        the swap; 0 for none.
      max_jump: Largest share of their top 10 that may be replaced.
      min_coverage: Fewest different items in the lists that may pass, as a share of
        what the served model's lists hold.
      keep_versions: Published versions kept on disk.
    """

    min_events: int = 50
    held_out_share: float = 0.2
    read_rows: int = 3_000_000
    max_events: int = 500_000
    select_share: float = 1.0
    selection: str = "surprise"
    user_shares: float = 10.0
    item_shares: float = 50.0
    replay_ratio: float = 4.0
    epochs: int = 1
    learning_rate_scale: float = 1.0
    pace_batches: int = 32
    drift_target: float = 0.0
    drift_weight: float = 0.3
    handover: float = 0.0
    softness: float = 0.0
    temperature: float = 2.0
    smoothing: float = 0.1
    phases: str = "none"
    category: str = ""
    planning_gain: float = 0.2
    max_quality_loss: float = 0.02
    max_forgetting: float = 0.05
    max_logloss_rise: float = 0.02
    max_slice_rise: float = 0.05
    twins: int = 1
    max_drift: float = 10.0
    max_dormant_rise: float = 0.1
    max_growth: float = 2.0
    max_shift: float = 2.0
    continuity_users: int = 50
    max_jump: float = 0.5
    min_coverage: float = 0.5
    keep_versions: int = 10

    def plain(self) -> "NightConfig":
        """The same training without any choice: all new events, old ones by lot, labels alone."""
        return replace(
            self,
            select_share=1.0,
            selection="lot",
            drift_target=0.0,
            handover=0.0,
            softness=0.0,
            phases="none",
            learning_rate_scale=1.0,
        )

    def __post_init__(self) -> None:
        require(
            self,
            "night",
            {
                "selection": (SELECTIONS.__contains__, f"be one of {', '.join(SELECTIONS)}"),
                "phases": (PHASES.__contains__, f"be one of {', '.join(PHASES)}"),
                "min_events epochs max_events read_rows": (
                    lambda value: value >= 1,
                    "be at least 1",
                ),
                "keep_versions": (lambda value: value >= 2, "be at least 2"),
                "select_share": (lambda value: 0.0 < value <= 1.0, "lie in (0, 1]"),
                "user_shares item_shares": (lambda value: value >= 1, "be at least 1"),
                "held_out_share": (lambda value: 0.0 < value < 1.0, "lie in (0, 1)"),
                "learning_rate_scale": (lambda value: value > 0, "be above 0"),
                "handover softness smoothing planning_gain": (
                    lambda value: 0.0 <= value < 1.0,
                    "lie in [0, 1)",
                ),
                "temperature drift_weight": (lambda value: value > 0, "be above 0"),
                "pace_batches drift_target replay_ratio max_quality_loss max_forgetting "
                "max_logloss_rise "
                "max_shift continuity_users max_jump max_slice_rise max_drift max_dormant_rise "
                "max_growth twins min_coverage": (
                    lambda value: value >= 0,
                    "be at least 0",
                ),
            },
        )
