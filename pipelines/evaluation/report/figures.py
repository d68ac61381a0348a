"""The figures as SVG that stands inside a page: text stays text, colours follow the page."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.evaluation.intervals import Estimate
from pipelines.evaluation.report.palette import GHOST, GRID, GROUND, INK, MUTED, with_variables
from pipelines.evaluation.wording import signed_bracket

_POINT: Final = 72.0
_FONT: Final = re.compile(r"'DejaVu Sans'[^;\"]*")
_NOISE: Final = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>|\s(?:xmlns(?::\w+)?|version)="
    r'"[^"]*"|(?<=<g) id="[^"]*"',
    re.DOTALL,
)
_SIZE: Final = re.compile(r'<svg width="[^"]*" height="[^"]*"|<svg height="[^"]*" width="[^"]*"')
_STYLE: Final[Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "svg.fonttype": "none",
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.unicode_minus": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "ytick.major.pad": 6,
    "xtick.major.pad": 5,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}


class Line(NamedTuple):
    """An arm's line.

    Attributes:
      name: Of the arm.
      colour: Its stand-in.
      values: [points] NaN where there is none.
      low: [points] lower end of the band; None for no band.
      high: [points] upper end of the band.
    """

    name: str
    colour: str
    values: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Frame:
    """What stands around lines.

    Attributes:
      x: [points] where they are.
      ticks: Labels of all points; empty for numbers.
      counts: [points] questions at each point, shown under the labels; empty for none.
      label: Under the axis.
      marks: Places of nights.
    """

    x: Sequence[float]
    label: str
    ticks: Sequence[str] = ()
    counts: Sequence[int] = ()
    marks: Sequence[float] = field(default_factory=tuple)


@contextmanager
def _canvas(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width / _POINT, height / _POINT))
        yield figure, figure.add_subplot()


def _svg(figure: Figure, salt: str, label: str) -> str:
    """The figure's SVG without anything that changes from run to run or leads elsewhere."""
    out = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    svg = _NOISE.sub("", out.getvalue())
    svg = _SIZE.sub("<svg", svg, count=1)
    name = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)
    return with_variables(_FONT.sub("var(--font)", svg)).strip()


def _place(figure: Figure, axes: Axes, edges: tuple[float, float, float, float]) -> None:
    """Sets the axes' left, right, bottom and top edges, in points from the figure's own."""
    width, height = (float(side) * _POINT for side in figure.get_size_inches())
    left, right, bottom, top = edges
    axes.set_position(
        (
            left / width,
            bottom / height,
            (width - left - right) / width,
            (height - bottom - top) / height,
        )
    )


def _grid(axes: Axes) -> None:
    axes.grid(axis="y")
    axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(_short))


def _short(value: float, _: object) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".").replace("-", "−")
    return text.replace("0.", ".", 1) if abs(value) < 1 and "." in text else text


def lines_figure(lines: Sequence[Line], frame: Frame, label: str) -> str:
    """Lines with their names at their ends, and bands where they have them."""
    with _canvas(400, 272) as (figure, axes):
        _place(figure, axes, (36, 124, 52 if frame.counts else 40, 12))
        for depth, line in enumerate(reversed(lines)):
            _draw(axes, frame, line, depth)
        _axis(axes, frame, lines)
        _names_at_ends(figure, axes, lines)
        return _svg(figure, label, label)


def _draw(axes: Axes, frame: Frame, line: Line, depth: int) -> None:
    if line.low is not None and line.high is not None:
        axes.fill_between(
            frame.x, line.low, line.high, color=line.colour, alpha=0.14, linewidth=0, zorder=2
        )
    dots = "o" if frame.ticks else ""
    axes.plot(
        frame.x, line.values, color=line.colour, linewidth=2, marker=dots, markersize=4.2,
        markeredgecolor=GROUND, markeredgewidth=0.8, zorder=3 + depth,
    )  # fmt: skip


def _axis(axes: Axes, frame: Frame, lines: Sequence[Line]) -> None:
    _grid(axes)
    shown = [line.values for line in lines]
    bands = [line.high for line in lines if line.high is not None]
    floors = [line.low for line in lines if line.low is not None]
    highest = float(np.nanmax(np.concatenate([np.asarray(each) for each in [*shown, *bands]])))
    lowest = float(np.nanmin(np.concatenate([np.asarray(each) for each in [*shown, *floors]])))
    room = 0.06 * (highest - min(lowest, 0.0)) or 1.0
    axes.set_ylim(lowest - room if lowest < 0 else 0, highest + room)
    if lowest < 0:
        axes.axhline(0, color=MUTED, linewidth=1, zorder=1.5)
    axes.set_xlabel(frame.label, labelpad=15 if frame.counts else 4, loc="left")
    if frame.ticks:
        axes.set_xticks(list(frame.x), list(frame.ticks), fontsize=9)
        axes.set_xlim(frame.x[0] - 0.25, frame.x[-1] + 0.25)
    else:
        axes.set_xlim(0, frame.x[-1])
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda at, _: compact(at)))
    for at, n in zip(frame.x, frame.counts, strict=False):
        axes.annotate(
            compact(n), (at, 0), (0, -19), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="top", fontsize=8, color=GHOST,
        )  # fmt: skip
    for at in frame.marks:
        axes.axvline(at, ymax=0.035, color=MUTED, linewidth=0.9, zorder=1.5)


def _names_at_ends(figure: Figure, axes: Axes, lines: Sequence[Line]) -> None:
    """Names to the right of the lines, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    height = axes.get_position().height * float(figure.get_size_inches()[1]) * _POINT
    ends = [(_last(line.values), line) for line in lines]
    ordered = sorted((end for end in ends if np.isfinite(end[0])), key=lambda end: end[0])
    wanted = [(value - low) / (high - low) * height for value, _ in ordered]
    for (value, line), at in zip(ordered, apart(wanted, 14.0, height), strict=True):
        axes.annotate(
            line.name, (1, at / height), (9, 0), xycoords="axes fraction",
            textcoords="offset points", va="center", color=line.colour, fontsize=10.5,
            annotation_clip=False,
        )  # fmt: skip
        axes.plot(
            [1.008, 1.02], [(value - low) / (high - low), at / height], color=line.colour,
            linewidth=1, transform=axes.transAxes, clip_on=False,
        )  # fmt: skip


def _last(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return finite[-1] if finite else float("nan")


def apart(wanted: Sequence[float], gap: float, height: float) -> list[float]:
    """Rising places as near to the wanted ones as a gap between them and the frame allow."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + gap) if places else place)
    ceiling = max(height, gap * (len(places) - 1))
    for at in range(len(places) - 1, -1, -1):
        places[at] = min(places[at], ceiling)
        ceiling = places[at] - gap
    return places


def small_figure(line: Line, others: Sequence[Line], frame: Frame, label: str) -> str:
    """One arm's line in front of the others', for small multiples."""
    with _canvas(250, 150) as (figure, axes):
        _place(figure, axes, (30, 8, 22, 8))
        for other in others:
            axes.plot(frame.x, other.values, color=GHOST, linewidth=0.9, alpha=0.45, zorder=2)
        _draw(axes, frame, line, 20)
        _axis(axes, Frame(frame.x, "", frame.ticks, (), frame.marks), [line, *others])
        if frame.ticks:
            every = max(1, len(frame.ticks) // 5)
            axes.set_xticks(list(frame.x)[::every], list(frame.ticks)[::every], fontsize=9)
        return _svg(figure, label, label)


def forest_figure(rows: Sequence[tuple[str, str, Estimate]], label: str) -> str:
    """Differences and their intervals, one under the other.

    Args:
      rows: Name, colour and difference.
      label: For readers who do not see.
    """
    row_height, width = 34.0, 380.0
    with _canvas(width, row_height * len(rows) + 30) as (figure, axes):
        _place(figure, axes, (8, 8, 24, 6))
        for place, (name, colour, estimate) in enumerate(reversed(rows)):
            _whisker(axes, place, colour, estimate)
            axes.annotate(
                name, (0, place + 0.42), xycoords=("axes fraction", "data"), va="center",
                color=colour, fontsize=10.5,
            )  # fmt: skip
            axes.annotate(
                signed_bracket(estimate), (1, place + 0.42), xycoords=("axes fraction", "data"),
                ha="right", va="center", color=INK if estimate.clear else MUTED, fontsize=10,
            )  # fmt: skip
        axes.set_ylim(-0.45, len(rows) - 0.3)
        axes.set_yticks([])
        axes.spines["bottom"].set_visible(False)
        axes.margins(x=0.04)
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
        axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(_short))
        return _svg(figure, label, label)


def _whisker(axes: Axes, place: float, colour: str, estimate: Estimate) -> None:
    axes.axhline(place, color=GRID, linewidth=1, zorder=1)
    # no line through the names
    axes.plot([0, 0], [place - 0.24, place + 0.2], color=MUTED, linewidth=1.2, zorder=1.5)
    axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=2.2, zorder=2)
    inside = colour if estimate.clear else GROUND
    axes.plot(
        [estimate.mean], [place], marker="o", markersize=7, markerfacecolor=inside,
        markeredgecolor=colour, markeredgewidth=1.6, linestyle="none", zorder=3,
    )  # fmt: skip


def reliability_figure(
    line: Line, predicted: Sequence[float], notes: Sequence[str], label: str
) -> str:
    """Observed over predicted rates, with the diagonal they should lie on."""
    with _canvas(250, 250) as (figure, axes):
        _place(figure, axes, (34, 10, 36, 10))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, dashes=(3, 3), zorder=1)
        axes.vlines(predicted, predicted, line.values, color=line.colour, alpha=0.35, linewidth=2)
        axes.plot(
            predicted, line.values, color=line.colour, linewidth=1.4, marker="o", markersize=5,
            markeredgecolor=GROUND, markeredgewidth=0.8, zorder=3,
        )  # fmt: skip
        _grid(axes)
        axes.grid(axis="x")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="said", ylabel="")
        axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(_short))
        axes.xaxis.set_label_coords(1, -0.12)
        axes.annotate("happened", (0.02, 0.98), xycoords="axes fraction", va="top", color=MUTED)
        for place, note in enumerate(reversed(notes)):
            axes.annotate(
                note, (0.98, 0.04 + 0.07 * place), xycoords="axes fraction", ha="right",
                color=INK if place == len(notes) - 1 else MUTED, fontsize=9.5,
            )  # fmt: skip
        return _svg(figure, label, label)


def nights_figure(
    seconds: Sequence[float], refused: Sequence[bool], colour: str, label: str
) -> str:
    """A bar for every night; the bars of refused ones are hollow."""
    with _canvas(250, 130) as (figure, axes):
        _place(figure, axes, (34, 8, 22, 10))
        places = np.arange(1, len(seconds) + 1)
        axes.bar(
            places, seconds, width=0.7, linewidth=1.1, edgecolor=colour,
            color=[GROUND if each else colour for each in refused],
        )  # fmt: skip
        _grid(axes)
        axes.set_xlim(0.3, len(seconds) + 0.7)
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
        axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda at, _: f"{at:g} s"))
        return _svg(figure, label, label)


def compact(value: float) -> str:
    """`950`, `1.2k`, `15k`, `1.3M`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            text = f"{value / size:.1f}" if abs(value) < 10 * size else f"{value / size:.0f}"
            return text.removesuffix(".0") + letter
    return f"{value:.0f}"
