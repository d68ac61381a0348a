"""Settings that depend on the data, chosen by a small search before a model is trained.

A trial trains on the newest of the events for a fixed number of passes and ranks the tail
that comes after them. The first trial takes the settings as they are, each further one
changes one thing of the best so far; a change is kept when it ranks the tail better by more
than a standard error of the paired difference. What a search may cost is fixed in examples
beforehand, so that it is the same on every machine.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.slow.config import SlowConfig

TUNED: Final = (
    "similarity",
    "deep_learning_rate",
    "history_dropout",
    "hidden_dropout",
    "wide_l1",
)
"""Settings that a search may change; nights go on with what training chose."""

PASSES: Final = 3
_FEWEST: Final = 1_000

Trial = Callable[[SlowConfig, NDArray[np.intp], int], NDArray[np.float64]]
"""[tail] NDCG@10 of each success after so many passes over these events."""


@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Attributes:
      config: The settings to train with.
      tried: In order, each trial's `change`, its mean `ndcg@10`, and whether it was `kept`.
    """

    config: SlowConfig
    tried: list[dict[str, Any]]

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that a night has to go on with."""
        return {name: getattr(self.config, name) for name in TUNED}


def changes(config: SlowConfig) -> list[dict[str, Any]]:
    """One change each, tried in this order."""
    other = "dot" if config.similarity == "cosine" else "cosine"
    return [
        {"similarity": other},
        {"deep_learning_rate": 2.0 * config.deep_learning_rate},
        {
            "history_dropout": config.history_dropout / 3.0,
            "hidden_dropout": config.hidden_dropout / 3.0,
        },
        {"wide_l1": config.wide_l1 / 10.0},
    ]


def trial_size(n_events: int, config: SlowConfig) -> int:
    """How many events a trial learns from; 0 where there is nothing to search with.

    All trials together read at most `tuning_share` of the examples that training reads at
    its longest.
    """
    longest = config.max_epochs * min(n_events, config.search_events)
    size = int(config.tuning_share * longest / (PASSES * (1 + len(changes(config)))))
    return min(size, n_events) if size >= _FEWEST else 0


def search(config: SlowConfig, learnable: NDArray[np.intp], trial: Trial) -> Tuning:
    """The settings that rank best what comes after the events.

    Args:
      config: The settings as they are.
      learnable: Positions of the events that may be learned, by time.
      trial: Trains and ranks.
    """
    size = trial_size(len(learnable), config)
    if not size:
        return Tuning(config, [])
    which = learnable[len(learnable) - size :]
    best, ranked = config, trial(config, which, PASSES)
    tried: list[dict[str, Any]] = [_noted({}, ranked, kept=True)]
    for change in changes(config):
        candidate = dataclasses.replace(best, **change)
        found = trial(candidate, which, PASSES)
        kept = _better(found, ranked)
        tried.append(_noted(change, found, kept=kept))
        if kept:
            best, ranked = candidate, found
    return Tuning(best, tried)


def as_tuned(config: SlowConfig, chosen: Mapping[str, Any]) -> SlowConfig:
    """The settings of a night on a model that was trained with what a search chose."""
    return dataclasses.replace(config, **{name: chosen[name] for name in TUNED if name in chosen})


def _better(found: NDArray[np.float64], best: NDArray[np.float64]) -> bool:
    difference = found - best
    if len(difference) < 2:
        return False
    error = float(difference.std(ddof=1)) / np.sqrt(len(difference))
    return bool(difference.mean() > error)


def _noted(change: Mapping[str, Any], ranked: NDArray[np.float64], *, kept: bool) -> dict[str, Any]:
    mean = round(float(ranked.mean()), 5) if len(ranked) else 0.0
    return {"change": dict(change), "ndcg@10": mean, "kept": kept}
