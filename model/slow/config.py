"""Hyper-parameters of the slow model, written whole into the manifest of what they made."""

from dataclasses import dataclass
from typing import Final

from model.errors import BadInputError, require

HALVES: Final = ("both", "wide", "deep")
SIMILARITIES: Final = ("dot", "cosine")


@dataclass(frozen=True)
class SlowConfig:
    """How the slow model is shaped and trained.

    Attributes:
      halves: Which halves there are: `both`, `wide` (the deep part of a score is 0) or
        `deep` (the wide part is).
      similarity: How query and item vectors meet: `dot`, or `cosine` times a learned scale.
      dimensions: Length of item and query vectors.
      user_dimensions: Length of the user id embedding.
      attribute_dimensions: Length of the summed embedding of user attributes and context.
      hidden: Width of the hidden layer of the query tower.
      history: Most recent successes, and failures, that the deep half reads.
      wide_history: Most recent successes, and failures, that the wide half crosses.
      crosses_per_row: Most items that one row of the cross table may hold.
      nearby_per_row: Most items that are kept as chosen near an item; 0 to count none.
      cross_min_count: Least number of times a pair must have been seen to be admitted.
      number_buckets: Quantile buckets of a numeric attribute.
      history_dropout: Share of history items hidden during training.
      hidden_dropout: Dropout inside the query tower.
      id_dropout: Share of user and item ids replaced by the unknown id during
        training, so that attributes and history learn to carry new ids.
      deep_learning_rate: Adam step of the deep half.
      deep_weight_decay: Decoupled weight decay of the deep half, per step.
      wide_learning_rate: FTRL step of the wide half.
      wide_l1: FTRL L1 strength; pushes useless crosses to exactly zero.
      outcome_weight: Weight of the outcome loss beside the retrieval loss.
      batch_size: Least examples a step.
      max_batch_size: Most examples a step.
      max_steps: Steps an epoch beyond which the batches grow instead.
      full_softmax_items: Largest catalogue that competes whole in every step.
      sampled_candidates: Items drawn to compete in a step, where the catalogue is larger.
      train_events: Most events, the newest, to learn from; older ones stay in the histories.
      search_events: Most of them, the newest, on which the number of passes is sought.
      max_epochs: Most passes over the training events.
      patience: Epochs without improvement before training stops.
      tuning_share: What a search for settings that depend on the data may cost, as a share
        of the examples that training reads at its longest; 0 for no search.
      validation_share: Last part of the events, by time, that early stopping watches.
    """

    halves: str = "both"
    similarity: str = "dot"
    dimensions: int = 64
    user_dimensions: int = 16
    attribute_dimensions: int = 16
    hidden: int = 128
    history: int = 50
    wide_history: int = 20
    crosses_per_row: int = 100
    nearby_per_row: int = 128
    cross_min_count: int = 5
    number_buckets: int = 10
    history_dropout: float = 0.3
    hidden_dropout: float = 0.3
    id_dropout: float = 0.1
    deep_learning_rate: float = 2e-3
    deep_weight_decay: float = 1e-3
    wide_learning_rate: float = 0.2
    wide_l1: float = 1e-2
    outcome_weight: float = 0.3
    batch_size: int = 256
    max_batch_size: int = 1024
    max_steps: int = 400
    full_softmax_items: int = 20_000
    sampled_candidates: int = 4096
    train_events: int = 2_000_000
    search_events: int = 200_000
    max_epochs: int = 10
    patience: int = 1
    tuning_share: float = 0.0
    validation_share: float = 0.1

    def __post_init__(self) -> None:
        require(
            self,
            "slow",
            {
                "halves": (HALVES.__contains__, f"be one of {', '.join(HALVES)}"),
                "similarity": (SIMILARITIES.__contains__, f"be one of {', '.join(SIMILARITIES)}"),
                "dimensions user_dimensions attribute_dimensions hidden history wide_history "
                "crosses_per_row cross_min_count number_buckets batch_size max_batch_size "
                "max_steps full_softmax_items sampled_candidates train_events search_events "
                "max_epochs patience": (lambda value: value >= 1, "be at least 1"),
                "history_dropout hidden_dropout id_dropout": (
                    lambda value: 0.0 <= value < 1.0,
                    "lie in [0, 1)",
                ),
                "validation_share": (lambda value: 0.0 < value < 1.0, "lie in (0, 1)"),
                "deep_learning_rate wide_learning_rate": (
                    lambda value: value > 0.0,
                    "be above 0",
                ),
                "deep_weight_decay wide_l1 outcome_weight tuning_share nearby_per_row": (
                    lambda value: value >= 0.0,
                    "be at least 0",
                ),
            },
        )
        if self.wide_history > self.history:
            raise BadInputError(
                f"slow.wide_history must not exceed slow.history, got {self.wide_history} "
                f"and {self.history}"
            )
