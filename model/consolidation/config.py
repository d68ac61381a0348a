"""Settings of the nightly consolidation."""

from dataclasses import dataclass

from model.errors import require


@dataclass(frozen=True)
class NightConfig:
    """How a night trains and when its candidate is refused.

    Attributes:
      min_events: Fewest new events with an outcome that are worth a night.
      held_out_share: Last part of the new events, by log order, that the candidate
        does not see and is judged on; the next night learns it.
      replay_ratio: Old events replayed for each new one.
      epochs: Passes over the night's events.
      learning_rate_scale: Factor on the training steps of both halves.
      pace_batches: Batches of old events on which the usual size of gradients is measured
        before the first step; 0 to begin with steps as long as the learning rate allows.
      max_quality_loss: Largest relative fall of NDCG@10 that may pass.
      max_forgetting: Largest relative fall of NDCG@10 on old events that may pass.
      max_logloss_rise: Largest relative rise of the outcome loss that may pass.
      min_coverage: Fewest different items in the lists that may pass, as a share of
        what the served model's lists hold.
      keep_versions: Published versions kept on disk.
    """

    min_events: int = 50
    held_out_share: float = 0.2
    replay_ratio: float = 4.0
    epochs: int = 1
    learning_rate_scale: float = 1.0
    pace_batches: int = 32
    max_quality_loss: float = 0.02
    max_forgetting: float = 0.05
    max_logloss_rise: float = 0.02
    min_coverage: float = 0.5
    keep_versions: int = 10

    def __post_init__(self) -> None:
        require(
            self,
            "night",
            {
                "min_events epochs": (lambda value: value >= 1, "be at least 1"),
                "keep_versions": (lambda value: value >= 2, "be at least 2"),
                "held_out_share": (lambda value: 0.0 < value < 1.0, "lie in (0, 1)"),
                "learning_rate_scale": (lambda value: value > 0, "be above 0"),
                "pace_batches replay_ratio max_quality_loss max_forgetting max_logloss_rise "
                "min_coverage": (
                    lambda value: value >= 0,
                    "be at least 0",
                ),
            },
        )
