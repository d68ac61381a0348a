"""Numbers to stand beside ours: what plain implementations reach, and what was published."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

PLAIN: Final = "reference implementation"
ADER: Final = "ADER (Mi et al., RecSys 2020)"


class Anchor(NamedTuple):
    """A number that somebody else measured on the same data with the same rules.

    Attributes:
      name: What was measured.
      source: By whom.
      arm: Our arm that is the same thing or stands in for it; None for none.
      values: By metric.
    """

    name: str
    source: str
    arm: str | None
    values: Mapping[str, float]


def _anchors(
    source: str, metrics: tuple[str, ...], rows: Sequence[tuple[str, str | None, tuple[float, ...]]]
) -> tuple[Anchor, ...]:
    return tuple(
        Anchor(name, source, arm, dict(zip(metrics, values, strict=True)))
        for name, arm, values in rows
    )


_AT_10: Final = ("ndcg@10", "hr@10")
_AT_20: Final = ("recall@20", "mrr@20", "recall@10")

ANCHORS: Final[Mapping[str, tuple[Anchor, ...]]] = {
    "ml-100k": _anchors(
        PLAIN,
        _AT_10,
        (
            ("popularity, live", "popularity", (0.0447, 0.0878)),
            ("iALS (64 dimensions), refit nightly, live fold-in", "ials", (0.0738, 0.1485)),
            ("ItemKNN (cosine), refit nightly, live history", "itemknn", (0.0818, 0.1593)),
            ("EASE (λ = 300), refit nightly, live history", "ease", (0.0886, 0.1749)),
            ("Wide & Deep sketch, live history, never consolidated", "slow", (0.0880, 0.1756)),
            ("the same with a trending row", None, (0.0923, 0.1838)),
            ("the same with fast crosses and fast weights", "slow+fast", (0.0989, 0.1949)),
        ),
    ),
    "globo": _anchors(
        PLAIN,
        _AT_10,
        (
            ("popularity, half-life 12 h", None, (0.1817, 0.3162)),
            ("popularity, half-life 1 h", None, (0.2926, 0.5099)),
            ("popularity, half-life 10 min", "popularity-decayed", (0.3133, 0.5405)),
            ("popularity, context rows and transitions, mixed by hand", None, (0.3287, 0.5563)),
        ),
    ),
    "diginetica": (
        *_anchors(
            ADER,
            _AT_20,
            (
                ("fine-tune", None, (0.4728, 0.1601, 0.3500)),
                ("fine-tune with dropout", "slow+finetune", (0.4907, 0.1686, 0.3653)),
                ("EWC", None, (0.4766, 0.1628, 0.3548)),
                ("joint retraining", "slow+retrain", (0.5003, 0.1731, 0.3727)),
                ("ADER", "ours", (0.5021, 0.1732, 0.3752)),
            ),
        ),
        *_anchors(
            PLAIN,
            _AT_20,
            (
                (
                    "decayed item co-occurrence, weekly, every fourth session",
                    None,
                    (0.4584, 0.1285, 0.3069),
                ),
                (
                    "decayed item co-occurrence, live, every fourth session",
                    None,
                    (0.4653, 0.1339, 0.3149),
                ),
            ),
        ),
    ),
}
