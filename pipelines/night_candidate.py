"""The candidate of a night: taught, judged beside the served model, published or refused."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.consolidation.changes import changes
from model.consolidation.comparison import compare
from model.consolidation.continuation import (
    Candidate,
    Night,
    Positions,
    cut,
    fair,
    open_night,
    teach,
)
from model.consolidation.diet import familiar
from model.consolidation.drift import drift
from model.consolidation.gates import Verdict, judge
from model.consolidation.safety import (
    awake,
    dormant_share,
    drifted,
    finite,
    parity,
    plastic,
    small,
    work,
)
from model.errors import ParityError
from model.factor_learning import Lesson
from model.slow.bundle import Bundle, load_bundle, write_bundle
from model.slow.training import PARITY_TOLERANCE
from model.storage.event_log import LogReader
from model.storage.registry import Registry
from model.workspace import config_as_json
from pipelines.console import count
from pipelines.continuity import Swap, continuous
from pipelines.learning import LogRead, describe, memory_factors, on_bar, provenance, verify
from pipelines.night_report import outcome, plain
from pipelines.night_run import NightRun, Served

# Far from any seed that people choose, so that no twin is tomorrow's candidate.
_TWIN_SEED: Final = 1_000_003


def attempt(
    registry: Registry, served: Served, log: LogReader, read: LogRead, run: NightRun
) -> dict[str, Any]:
    """Makes a candidate, judges it and does what the verdicts say."""
    columns, config = read.columns, run.config
    new_seq = columns.seq[columns.labelled & (columns.seq > served.learned_seq)]
    at = cut(new_seq, served.learned_seq, config.night.held_out_share)
    night = fair(open_night(served.bundle, columns, read.metadata, at), config.night)
    run.on_stage("opened")
    candidate = _taught(night, served, run)
    run.on_stage("taught")
    with registry.stage() as staged:
        write_bundle(candidate.bundle, staged)
        run.on_stage("staged")
        verdicts, metrics = _judged(staged, night, candidate, run)
        kept = dict(served.kept)
        if not candidate.not_finite:
            held_out = Lesson(at.held_out_seq - 1, read.through_seq, served.mixing())
            kept |= memory_factors(candidate.bundle, log, config, held_out, seed=run.seed)
            swap = Swap(served, candidate.bundle, kept, log, read)
            found = swap.jump(config)
            verdicts.append(continuous(found, config.night))
            metrics["continuity"] = found and found.as_json()
        run.on_stage("judged")
        manifest = {
            **provenance(
                config,
                seed=run.seed,
                trained_through_seq=min(at.held_out_seq - 1, read.through_seq),
            ),
            "kind": "consolidate",
            "parent": served.version,
            "judged_through_seq": read.through_seq,
            "data": describe(columns.take(np.flatnonzero(columns.seq < at.held_out_seq))),
            "night": {**config_as_json(config.night), **candidate.counts},
            "selection": dict(candidate.selection.counts),
            "training": {
                "epochs": config.night.epochs,
                "losses": candidate.losses,
                "drifts": candidate.drifts,
                "phases": candidate.phases,
            },
            "metrics": metrics,
            "verdicts": [verdict.as_json() for verdict in verdicts],
            "changes": {} if candidate.not_finite else changes(night, candidate.bundle),
            **kept,
        }
        settled = _settled(registry, staged, manifest, verdicts, run)
        run.on_stage("settled")
    if settled["verdict"] == "published" and not run.dry_run:
        settled["pruned"] = registry.prune(config.night.keep_versions)
        run.on_stage("pruned")
    return {
        **outcome("", served.version),
        **{key: plain(manifest[key]) for key in ("metrics", "verdicts", "selection", "changes")},
        "counts": candidate.counts,
        "phases": plain(candidate.phases),
        **settled,
    }


def _taught(night: Night, served: Served, run: NightRun) -> Candidate:
    run.console.message(
        f"Teaching {served.version} of {count(len(night.head), 'new event')}; "
        f"{count(len(night.held_out), 'event')} held out"
    )
    config = run.config
    with run.console.progress("Learning", 1.0) as bar:
        return teach(night, config.slow, config.night, seed=run.seed, on_progress=on_bar(bar))


def _judged(
    staged: Path, night: Night, candidate: Candidate, run: NightRun
) -> tuple[list[Verdict], dict[str, Any]]:
    """Every gate's verdict on the candidate as it lies on the disk, and the metrics behind."""
    whole = finite(candidate.not_finite)
    if not whole.passed:
        return [whole], {}  # nothing else can be measured of such a model
    policy, examples, served = run.config.night, night.examples, night.served
    try:
        difference = verify(staged, examples)["difference"]
    except ParityError:
        difference = None
    run.console.message("Judging it beside the served model")
    bundle = load_bundle(staged)
    taught = candidate.selection.taken
    compared = compare(night, bundle, taught, np.random.default_rng(run.seed))
    total, moved = (
        drift(before, bundle, examples, night.frozen, night.n_known)
        for before in (served, candidate.start)
    )
    floor = _floor(night, candidate, bundle, run)
    dormant = dormant_share(bundle, examples, night.frozen)
    verdicts = [
        *judge(compared.measured, policy),
        plastic(compared.taught),
        awake(dormant_share(served, examples, night.frozen), dormant, policy),
        drifted(moved, floor, policy),
        familiar(_chosen(night, night.old), _chosen(night, candidate.selection.within), policy),
        small(work(bundle) / work(served), policy),
        whole,
        parity(difference, PARITY_TOLERANCE),
    ]
    told: dict[str, Any] = dict(compared.metrics)
    if total is not None and moved is not None:
        told["drift"] = {
            "total": total.as_json(),
            "learned": moved.as_json(),
            "twin_nats": floor,
        }
    return verdicts, told


def _chosen(night: Night, which: Positions) -> NDArray[np.int32]:
    """[successes] the items that succeeded at these positions."""
    return np.asarray(night.examples.item[which[night.examples.success[which]]], np.int32)


def _floor(night: Night, candidate: Candidate, written: Bundle, run: NightRun) -> float | None:
    """The candidate's mean drift from its twins: the same night with other seeds."""
    config, found = run.config, []
    for number in range(config.night.twins):
        seed = run.seed + _TWIN_SEED * (number + 1)
        with run.console.progress("Learning again with another seed", 1.0) as bar:
            twin = teach(
                night,
                config.slow,
                config.night,
                seed=seed,
                twin=candidate,
                on_progress=on_bar(bar),
            )
        apart = drift(twin.bundle, written, night.examples, night.frozen, night.n_known)
        if apart is not None and not twin.not_finite:
            found.append(apart.nats)
    return float(np.mean(found)) if found else None


def _settled(
    registry: Registry,
    staged: Path,
    manifest: dict[str, Any],
    verdicts: list[Verdict],
    run: NightRun,
) -> dict[str, Any]:
    """Publishes the candidate or keeps it among the refused; a dry run does neither."""
    reasons = [f"{v.name}: {v.reason}" for v in verdicts if not v.passed]
    verdict = "refused" if reasons else "published"
    if run.dry_run:
        return {"verdict": verdict, "reasons": reasons}
    if reasons:
        name = registry.keep_refused(staged, plain(manifest), created_ms=run.now_ms)
        return {"verdict": verdict, "reasons": reasons, "refused": name}
    version = registry.publish(staged, manifest, created_ms=run.now_ms)
    return {"verdict": verdict, "reasons": reasons, "version": version}
