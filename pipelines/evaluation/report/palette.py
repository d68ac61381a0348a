"""Colours: one for each arm, the same in every figure, for light and dark pages.

Figures are drawn with stand-ins, which become variables of the page's style sheet, so that
a figure follows the reader's choice of light or dark.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

INK: Final = "#010101"
MUTED: Final = "#020202"
GRID: Final = "#030303"
GROUND: Final = "#040404"
GHOST: Final = "#050505"

_VARIABLES: Final = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    GROUND: "--card",
    GHOST: "--ghost",
}
_ARM: Final = re.compile(r"#0a00([0-9a-f]{2})")


class Tint(NamedTuple):
    """A colour on a light and on a dark page."""

    light: str
    dark: str


_ARMS: Final = {
    "ours": Tint("#d1410c", "#ff8f57"),
    "slow+fast": Tint("#b07a00", "#f2c14e"),
    "slow": Tint("#1f6fd1", "#6fb0ff"),
    "slow+finetune": Tint("#0a8aa3", "#4fcbe2"),
    "slow+retrain": Tint("#3f4bc4", "#9ba7ff"),
    "slow+errormemory": Tint("#8547bd", "#c79dff"),
    "slow+errormemory+finetune": Tint("#b23a9e", "#f18fe2"),
    "popularity": Tint("#8a939d", "#98a2ad"),
    "popularity-decayed": Tint("#59626d", "#c5ccd4"),
    "itemknn": Tint("#688a17", "#b4d45c"),
    "ease": Tint("#1b8a4b", "#60d590"),
    "ials": Tint("#0e766d", "#50d2c1"),
    "incremental-mf": Tint("#7d6c28", "#d3bf6d"),
    "wide": Tint("#a8553d", "#e79c83"),
    "deep": Tint("#c02459", "#ff8eac"),
    "ensemble": Tint("#866747", "#d0b08f"),
}
_OTHERS: Final = (
    Tint("#a4671e", "#e0a763"),
    Tint("#96562f", "#d79a74"),
    Tint("#7f7a2a", "#c9c46c"),
    Tint("#a1495a", "#e48d9d"),
    Tint("#746a8f", "#b5abd0"),
    Tint("#4f7f74", "#8fc4b8"),
)


def tint_of(arm: str) -> Tint:
    """The arm's colour; one that is not known has one that follows from its name."""
    return _ARMS.get(arm) or _OTHERS[zlib.crc32(arm.encode()) % len(_OTHERS)]


def stand_in(number: int) -> str:
    """What an arm is drawn with, by its number on the page; fewer than 256."""
    return f"#0a00{number:02x}"


def with_variables(svg: str) -> str:
    """The drawing with the page's variables in the place of the stand-ins."""
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return _ARM.sub(lambda found: f"var(--arm-{int(found[1], 16)})", svg)


def arm_variables(arms: Sequence[str], *, dark: bool) -> str:
    """The arms' colours as declarations of a style sheet."""
    tints = [tint_of(arm) for arm in arms]
    return "".join(
        f"--arm-{number}:{tint.dark if dark else tint.light};" for number, tint in enumerate(tints)
    )
