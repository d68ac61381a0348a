"""Settings of the fast memory."""

from dataclasses import dataclass
from typing import Final

from model.errors import BadInputError, require

GATES: Final = ("surprise", "random", "all")


@dataclass(frozen=True)
class MemoryConfig:
    """How the fast memory remembers.

    The weights are factors on what was learned (`model.fast.mixing`); 0 switches a part off.

    Attributes:
      trending_weight: Factor on the row `everyone`.
      cross_weight: Factor on fast crosses.
      fast_weight: Factor on the users' fast weights.
      lesson_weight: Factor on lessons.
      trending_prior: Pseudo-events that pull the shares at the shortest half-life to those
        at the next longer one; at longer ones they grow with its root.
      cross_prior: Pseudo-events that pull the rate of a cross to what is expected; one
        event is not a fact.
      lift_prior: The same for the share of its row that an item has.
      per_day: Most successes of one actor that count for others within a day.
      followed_users: Most users and sessions whose latest successes are kept in mind, to
        cross the next one with them and to count none twice; the longest quiet are let go.
      gate: Which fast crosses are kept: `surprise` those that say most, `random` as many
        drawn by lot, `all` every one.
      gate_nats: What a cross must be worth to be kept, in nats.
      crosses_per_row: Most crosses of one row.
      cross_megabytes: Most memory that fast crosses may take.
      step: How far one surprise of 1 moves the score of the item it was about, in
        log-odds.
      failure_step: The same for a failure, as a share of `step`.
      momentum: Share of the last step that goes on with the next one, where that comes
        at once and is about an item of the same taste.
      momentum_s: Time constant in which momentum dies.
      forgetting_s: Half-life of fast weights and lessons.
      clip: Most that fast weights may add to the score of an item of mean length.
      shuffled_lessons: A placebo for evaluation: lessons apply to attributes drawn by lot.
      cached_users: Most users whose memory is kept worked out; others are rebuilt
        from the log when asked for.
    """

    trending_weight: float = 1.0
    cross_weight: float = 1.0
    fast_weight: float = 1.0
    lesson_weight: float = 1.0
    trending_prior: float = 300.0
    cross_prior: float = 2.0
    lift_prior: float = 10.0
    per_day: int = 100
    followed_users: int = 1_000_000
    gate: str = "surprise"
    gate_nats: float = 0.02
    crosses_per_row: int = 256
    cross_megabytes: int = 64
    step: float = 0.3
    failure_step: float = 0.1
    momentum: float = 0.3
    momentum_s: float = 1_800.0
    forgetting_s: float = 604_800.0
    clip: float = 3.0
    shuffled_lessons: bool = False
    cached_users: int = 20_000

    @property
    def moves_scores(self) -> bool:
        """Whether any part of the memory has a say in scores."""
        return any((self.trending_weight, self.cross_weight, self.fast_weight))

    def __post_init__(self) -> None:
        require(
            self,
            "memory",
            {
                "trending_weight cross_weight fast_weight lesson_weight gate_nats step "
                "failure_step": (lambda value: value >= 0, "be at least 0"),
                "trending_prior cross_prior lift_prior momentum_s forgetting_s clip": (
                    lambda value: value > 0,
                    "be above 0",
                ),
                "momentum": (lambda value: 0 <= value < 1, "lie in [0, 1)"),
                "per_day followed_users crosses_per_row cross_megabytes cached_users": (
                    lambda value: value >= 1,
                    "be at least 1",
                ),
            },
        )
        if self.gate not in GATES:
            raise BadInputError(f"memory.gate must be one of {', '.join(GATES)}, got {self.gate!r}")
