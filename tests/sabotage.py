"""Kinds of days that reach the log: honest ones, and ones that somebody sabotaged."""

import dataclasses
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.interactions import Attributes, Entry, Event, ItemChange
from model.workspace import Workspace
from pipelines.console import Console

YEAR_MS: Final = 365 * 86_400_000

Entries = list[Entry]
Rng = np.random.Generator
Items = Mapping[str, Attributes]

_OPPOSITE: Final = {"click": "skip", "skip": "click"}
_CATEGORIES: Final = ("genres", "category")


def flipped(event: Event) -> Event:
    """The opposite of what was said."""
    if event.event_type in _OPPOSITE:
        return dataclasses.replace(event, event_type=_OPPOSITE[event.event_type])
    return dataclasses.replace(event, value=6.0 - (event.value or 3.0))


def _flip_all(day: list[Event], _: Items, __: Rng) -> Entries:
    return [flipped(event) for event in day]


def _flip_head(day: list[Event], _: Items, __: Rng) -> Entries:
    head = int(len(day) * 0.8)
    return [*map(flipped, day[:head]), *day[head:]]


def _said(example: Event, *, likes: bool) -> tuple[str, float | None]:
    """What a bot says, in the words of the data."""
    if example.event_type in _OPPOSITE:
        return "click" if likes else "skip", None
    return example.event_type, 5.0 if likes else 1.0


def _bots(day: list[Event], items: Items, rng: Rng) -> Entries:
    """Three accounts that push ten items and damn all others, five times the day's events."""
    first, last = day[0].timestamp_ms, day[-1].timestamp_ms
    ids = list(items)
    pushed = set(rng.permutation(len(ids))[:10].tolist())
    flood = []
    for n in range(5 * len(day)):
        item = int(rng.integers(len(ids)))
        at = int(rng.integers(first, last + 1))
        event_type, value = _said(day[0], likes=item in pushed)
        flood.append(
            Event(f"{day[0].event_id}-bot-{n}", event_type, at, f"bot{n % 3}", ids[item], value)
        )
    everything = [*day, *flood]
    return [*sorted(everything, key=lambda event: event.timestamp_ms)]


def _lost(day: list[Event], _: Items, rng: Rng) -> Entries:
    """Every second user's events are lost, and half of the others'."""
    kept = [e for e in day if int(re.sub(r"\D", "", e.user_id or "0")) % 2 == 0]
    return [event for event in kept if rng.random() < 0.5]


def _categories(attributes: Attributes) -> tuple[str, ...]:
    found = next((attributes[name] for name in _CATEGORIES if name in attributes), ())
    return (found,) if isinstance(found, str) else tuple(map(str, np.atleast_1d(found)))


def _one_category(day: list[Event], items: Items, _: Rng) -> Entries:
    """Only the items of the day's commonest category."""
    own = [set(_categories(items.get(event.item_id or "", {}))) for event in day]
    commonest, _n = Counter(name for names in own for name in sorted(names)).most_common(1)[0]
    return [event for event, names in zip(day, own, strict=True) if commonest in names]


def _clock_jump(day: list[Event], _: Items, rng: Rng) -> Entries:
    """Half of the events come ten years late, the others at one moment."""
    return [
        dataclasses.replace(
            e, timestamp_ms=(e.timestamp_ms if late else day[0].timestamp_ms) + late * 10 * YEAR_MS
        )
        for e, late in zip(day, (rng.random(len(day)) < 0.5).tolist(), strict=True)
    ]


def _corrupt_metadata(day: list[Event], items: Items, rng: Rng) -> Entries:
    """Every item's attributes are another's, numbers as text and text gone."""
    ids = list(items)
    others = [ids[at] for at in rng.permutation(len(ids)).tolist()]
    changed: Entries = [
        ItemChange(item, _garbled(items[other])) for item, other in zip(ids, others, strict=True)
    ]
    return [*changed, *day]


def _garbled(attributes: Attributes) -> Attributes:
    return {
        name: "" if name == "title" else f"{value:.0f}" if isinstance(value, float) else value
        for name, value in attributes.items()
    }


def _nothing(_: list[Event], __: Items, ___: Rng) -> Entries:
    return []


def _honest(day: list[Event], _: Items, __: Rng) -> Entries:
    return list(day)


@dataclass(frozen=True)
class Kind:
    """A kind of night.

    Attributes:
      entries: What reaches the log of an honest day.
      learning_rate_scale: Setting of the night; None for what the workspace has.
    """

    entries: Callable[[list[Event], Items, Rng], Entries]
    learning_rate_scale: float | None = None


KINDS: Final = {
    "honest": Kind(_honest),
    "flipped labels": Kind(_flip_all),
    "flipped labels till noon": Kind(_flip_head),
    "bot flood": Kind(_bots),
    "half of the data lost": Kind(_lost),
    "exploding step": Kind(_honest, 1000.0),
    "one category only": Kind(_one_category),
    "clock jump": Kind(_clock_jump),
    "corrupt metadata": Kind(_corrupt_metadata),
    "empty log": Kind(_nothing),
}


def entries_of(kind: str, day: list[Event], items: Items, seed: int) -> Entries:
    """What of an honest day reaches the log in a night of this kind."""
    return KINDS[kind].entries(day, items, np.random.default_rng([8, seed]))


def night_of(home: Path, kind: str, seed: int, now_ms: int) -> dict[str, Any]:
    """One night on what lies in the log, with this kind's settings; its report."""
    from pipelines.consolidate import consolidate

    scale, config = KINDS[kind].learning_rate_scale, Workspace(home).config_path
    if scale is not None:
        text = config.read_text("utf-8") if config.exists() else ""
        text, n = re.subn("(learning_rate_scale) = .*", rf"\1 = {scale}", text)
        added = "" if n else f"[night]\nlearning_rate_scale = {scale}\n"
        config.write_text(text + added, encoding="utf-8")
    return consolidate(
        Workspace(home),
        until_ms=None,
        dry_run=False,
        seed=seed,
        now_ms=now_ms,
        console=Console(quiet=True),
    )


def made(home: Path, report: dict[str, Any]) -> tuple[Path, Path]:
    """The folders of the served model and of the candidate."""
    models = Workspace(home).models
    refused = report["refused"]
    candidate = models / "refused" / refused if refused else models / report["version"]
    return models / report["served"], candidate


def tell(
    which: dict[str, Any], report: dict[str, Any], harm: tuple[float, float] | None, cpu_s: float
) -> dict[str, Any]:
    """Prints a line of what became of a night, and returns it.

    Args:
      which: What night it was; has `kind`.
      report: Of the night.
      harm: The candidate's true relative change of NDCG@10 and of log-loss, where measured.
      cpu_s: Processor seconds that the night took.
    """
    drift = report["metrics"].get("drift", {})
    told = which | {
        "verdict": report["verdict"],
        "failed": [v["name"] for v in report["verdicts"] if not v["passed"]],
        "reasons": report["reasons"],
        "drift": drift.get("learned", {}).get("nats"),
        "twin": drift.get("twin_nats"),
        "churn": (report["metrics"].get("continuity") or {}).get("churn"),
        "cpu_seconds": round(cpu_s, 1),
    }
    if harm is not None:
        told["true_ndcg"], told["true_loss"] = (round(x, 4) for x in harm)
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    return told


def table(told: list[dict[str, Any]]) -> str:
    """Refusals and true quality by kind, as a table for the documents."""
    lines = ["| night | refused | true NDCG@10 | true log-loss | by |", "|---|---|---|---|---|"]
    for kind in dict.fromkeys(one["kind"] for one in told):
        own = [one for one in told if one["kind"] == kind and one["verdict"] != "nothing_new"]
        refused = [one for one in own if one["verdict"] == "refused"]
        by = Counter(name for one in refused for name in one["failed"]).most_common()
        cells = [
            kind,
            f"{len(refused)} of {len(own)}" if own else "no night",
            *(_range([one[name] for one in own if name in one]) for name in _TRUE),
            ", ".join(f"{name} {n}" for name, n in by),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


_TRUE: Final = ("true_ndcg", "true_loss")


def _range(values: list[float]) -> str:
    """Mean, least and most; what is no number is left out."""
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return "not a number" if values else ""
    return f"{np.mean(known):+.1%} ({min(known):+.1%} to {max(known):+.1%})"
