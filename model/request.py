"""What a recommendation is asked for with, and what comes back."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from model.catalogue import Filter
from model.explanation import Cause
from model.interactions import Attributes

Explain: TypeAlias = Literal["none", "brief", "full"]

PARTS: Final = ("slow_wide", "slow_deep", "fast_wide", "fast_deep", "bias", "rules")


@dataclass(frozen=True, slots=True)
class Query:
    """One request for recommendations.

    Attributes:
      user_id: For whom; None for nobody known.
      n: How many items, at least 1.
      now_ms: The moment to recommend for.
      context: Attributes of the request.
      session_id: An anonymous session whose events count as the user's.
      seed_items: Items to take as just liked, newest last.
      exclude_items: Items to leave out.
      exclude_seen: Whether items the user has come across are left out.
      filters: Conditions that every item must meet.
      explain: How much to say about why.
    """

    user_id: str | None = None
    n: int = 10
    now_ms: int = 0
    context: Attributes = field(default_factory=dict)
    session_id: str | None = None
    seed_items: tuple[str, ...] = ()
    exclude_items: tuple[str, ...] = ()
    exclude_seen: bool = True
    filters: tuple[Filter, ...] = ()
    explain: Explain = "none"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Ranked items, column by column.

    Attributes:
      item_ids: Best first.
      scores: In log-odds, never rising.
      probabilities: Calibrated chance of success once shown; None where the data
        hold one outcome only and no chance could be learned.
      sources: The part of the score that lifts each item most above the average item.
      model_version: The slow model that answered.
      memory_as_of: Last log position that is reflected.
      fallback: None, or how the list was made when the user's own taste could not
        make it: `popular` when nothing is known of the user, `seen` when all
        allowed items had been seen.
      parts: When asked for: each part's share of the scores; they add up.
      because: When asked for: what moved each item most.
    """

    item_ids: list[str]
    scores: list[float]
    probabilities: list[float] | None
    sources: list[str]
    model_version: str
    memory_as_of: int
    fallback: str | None
    parts: dict[str, list[float]] | None = None
    because: list[list[Cause]] | None = None
