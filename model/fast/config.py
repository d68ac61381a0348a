"""Settings of the fast memory."""

from dataclasses import dataclass

from model.errors import require


@dataclass(frozen=True)
class MemoryConfig:
    """How the fast memory remembers.

    Attributes:
      trending_half_life_s: Age at which a recent success counts half for the
        trending row.
      trending_prior: Pseudo-successes that pull an item's trending rate towards
        what the slow model expects; one event is not a fact.
      trending_weight: Factor on the trending log-odds, 0 switches the row off.
      cached_users: Most users whose memory is kept worked out; others are rebuilt
        from the log when asked for.
    """

    trending_half_life_s: float = 86_400.0
    trending_prior: float = 10.0
    trending_weight: float = 0.5
    cached_users: int = 20_000

    def __post_init__(self) -> None:
        require(
            self,
            "memory",
            {
                "trending_half_life_s trending_prior": (lambda value: value > 0, "be above 0"),
                "trending_weight": (lambda value: value >= 0, "be at least 0"),
                "cached_users": (lambda value: value >= 1, "be at least 1"),
            },
        )
