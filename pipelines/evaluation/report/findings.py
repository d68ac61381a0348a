"""What a run shows, in sentences made from its numbers; null results like any other."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from pipelines.evaluation.intervals import Estimate, Means
from pipelines.evaluation.panel import lower_is_better
from pipelines.evaluation.slices import Slice
from pipelines.evaluation.summary import COVERAGE, Evaluation, parent_of, seconds_of
from pipelines.evaluation.wording import duration, metric_name, number, signed_bracket

Tone: TypeAlias = Literal["good", "bad", "open"]

_ECE_LIMITS: Final[Mapping[str, float]] = {"all": 0.02, "cold users": 0.03, "tail items": 0.03}
_STARTS: Final = "popularity"
_LESS: Final = (
    ("slow+fast", "Consolidated or never"),
    ("slow+errormemory+finetune", "Against a memory of errors"),
)


class Finding(NamedTuple):
    """A sentence.

    Attributes:
      tone: `good` where an interval is on the side of what was hoped for, `bad` where it is
        on the other, `open` where nothing can be told.
      topic: What it is about.
      text: The sentence.
    """

    tone: Tone
    topic: str
    text: str


def findings_of(evaluation: Evaluation) -> list[Finding]:
    """The sentences, what matters most first."""
    return [
        *_headline(evaluation),
        *_fast_memory(evaluation),
        *_consolidation(evaluation),
        *_retraining(evaluation),
        *_placebos(evaluation),
        *_cold_start(evaluation),
        *_calibration(evaluation),
    ]


def compared(
    arm: str, other: str, estimate: Estimate, metric: str, where: str = ""
) -> tuple[Tone, str]:
    """How an arm stands to another, in a sentence, and whether that is good for the arm."""
    by = f"{signed_bracket(estimate)} in {metric_name(metric)}{where}"
    if not estimate.clear:
        return "open", f"{arm} and {other} cannot be told apart: {by}."
    above = estimate.mean > 0
    tone: Tone = "good" if above != lower_is_better(metric) else "bad"
    return tone, f"{arm} is {'above' if above else 'below'} {other} by {by}."


def _pair(means: Means, arm: str, other: str, metric: str, where: str = "") -> tuple[Tone, str]:
    return compared(arm, other, means.difference(arm, other), metric, where)


def _headline(evaluation: Evaluation) -> Iterator[Finding]:
    subject, reference = evaluation.subject, evaluation.reference
    if subject == reference:
        return
    for number_, (metric, means) in enumerate(evaluation.whole.items()):
        tone, text = _pair(means, subject, reference, metric)
        if number_ == 0:
            shares = [evaluation.coverage.get(arm) for arm in (subject, reference)]
            mine, theirs = shares
            if mine and theirs:
                text += (
                    f" {metric_name(COVERAGE)} is {number(mine.mean)} "
                    f"against {number(theirs.mean)}."
                )
            yield Finding(tone, "In short", text)
        elif metric in list(evaluation.whole)[1:3]:
            yield Finding(tone, metric_name(metric), text)


def _fast_memory(evaluation: Evaluation) -> Iterator[Finding]:
    if not {"slow", "slow+fast"} <= set(evaluation.panel.arms):
        return
    metric = evaluation.panel.primary
    means = evaluation.whole[metric]
    tone, text = _pair(means, "slow+fast", "slow", metric)
    off = means.of("slow").mean
    if off > 0 and not lower_is_better(metric):
        text += f" That is {means.of('slow+fast').mean / off:.2f} times as much."
    yield Finding(tone, "Fast memory on over off", text)


def _consolidation(evaluation: Evaluation) -> Iterator[Finding]:
    subject, metric = evaluation.subject, evaluation.panel.primary
    for other, topic in _LESS:
        if other in evaluation.panel.arms and other != subject:
            means = evaluation.last_third[metric]
            tone, text = _pair(means, subject, other, metric, " over the last third of the stream")
            yield Finding(tone, topic, text)


def _retraining(evaluation: Evaluation) -> Iterator[Finding]:
    subject, metric = evaluation.subject, evaluation.panel.primary
    records = evaluation.panel.records
    if "slow+retrain" not in records or subject == "slow+retrain":
        return
    means = evaluation.whole[metric]
    tone, text = _pair(means, subject, "slow+retrain", metric)
    mine, theirs = (seconds_of(records[arm])["nights"] for arm in (subject, "slow+retrain"))
    quality = means.of(subject).mean / max(means.of("slow+retrain").mean, 1e-12)
    text += f" That is {quality:.0%} of its quality"
    if theirs > 0:
        text += f" at {mine / theirs:.0%} of its cost at night ({duration(mine)} a run)"
    yield Finding(tone, "Against full retraining", f"{text}.")


def _placebos(evaluation: Evaluation) -> Iterator[Finding]:
    metric = evaluation.panel.primary
    for arm in evaluation.panel.arms:
        parent = parent_of(arm)
        if parent in evaluation.panel.arms and "placebo" in evaluation.run.words.get(arm, ""):
            tone, text = _pair(evaluation.whole[metric], str(parent), arm, metric)
            yield Finding(tone, "Placebo", text)


def _cold_start(evaluation: Evaluation) -> Iterator[Finding]:
    cut = next((each for each in evaluation.slices if each.name == "actor_events"), None)
    starts = [arm for arm in evaluation.order if arm.startswith(_STARTS)]
    metric, subject = evaluation.panel.primary, evaluation.subject
    if cut is None or not starts or subject in starts or lower_is_better(metric):
        return
    below = _below(cut, subject, starts[0])
    if below:
        text = f"{subject} is below {starts[0]} after {', '.join(below)} events of the user."
        yield Finding("bad", "Cold start", text)
        return
    text = f"{subject} is nowhere clearly below {starts[0]}, from a user's first event on."
    yield Finding("good", "Cold start", text)


def _below(cut: Slice, arm: str, other: str) -> list[str]:
    return [b.label for b in cut.buckets if b.means.difference(arm, other).high < 0]


def _calibration(evaluation: Evaluation) -> Iterator[Finding]:
    said = evaluation.outcomes.get(evaluation.subject)
    if not said:
        return
    parts = [
        f"{number(outcome.ece.mean)} {'over all' if part == 'all' else f'for {part}'}"
        for part, outcome in said.items()
    ]
    held = all(outcome.ece.mean <= _ECE_LIMITS[part] for part, outcome in said.items())
    text = f"The probabilities of {evaluation.subject} are off by {', '.join(parts)} (ECE)."
    yield Finding("good" if held else "bad", "Calibration", text)
