"""How numbers, metrics and spans of time are written in tables, reports and sentences."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from pipelines.evaluation.intervals import Estimate

_METRICS: Final[Mapping[str, str]] = {
    "ndcg": "NDCG",
    "hr": "HR",
    "recall": "Recall",
    "mrr": "MRR",
    "auc": "AUC",
    "coverage": "Coverage",
    "logloss": "Log-loss",
    "ece": "ECE",
    "regret": "Regret",
    "chance": "Chance",
    "ece-cold": "ECE, cold users",
    "ece-tail": "ECE, tail items",
    "auc-outcome": "AUC of outcomes",
}
_NONE: Final = "–"


def metric_name(metric: str) -> str:
    """`ndcg@10` as NDCG@10."""
    name, at, k = metric.partition("@")
    return _METRICS.get(name, name) + at + k


def number(value: float | None) -> str:
    """Four places and no leading zero: .0886."""
    if value is None or not np.isfinite(value):
        return _NONE
    text = f"{abs(value):.4f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + text.removeprefix("0")


def signed(value: float | None) -> str:
    """The same with its sign: +.0123."""
    text = number(value)
    return text if text == _NONE or text.startswith("−") else f"+{text}"


def bracket(estimate: Estimate) -> str:
    """The interval: [.0850, .0922]."""
    return f"[{number(estimate.low)}, {number(estimate.high)}]"


def signed_bracket(estimate: Estimate) -> str:
    """A difference and its interval: +.0123 [.0080, .0166]."""
    return f"{signed(estimate.mean)} {bracket(estimate)}"


def half_width(estimate: Estimate) -> str:
    """Half the interval: ± .0036."""
    return f"± {number((estimate.high - estimate.low) / 2)}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 14 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def estimate_of(stored: Mapping[str, float | None]) -> Estimate:
    """An estimate as `Estimate.as_json` wrote it."""
    read = {name: float("nan") if value is None else value for name, value in stored.items()}
    return Estimate(read["mean"], read["low"], read["high"])
