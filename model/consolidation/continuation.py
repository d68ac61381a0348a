"""Teaches the served model what the log holds since: the candidate of a night.

The new events are cut in log order. Of the head is learned what is selected; the tail is
held out, to judge the candidate on, and the next night learns it. Old events are replayed
beside the head. Frozen events are neither learned nor replayed; the old ones show what was
forgotten.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.consolidation.categories import TwoPhases, partition, planning, set_aside
from model.consolidation.config import NightConfig
from model.consolidation.handover import handed_over
from model.consolidation.replay import draw
from model.consolidation.selection import (
    Candidates,
    Selection,
    budget,
    select,
    surprises,
    within_caps,
)
from model.slow.bootstrap import newest, pruned
from model.slow.bundle import Bundle, Calibration, make_bundle
from model.slow.calibration import fit_calibration
from model.slow.columns import EventColumns, Metadata
from model.slow.config import SlowConfig
from model.slow.evaluation import evaluate
from model.slow.examples import Examples
from model.slow.extension import described, grown, grown_space, growth, with_crosses
from model.slow.nearby import Nearby, merged
from model.slow.parameters import Parameters, log_share, share
from model.slow.reference import Guidance, Probes, Teacher
from model.slow.scorer import SlowScorer
from model.slow.space import admitted, nearby, success_counts
from model.slow.training import OnProgress, Plan, Trainer

Positions = NDArray[np.intp]

# How many outcomes the calibration remembers: a night moves it by its own share of them.
CALIBRATION_MEMORY: Final = 8_000


@dataclass(frozen=True)
class Cut:
    """Where the log is cut tonight.

    Attributes:
      learned_seq: The served model has learned everything up to here.
      held_out_seq: The first event that is held out.
    """

    learned_seq: int
    held_out_seq: int


def cut(new_seq: NDArray[np.int64], learned_seq: int, held_out_share: float) -> Cut:
    """Cuts new events into a head to learn and a tail to judge on, at least one event each.

    Args:
      new_seq: [events] log positions of the new events, rising; two at least.
      learned_seq: The last position that the served model has learned.
      held_out_share: The tail's share of the events.
    """
    n = len(new_seq)
    n_tail = min(max(round(n * held_out_share), 1), n - 1)
    return Cut(learned_seq, int(new_seq[n - n_tail]))


@dataclass(frozen=True)
class Night:
    """The served model, grown for the night's events, and the parts of these events.

    Positions are those of `examples`; events that say nothing of success or failure are
    in no part, but in everyone's history.

    Attributes:
      served: The served model, which scores as before, with room for what is new.
      metadata: Attributes of items and users.
      examples: All events, in the grown model's feature space.
      actors: [events] number of each event's user or session.
      old: What the served model has learned.
      frozen: Old events that it was not taught.
      head: What is to be learned.
      held_out: What the candidate is judged on.
      n_known: Items below this number were known to the served model.
      grown: How many users, items and attribute values are new.
    """

    served: Bundle
    metadata: Metadata
    examples: Examples
    actors: NDArray[np.intp]
    old: Positions
    frozen: Positions
    head: Positions
    held_out: Positions
    n_known: int
    grown: dict[str, int]


def open_night(served: Bundle, columns: EventColumns, metadata: Metadata, at: Cut) -> Night:
    """Grows the served model for the events before the held-out ones, and encodes all events."""
    known = columns.take(np.flatnonzero(columns.seq < at.held_out_seq))
    space = grown_space(served.space, known, metadata)
    examples = Examples(columns, space, metadata)
    seq, frozen = examples.seq, examples.frozen
    old = examples.labelled & (seq <= at.learned_seq)
    new = examples.labelled & (seq > at.learned_seq)
    return Night(
        served=grown(served, space, metadata),
        metadata=metadata,
        examples=examples,
        actors=columns.actor.codes[columns.by_time()].astype(np.intp),
        old=np.flatnonzero(old & ~frozen),
        frozen=np.flatnonzero(old & frozen),
        head=np.flatnonzero(new & ~frozen & (seq < at.held_out_seq)),
        held_out=np.flatnonzero(new & (seq >= at.held_out_seq)),
        n_known=served.space.items.size,
        grown=growth(served.space, space),
    )


def fair(night: Night, config: NightConfig) -> Night:
    """The night with held-out events within the caps: who floods the log is no judge either."""
    held_out = night.held_out
    kept, _ = within_caps(night.actors[held_out], night.examples.item[held_out], config)
    return replace(night, held_out=held_out[kept])


@dataclass(frozen=True)
class Candidate:
    """What a night made.

    Attributes:
      bundle: The candidate.
      start: Where training began: the served model with the night's attributes, crosses
        and popularity, which are counted and not learned.
      counts: What was learned, and how much of it was new.
      selection: Which of the new events were learned.
      losses: [epochs] mean training loss in nats; None where it was not finite.
      drifts: [steps] drift from the served model in nats, and its weight; empty where
        training was free to drift.
      phases: How the two phases of learning went, as plain JSON; None where there was one.
      not_finite: Names of arrays that hold a number that is not finite.
      trainer: What trained it.
    """

    bundle: Bundle
    start: Bundle
    counts: dict[str, int]
    selection: Selection
    losses: list[float | None]
    drifts: list[tuple[float, float]]
    phases: dict[str, Any] | None
    not_finite: tuple[str, ...]
    trainer: Trainer = field(repr=False)


def teach(
    night: Night,
    slow: SlowConfig,
    config: NightConfig,
    *,
    seed: int,
    twin: Candidate | None = None,
    on_progress: OnProgress | None = None,
) -> Candidate:
    """Trains the served model further on the head, with old events replayed among it.

    Args:
      night: The events.
      slow: How the slow model trains.
      config: How a night does.
      seed: Decides what is replayed, shuffles and dropout.
      twin: One of the same night and settings, to share what no seed decides.
      on_progress: Called after every step.
    """
    rng = np.random.default_rng(seed)
    selection = selected(night, config, rng)
    selection, phases = _phases(night, selection, config, seed)
    n_replayed = round(config.replay_ratio * len(selection.taken))
    drawn = draw(night.actors[night.old], night.examples.item[night.old], n_replayed, rng)
    replayed = night.old[drawn]
    plan = replace(
        _plan(night, slow, config, seed),
        planning=None if phases is None else phases.planning,
        on_progress=on_progress,
    )
    if twin is None:
        start = _prepared(night, selection.within, slow)
        start = handed_over(start, night.served, night.examples, selection.within, config.handover)
        trainer = Trainer(dict(start.parameters), night.examples, slow, plan)
    else:
        start, trainer = twin.start, twin.trainer
    fitted = trainer.fit(np.concatenate([selection.taken, replayed]), plan)
    parameters, crosses = pruned(fitted.parameters)
    not_finite = tuple(name for name, array in parameters.items() if not np.isfinite(array).all())
    return Candidate(
        bundle=make_bundle(night.served.space, parameters, _calibration(night, selection.within)),
        start=start,
        counts={
            "new": len(night.head),
            "learned": len(selection.taken),
            "replayed": len(replayed),
            "held_out": len(night.held_out),
            **night.grown,
            **crosses,
        },
        selection=selection,
        losses=[loss if np.isfinite(loss) else None for loss in fitted.losses],
        drifts=fitted.drifts,
        phases=None if phases is None else phases.told(fitted.course),
        not_finite=not_finite,
        trainer=trainer,
    )


def _phases(
    night: Night, selection: Selection, config: NightConfig, seed: int
) -> tuple[Selection, TwoPhases | None]:
    """What of the selection is learned, the rest being watched, and how in two phases."""
    if config.phases == "none":
        return selection, None
    rng = np.random.default_rng([seed, 1])
    learned, watched = set_aside(selection.taken, rng)
    found = partition(night.served.space, night.metadata, config.category)
    if config.phases == "placebo":
        found = found.shuffled(rng)
    plan = planning(night.served, night.examples, (learned, watched), found, config)
    counts = {**selection.counts, "taken": len(learned), "watched": len(watched)}
    return replace(selection, taken=learned, counts=counts), TwoPhases(found, plan)


def _guidance(night: Night, config: NightConfig) -> Guidance:
    """What the fit takes from the served model, which stays as it is all night."""
    probes = teacher = None
    scorer = SlowScorer(night.served)
    if config.drift_target > 0 and len(night.frozen):
        probes = Probes(
            scorer, night.frozen, night.n_known, config.drift_target, config.drift_weight
        )
    if config.softness > 0:
        # the served model has seen the outcomes of old events: of those it is no teacher
        softness = np.zeros(len(night.examples), np.float32)
        softness[night.head] = config.softness
        rate = float(night.examples.label[night.old].mean()) if len(night.old) else 0.5
        teacher = Teacher(scorer, softness, config.temperature, config.smoothing, rate)
    return Guidance(probes, teacher)


def selected(night: Night, config: NightConfig, rng: np.random.Generator) -> Selection:
    """What of the head is learned."""
    examples, head = night.examples, night.head
    kept, over = within_caps(night.actors[head], examples.item[head], config)
    within = head[kept]
    n = min(budget(len(head), config), len(within))
    surprise = np.zeros(len(within))
    if n < len(within) and config.selection == "surprise":
        surprise = surprises(night.served, examples, within, rng)
    events = Candidates(
        night.actors[within], examples.item[within], examples.success[within], surprise
    )
    taken, why = select(events, n, config, rng)
    counts = {"taken": n, **why, **over, "left_over": len(within) - n}
    return Selection(within, within[taken], counts)


def _plan(night: Night, slow: SlowConfig, config: NightConfig, seed: int) -> Plan:
    """How the night trains, in one phase."""
    return Plan(
        seed,
        config.epochs,
        learning_rate_scale=config.learning_rate_scale,
        guidance=_guidance(night, config),
        # the newest old events, as many as so many batches hold
        paced_by=newest(night.old, config.pace_batches * slow.batch_size),
    )


def _prepared(night: Night, new: Positions, config: SlowConfig) -> Bundle:
    """The served model with what needs no training: attributes, crosses, counts, popularity."""
    examples = night.examples
    learned = np.concatenate([night.old, new])
    bundle = described(night.served, night.metadata)
    bundle = with_crosses(bundle, admitted(examples, learned, config))
    before, now = success_counts(examples, night.old), success_counts(examples, learned)
    p: Parameters = dict(bundle.parameters)
    p["item_share"] = share(now)
    # the bias is log popularity plus what training made of it, which stays
    p["item_bias"] = p["item_bias"] + (log_share(now) - log_share(before))
    fresh = nearby(examples, new, config)
    p |= merged(Nearby.of(p), fresh, config.nearby_per_row).arrays()
    return make_bundle(bundle.space, p, bundle.calibration)


def _calibration(night: Night, events: Positions) -> Calibration | None:
    """The served calibration, moved towards what the new events say.

    Platt's map is fitted to the served model's log-odds of the new events, which it has not
    seen: the candidate's own would flatter it, for it was trained on them. The users of
    one night are not those of the next, so the map moves a part of the way only.
    """
    old = night.served.calibration
    seen = evaluate(night.served, night.examples, events, most_ranked=0)
    new = fit_calibration(seen.logits, seen.labels)
    if old is None or new is None:
        return new or old
    weight = len(seen.labels) / (len(seen.labels) + CALIBRATION_MEMORY)
    return Calibration(
        scale=old.scale + weight * (new.scale - old.scale),
        offset=old.offset + weight * (new.offset - old.offset),
    )
