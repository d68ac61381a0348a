"""Which figures a report shows, made from a run's numbers."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from pipelines.evaluation.outcomes import reliability
from pipelines.evaluation.report.figures import (
    Frame,
    Line,
    forest_figure,
    lines_figure,
    nights_figure,
    reliability_figure,
    small_figure,
)
from pipelines.evaluation.report.palette import stand_in
from pipelines.evaluation.slices import Slice, learning_curve
from pipelines.evaluation.summary import Evaluation, night_seconds, nights_of, parent_of
from pipelines.evaluation.wording import bracket, duration, metric_name, number

_IN_FRONT: Final = 5
# A mean of fewer questions says nothing and pulls the eye.
_ENOUGH: Final = 30


class Plate(NamedTuple):
    """A figure with its caption.

    Attributes:
      title: Above it.
      svg: The drawing.
      note: Under it.
    """

    title: str
    svg: str
    note: str = ""


def plates_of(evaluation: Evaluation) -> dict[str, Any]:
    """All figures by their place in the report.

    Where there are two lists the first has the arms in front, and the second every arm by
    itself; it is empty where all arms are in front.
    """
    gallery = _Gallery(evaluation)
    of_user = "earlier events of the user, and questions"
    by_events = gallery.cut("new_item_events", "earlier events of the item, and questions")
    by_age = gallery.cut("new_item_age", "age of the item, and questions")
    cold, cold_alone = gallery.cut("actor_events", of_user)
    return {
        "forests": gallery.forests(),
        "learning": gallery.learning(),
        "cold": (cold + gallery.lead("actor_events", of_user), cold_alone),
        "new": (by_events[0] + by_age[0], by_events[1]),
        "reliability": gallery.reliability(),
        "nights": gallery.nights(),
    }


class _Gallery:
    """The figures of one run.

    Attributes:
      front: Arms that stand in the shared figures; all have one of their own.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        self._run = evaluation
        self._panel = evaluation.panel
        self._metric = evaluation.panel.primary
        self._colours = colours_of(evaluation.order)
        self.front = _in_front(evaluation)

    def forests(self) -> list[Plate]:
        """The subject less each other arm: the whole stream and its last third."""
        run, name = self._run, metric_name(self._metric)
        plates = []
        for title, means in (
            ("Whole stream", run.whole[self._metric]),
            ("Last third", run.last_third[self._metric]),
        ):
            rows = [
                (f"over {arm}", self._colours[arm], means.difference(run.subject, arm))
                for arm in run.order
                if arm != run.subject
            ]
            if rows:
                plates.append(Plate(title, forest_figure(rows, f"{name}, {run.subject}: {title}")))
        return plates

    def learning(self) -> tuple[list[Plate], list[Plate]]:
        """The metrics over the stream: for the arms in front, and arm by arm."""
        plates = []
        metrics = [m for m in self._panel.metrics if not m.startswith("chance")][:2]
        for metric in metrics:
            frame, lines = self._over_time(metric)
            shown = [line for line in lines if line.name in self.front]
            name = f"{metric_name(metric)} over the stream"
            plates.append(Plate(metric_name(metric), lines_figure(shown, frame, name)))
        frame, lines = self._over_time(self._metric)
        return plates, self._one_by_one(frame, lines, "over the stream")

    def _over_time(self, metric: str) -> tuple[Frame, list[Line]]:
        curve = learning_curve(self._panel, metric)
        marks = self._night_marks()
        label = "questions replayed" + (" (ticks: nights)" if marks else "")
        frame = Frame([float(at) for at in curve.until], label, marks=marks)
        lines = [
            Line(arm, self._colours[arm], curve.value[self._panel.arms.index(arm)].tolist())
            for arm in self._run.order
        ]
        return frame, lines

    def _night_marks(self) -> list[float]:
        rows = {n["row"] for own in self._panel.records.values() for r in own for n in r.nights}
        return [float(at) for at in np.searchsorted(self._panel.asked.row, sorted(rows))]

    def cut(self, name: str, label: str) -> tuple[list[Plate], list[Plate]]:
        """A slice as lines: for the arms in front, and arm by arm; nothing without the slice."""
        cut = self._cut(name)
        if cut is None:
            return [], []
        frame = _frame(cut, label)
        lines = [self._of_slice(cut, arm) for arm in self._run.order]
        shown = [line for line in lines if line.name in self.front]
        title = f"{metric_name(self._metric)} by {label.partition(',')[0]}"
        plates = [Plate(title, lines_figure(shown, frame, title))]
        return plates, self._one_by_one(frame, lines, cut.title)

    def lead(self, name: str, label: str) -> list[Plate]:
        """The subject less the reference in each part of a slice."""
        cut = self._cut(name)
        subject, reference = self._run.subject, self._run.reference
        if cut is None or subject == reference:
            return []
        apart = [bucket.means.difference(subject, reference) for bucket in cut.buckets]
        values, low, high = (list(each) for each in zip(*apart, strict=True))
        line = Line(subject, self._colours[subject], values, low, high)
        title = f"{metric_name(self._metric)} of {subject} less {reference}"
        return [Plate(title, lines_figure([line], _frame(cut, label), title))]

    def _cut(self, name: str) -> Slice | None:
        """A slice's parts that hold enough to be drawn; None for fewer than two."""
        for cut in self._run.slices:
            buckets = tuple(bucket for bucket in cut.buckets if bucket.n >= _ENOUGH)
            if cut.name == name and len(buckets) > 1:
                return dataclasses.replace(cut, buckets=buckets)
        return None

    def _of_slice(self, cut: Slice, arm: str) -> Line:
        estimates = [bucket.means.of(arm) for bucket in cut.buckets]
        values = [estimate.mean for estimate in estimates]
        if arm not in (self._run.subject, self._run.reference):
            return Line(arm, self._colours[arm], values)
        low, high = ([getattr(e, end) for e in estimates] for end in ("low", "high"))
        return Line(arm, self._colours[arm], values, low, high)

    def _one_by_one(self, frame: Frame, lines: Sequence[Line], what: str) -> list[Plate]:
        if len(lines) <= len(self.front):
            return []
        plates = []
        for line in lines:
            others = [other for other in lines if other is not line]
            svg = small_figure(line, others, frame, f"{line.name}: {what}")
            plates.append(Plate(line.name, svg))
        return plates

    def reliability(self) -> list[Plate]:
        """A diagram for every arm that says probabilities."""
        plates = []
        for arm in self._run.order:
            said = self._run.outcomes.get(arm)
            if not said:
                continue
            bins = reliability(self._panel.judged[arm])
            line = Line(arm, self._colours[arm], bins.observed.tolist())
            notes = [f"ECE {number(said['all'].ece.mean)} {bracket(said['all'].ece)}"]
            notes += [f"{part} {number(o.ece.mean)}" for part, o in said.items() if part != "all"]
            svg = reliability_figure(line, bins.predicted.tolist(), notes, f"{arm}: reliability")
            plates.append(Plate(arm, svg))
        return plates

    def nights(self) -> list[Plate]:
        """What each night cost, for the arms with nights that cost something."""
        plates = []
        for arm in self._run.order:
            own = self._panel.records[arm]
            seconds = [night_seconds(night) for night in own[0].nights]
            if sum(seconds) < 0.1:
                continue
            refused = [night.get("verdict") == "refused" for night in own[0].nights]
            svg = nights_figure(seconds, refused, self._colours[arm], f"{arm}: seconds by night")
            plates.append(Plate(arm, svg, _nights_note(nights_of(own))))
        return plates


def _frame(cut: Slice, label: str) -> Frame:
    counts = [bucket.n for bucket in cut.buckets]
    ticks = [bucket.start for bucket in cut.buckets]
    return Frame([float(at) for at in range(len(ticks))], label, ticks, counts)


def _nights_note(nights: Mapping[str, Any]) -> str:
    note = f"{duration(nights['seconds'])} in all"
    judged = nights["published"] + nights["refused"]
    if judged:
        note += f"; {nights['published']} published, {nights['refused']} refused"
    return note


def colours_of(arms: Sequence[str]) -> dict[str, str]:
    """The stand-in of each arm's colour, by its place on the page."""
    return {arm: stand_in(number) for number, arm in enumerate(arms)}


def _in_front(evaluation: Evaluation) -> list[str]:
    """The subject, the reference, both halves of the comparison that matter, and the best."""
    order = evaluation.order
    wanted = [evaluation.subject, evaluation.reference, "slow+fast", "slow", "popularity-decayed"]
    others = [arm for arm in order if parent_of(arm) is None]
    chosen = list(dict.fromkeys(arm for arm in [*wanted, *others, *order] if arm in order))
    return [arm for arm in order if arm in chosen[:_IN_FRONT]]
