"""A slow model from the log alone: feature space, crosses, joint training, calibration.

The number of epochs is chosen on the last part of the events by time; then the model
is fitted again on all of them, since the newest events are the ones that matter most. Frozen
events are in neither fit.
"""

from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import BadInputError
from model.interactions import Outcome
from model.slow.bundle import Bundle, Calibration, make_bundle
from model.slow.calibration import fit_calibration
from model.slow.columns import EventColumns, Metadata
from model.slow.config import SlowConfig
from model.slow.crosses import CrossTable, without_zeros
from model.slow.evaluation import evaluate
from model.slow.examples import Examples
from model.slow.mixture import fit_mixture, mixture_of, no_mixture
from model.slow.parameters import Parameters, initial_parameters
from model.slow.schema import Schema
from model.slow.space import admitted, fit_space, nearby, success_counts
from model.slow.training import Fit, OnProgress, Plan, fit
from model.slow.tuning import Trial, search

MIN_SUCCESSES = 20
_MOST_RANKED = 20_000
_MOST_TRIED = 4_000


@dataclass(frozen=True)
class Trained:
    """A trained bundle and what is to be said of it.

    Attributes:
      bundle: Ready to be written.
      examples: The events it was trained on, in its own feature space.
      metrics: Quality on the validation tail, of the fit that did not see the tail.
      training: Epochs, losses, the validation curve and the sizes of the model.
      unseeing: The fit that did not see the tail.
      seen_seq: No event behind this log position was seen by it.
      tuned: Settings that a search chose and nights go on with; empty without a search.
    """

    bundle: Bundle
    examples: Examples
    metrics: dict[str, float]
    training: dict[str, Any]
    unseeing: Bundle
    seen_seq: int
    tuned: dict[str, Any]


def train_from_scratch(
    columns: EventColumns,
    metadata: Metadata,
    schema: Schema,
    config: SlowConfig,
    *,
    seed: int,
    on_progress: OnProgress | None = None,
) -> Trained:
    """Trains on all events, with the number of epochs found on their tail.

    Args:
      columns: The events.
      metadata: Attributes of items and users.
      schema: Which attributes to learn from.
      config: Hyper-parameters.
      seed: Decides starting values, shuffles and dropout.
      on_progress: Called after every step of both fits.

    Raises:
      BadInputError: If there are fewer than 20 successes to learn from.
    """
    n_successes = int((columns.outcome == Outcome.SUCCESS).sum())
    if n_successes < MIN_SUCCESSES:
        raise BadInputError(
            f"training needs at least {MIN_SUCCESSES} successes (such as clicks, purchases or "
            f"ratings at or above the success threshold), got {n_successes} in "
            f"{len(columns)} events",
            "too_few_events",
        )
    order = columns.by_time()
    cut = len(order) - max(int(len(order) * config.validation_share), 1)
    head = _Fitted(columns, order[:cut], metadata, schema, config, seed)
    tuning = search(config, head.learnable, head.trial(seed))
    if tuning.config != config:
        config = tuning.config
        head = head.restarted(config, seed)
    passes, calibration, metrics = head.searched(config, seed, on_progress)
    whole = _Fitted(columns, order, metadata, schema, config, seed)
    plan = Plan(seed, passes.epochs, on_progress=on_progress)
    learned = newest(whole.learnable, config.train_events)
    final = fit(whole.start, whole.examples, learned, config, plan)
    parameters, crosses = pruned(final.parameters | mixture_of(passes.parameters))
    return Trained(
        bundle=make_bundle(whole.space, parameters, calibration),
        examples=whole.examples,
        metrics=metrics,
        training={
            "epochs": passes.epochs,
            "losses": final.losses,
            "validation_losses": passes.validation,
            **({"tuning": tuning.tried} if tuning.tried else {}),
            "users": len(whole.space.users),
            "items": len(whole.space.items),
            **crosses,
        },
        unseeing=make_bundle(head.space, passes.parameters, calibration),
        seen_seq=int(columns.seq[order[:cut]].max()),
        tuned=tuning.chosen if tuning.tried else {},
    )


class _Fitted:
    """A feature space fitted to some of the events, and all events encoded with it."""

    def __init__(
        self,
        columns: EventColumns,
        known: NDArray[np.intp],
        metadata: Metadata,
        schema: Schema,
        config: SlowConfig,
        seed: int,
    ) -> None:
        self.space = fit_space(columns.take(known), metadata, schema, config)
        self.examples = Examples(columns, self.space, metadata)
        self.n_known = len(known)
        self.learnable = np.flatnonzero(~self.examples.frozen[: len(known)])
        self._items = metadata.item
        self._counts = success_counts(self.examples, self.learnable)
        self._crosses = admitted(self.examples, self.learnable, config)
        self._nearby = nearby(self.examples, self.learnable, config)
        self.start = self._start(config, seed)

    def _start(self, config: SlowConfig, seed: int) -> Parameters:
        rng = np.random.default_rng(seed)
        trained = initial_parameters(
            self.space, self._items, self._counts, self._crosses, config, rng
        )
        return {**trained, **self._nearby.arrays(), **no_mixture()}

    def restarted(self, config: SlowConfig, seed: int) -> "_Fitted":
        """The same events and crosses, with the starting values of other settings."""
        other = copy(self)
        other.start = self._start(config, seed)
        return other

    def trial(self, seed: int) -> Trial:
        """Trains on some of the known events and ranks what comes after all of them."""
        tail = np.arange(self.n_known, len(self.examples))

        def ranked(config: SlowConfig, which: NDArray[np.intp], passes: int) -> NDArray[np.float64]:
            start = self._start(config, seed)
            fitted = fit(start, self.examples, which, config, Plan(seed, passes))
            bundle = make_bundle(self.space, fitted.parameters, None)
            return evaluate(bundle, self.examples, tail, most_ranked=_MOST_TRIED).ndcg

        return ranked

    def searched(
        self, config: SlowConfig, seed: int, on_progress: OnProgress | None
    ) -> tuple[Fit, Calibration | None, dict[str, float]]:
        """The fit whose epochs did best on what comes after the known events.

        Returns:
          The fit with the mixture that suits that tail, the calibration of its outcome head on
        it, and its metrics there.
        """
        tail = np.arange(self.n_known, len(self.examples))
        plan = Plan(seed, config.max_epochs, validation=tail, on_progress=on_progress)
        learned = newest(self.learnable, min(config.search_events, config.train_events))
        found = fit(self.start, self.examples, learned, config, plan)
        raw = make_bundle(self.space, found.parameters, None)
        mixed = found.parameters | fit_mixture(raw, self.examples, tail)
        raw = make_bundle(self.space, mixed, None)
        judged = evaluate(raw, self.examples, tail, most_ranked=_MOST_RANKED)
        calibration = fit_calibration(judged.logits, judged.labels)
        found = replace(found, parameters=mixed)
        return found, calibration, judged.calibrated(calibration).summary()


def newest(positions: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """The last of the positions, at most so many."""
    return positions[max(len(positions) - most, 0) :]


def pruned(parameters: Parameters) -> tuple[Parameters, dict[str, int]]:
    """The arrays without the crosses that L1 made zero, and how many pairs there are."""
    table = CrossTable(
        parameters["wide_indptr"], parameters["wide_items"], parameters["wide_weights"]
    )
    kept = without_zeros(table)
    counts = {
        "crosses_admitted": len(table.items),
        "crosses_kept": len(kept.items),
        "nearby_pairs": len(parameters["nearby_items"]),
    }
    arrays = dict(parameters)
    arrays["wide_indptr"], arrays["wide_items"], arrays["wide_weights"] = kept
    return arrays, counts
