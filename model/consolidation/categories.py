"""Categories of items for the two phases of a night, and what the second phase weighs."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.consolidation.config import NightConfig
from model.errors import BadInputError
from model.interactions import AttributeValue
from model.slow.bundle import Bundle
from model.slow.columns import Metadata
from model.slow.evaluation import evaluate
from model.slow.examples import Examples
from model.slow.features import FeatureSpace, categories
from model.slow.phases import Course, Planning, planning_weights
from model.slow.schema import AttributeType

FEWEST: Final = 5
MOST: Final = 500

# Share of the new events that a night in two phases watches instead of learning them.
WATCHED_SHARE: Final = 0.1
_MOST_WATCHED: Final = 5_000

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Partition:
    """Items by category.

    Attributes:
      name: The attribute that says which.
      numbers: [items] category of each item; 0 for one that has none.
    """

    name: str
    numbers: NDArray[np.int32]

    def shuffled(self, rng: np.random.Generator) -> "Partition":
        """Categories of the same sizes, of items drawn by lot; the unknown item stays."""
        return Partition(
            self.name, np.concatenate([self.numbers[:1], rng.permutation(self.numbers[1:])])
        )


@dataclass(frozen=True)
class TwoPhases:
    """How a night learns in two phases.

    Attributes:
      partition: Categories of items.
      planning: What training needs of them.
    """

    partition: Partition
    planning: Planning

    def told(self, course: Course | None) -> dict[str, Any]:
        """What the report says of it, and of how it went."""
        return {
            "category": self.partition.name,
            "categories": len(np.unique(self.partition.numbers[1:])),
            "heavier": int((self.planning.weights > 1).sum()),
            "lighter": int((self.planning.weights < 1).sum()),
            **(course.as_json() if course else {}),
        }


def partition(space: FeatureSpace, metadata: Metadata, name: str) -> Partition:
    """Every item in the category that this attribute names, the first where it names several.

    Args:
      space: Item numbers and what is learned of them.
      metadata: Attributes of items.
      name: The attribute; empty for `usual_category`.

    Raises:
      BadInputError: If no item has the attribute, or none of them would do.
    """
    name = name or usual_category(space, metadata)
    values = _values(space, metadata, name)
    terms = {term: n for n, term in enumerate(dict.fromkeys(v[0] for v in values if v), 1)}
    if not terms:
        raise BadInputError(f"night.category must be an attribute of items, got {name!r}")
    numbers = [0, *(terms[v[0]] if v else 0 for v in values)]
    return Partition(name, np.array(numbers, np.int32))


def usual_category(space: FeatureSpace, metadata: Metadata) -> str:
    """The attribute of 5 to 500 values of which an item has fewest; of these the coarsest.

    Only categories count, not numbers or texts, and at least half of the items must have one.

    Raises:
      BadInputError: If there is none.
    """
    found = []
    for encoder in space.item_attributes.encoders:
        if encoder.kind is AttributeType.NUMBER:
            continue
        described = [v for v in _values(space, metadata, encoder.name) if v]
        different = len(Counter(term for value in described for term in value))
        if FEWEST <= different <= MOST and 2 * len(described) >= space.items.size - 1:
            each = sum(map(len, described)) / len(described)
            found.append((each, different, encoder.name))
    if not found:
        raise BadInputError(
            f"two phases need an attribute of items with {FEWEST} to {MOST} values; "
            "name one as night.category, or set night.phases to none"
        )
    return min(found)[2]


def _values(space: FeatureSpace, metadata: Metadata, name: str) -> list[tuple[str, ...]]:
    """[items but the unknown one] the categories that each item's attribute names."""
    values: list[AttributeValue | None] = [
        metadata.item(item).get(name) for item in space.items.terms
    ]
    return [() if value is None else categories(value) for value in values]


def set_aside(taken: Positions, rng: np.random.Generator) -> tuple[Positions, Positions]:
    """What of the lesson is learned, and a tenth of it, drawn by lot, to watch."""
    n = min(round(WATCHED_SHARE * len(taken)), _MOST_WATCHED)
    watched = np.zeros(len(taken), bool)
    watched[rng.permutation(len(taken))[:n]] = True
    return taken[~watched], taken[watched]


def planning(
    served: Bundle,
    examples: Examples,
    lesson: tuple[Positions, Positions],
    found: Partition,
    config: NightConfig,
) -> Planning:
    """What the two phases of a night need to know.

    Args:
      served: The served model, grown for the night.
      examples: Events.
      lesson: New events to learn, and those to watch. Only new ones are weighed: of what
        happened before, the served model has seen the outcome.
      found: Categories of items.
      config: How a night learns.
    """
    learned, watched = lesson
    successes = learned[examples.success[learned]]
    weights = np.ones(len(examples), np.float32)
    weights[successes] = planning_weights(
        examples.label[successes].astype(np.float64),
        _served_chance(served, examples, successes),
        config.planning_gain,
    )
    return Planning(found.numbers, weights, watched, served.calibration)


def _served_chance(served: Bundle, examples: Examples, successes: Positions) -> NDArray[np.float64]:
    """[events] the chance of success that was served before each event.

    Where no chance can be learned, that of the item in the list.
    """
    if served.calibration is not None:
        known = np.flatnonzero(examples.labelled[successes])
        chance = np.full(len(successes), 0.5)
        seen = evaluate(served, examples, successes, most_ranked=0)
        chance[known] = seen.probabilities
        return chance
    known = np.flatnonzero(examples.item[successes] > 0)
    chance = np.zeros(len(successes))
    chance[known] = np.exp(-evaluate(served, examples, successes).surprises)
    return chance
