"""Fast weights: one user's vector beside the slow query vector, written by surprise.

The rule is that of Titans (Behrouz et al. 2025, section 3.1): S ← η·S - θ·g, m ← (1 - α)·m
+ S, with g the gradient of the surprise. Forgetting goes by the clock and not by the
count of events, and momentum dies with time and with a change of taste.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.fast.config import MemoryConfig

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Surprise:
    """An event against what was expected.

    Attributes:
      nats: -log of the probability that its item had among those compared.
      gradient: [d] expected item vector less the vector of the item.
    """

    nats: float
    gradient: Vector


def surprise(
    scores: NDArray[np.floating],
    vectors: NDArray[np.floating],
    score: float,
    vector: NDArray[np.floating],
) -> Surprise:
    """The surprise of one item under a softmax over it and others.

    Args:
      scores: [others] log-odds of the items it is compared with, -inf for one to leave out.
      vectors: [others, d] their vectors.
      score: Its own log-odds.
      vector: [d] its own vector.
    """
    top = max(float(scores.max(initial=-np.inf)), score)
    weights = np.exp(scores - top)
    own = float(np.exp(score - top))
    total = float(weights.sum(dtype=np.float64)) + own
    expected = (weights @ vectors).astype(np.float64) + own * vector
    return Surprise(float(np.log(total) + top - score), expected / total - vector)


class Step(NamedTuple):
    """What one event did to fast weights: m ← clipped·(kept·m + S), S ← carried·S + moved.

    Attributes:
      moved: [d] the event's own.
      kept: Share of the weights that was not forgotten since the event before.
      carried: Share of the last step that goes on.
      clipped: What the weights were scaled by in the end.
    """

    moved: Vector
    kept: float
    carried: float
    clipped: float


class FastWeights:
    """The fast weights of one user at the moment of the last event.

    Attributes:
      value: [d] m.
      momentum: [d] S.
      at_ms: The moment.
    """

    __slots__ = ("_config", "_length", "_vector", "at_ms", "momentum", "value")

    def __init__(self, config: MemoryConfig, dimensions: int, length: float) -> None:
        """No weights.

        Args:
          config: Settings.
          dimensions: d.
          length: Root mean square length of item vectors, above 0; steps and clip are
            relative to it.
        """
        self._config = config
        self._length = length
        self.value = np.zeros(dimensions)
        self.momentum = np.zeros(dimensions)
        self._vector: Vector | None = None
        self.at_ms = 0

    def at(self, now_ms: int) -> Vector:
        """[d] the weights at this moment; one before the last event counts as that event's."""
        return self.value * self.kept(now_ms)

    def strength(self, now_ms: int) -> float:
        """How far they can move an item of mean length at this moment, in log-odds."""
        return float(np.linalg.norm(self.at(now_ms))) * self._length

    def kept(self, now_ms: int) -> float:
        """The share of the weights that is not forgotten by this moment."""
        age_s = max(now_ms - self.at_ms, 0) / 1000.0
        return float(np.exp2(-age_s / self._config.forgetting_s))

    def push(
        self, gradient: Vector, vector: NDArray[np.floating], timestamp_ms: int, size: float
    ) -> Step:
        """Takes one event in.

        Args:
          gradient: [d] of its surprise.
          vector: [d] of its item, for the change of taste.
          timestamp_ms: When; not before the event before it.
          size: How much it counts; negative to move away from the item.

        Returns:
          What it did.
        """
        moved = -self._config.step * size / self._length**2 * gradient
        kept, carried = self.kept(timestamp_ms), self._carried(vector, timestamp_ms)
        self.momentum = carried * self.momentum + moved
        self.value = kept * self.value + self.momentum
        norm = float(np.linalg.norm(self.value)) * self._length
        clipped = min(self._config.clip / norm, 1.0) if norm else 1.0
        self.value *= clipped
        self._vector, self.at_ms = np.asarray(vector, np.float64), timestamp_ms
        return Step(moved, kept, carried, clipped)

    def _carried(self, vector: NDArray[np.floating], timestamp_ms: int) -> float:
        """The share of the last step that goes on."""
        if self._vector is None:
            return 0.0
        lengths = float(np.linalg.norm(self._vector) * np.linalg.norm(vector))
        likeness = float(self._vector @ vector) / lengths if lengths else 0.0
        age_s = max(timestamp_ms - self.at_ms, 0) / 1000.0
        alive = float(np.exp(-age_s / self._config.momentum_s))
        return self._config.momentum * alive * max(likeness, 0.0)


def shares_of(steps: Sequence[Step]) -> NDArray[np.float64]:
    """[steps, d] what each event has given to the weights as they are after the last one.

    The weights are the sum over the events: every step is linear in those before it.
    """
    if not steps:
        return np.zeros((0, 0))
    value = np.zeros((len(steps), len(steps[0].moved)))
    momentum = np.zeros_like(value)
    for place, (moved, kept, carried, clipped) in enumerate(steps):
        momentum *= carried
        momentum[place] += moved
        value = clipped * (kept * value + momentum)
    return value
