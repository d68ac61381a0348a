"""Lists without a user: items like an item, and what is popular."""

from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.recommender import Recommender
from model.slow.scorer import FloatArray

By: TypeAlias = Literal["behaviour", "content", "both"]

# Fewer successes than this, decayed, are no popularity.
_LEAST_COUNT: Final = 1e-3


class Ranked(NamedTuple):
    """Items, best first.

    Attributes:
      item_ids: [k] the items.
      scores: [k] what they were ranked by, never rising.
      fallback: None, or how the list was made when it could not be made as asked.
    """

    item_ids: list[str]
    scores: list[float]
    fallback: str | None


def similar(recommender: Recommender, item_id: str, by: By, n: int, now_ms: int) -> Ranked:
    """Items like an item of the catalogue, of those that may be shown now.

    `behaviour` is what the slow model expects of one whose taste is this item alone, in
    log-odds; `content` is the cosine of what the attributes alone say of two items; `both`
    is the sum of the two, each in standard deviations. Where attributes say nothing of the
    item, behaviour answers: the fallback says so.
    """
    recommender.catch_up()
    number = recommender.catalogue.number(item_id)
    allowed = recommender.catalogue.allowed(now_ms)
    allowed[[0, number]] = False
    candidates = np.flatnonzero(allowed)
    if by != "behaviour" and not recommender.catalogue.is_described(number):
        affinity = _affinity(recommender, number)[candidates]
        return _ranked(recommender, candidates, affinity, n, "behaviour")
    parts: list[FloatArray] = []
    if by != "content":
        parts.append(_affinity(recommender, number)[candidates])
    if by != "behaviour":
        parts.append(_content(recommender, number, candidates))
    scores = parts[0] if len(parts) == 1 else _standard(parts[0]) + _standard(parts[1])
    return _ranked(recommender, candidates, scores, n, None)


def popular(recommender: Recommender, window: str, n: int, now_ms: int) -> Ranked:
    """Items by their successes, decayed with the window's half-life; then by the slow model.

    The fallback is `model` when nothing has happened in the window.
    """
    recommender.catch_up()
    catalogue = recommender.catalogue
    allowed = catalogue.allowed(now_ms)
    allowed[0] = False
    candidates = np.flatnonzero(allowed)
    counts = recommender.memory.popularity.counts(window, now_ms, len(catalogue))[candidates]
    counts[counts < _LEAST_COUNT] = 0.0
    order = np.lexsort((-catalogue.bias[candidates], -counts))[:n]
    chosen = candidates[order]
    return Ranked(
        [catalogue.ids[number] for number in chosen.tolist()],
        counts[order].tolist(),
        None if counts.any() else "model",
    )


def _affinity(recommender: Recommender, item: int) -> FloatArray:
    """[items] log-odds of success for one whose taste is this item alone, by number."""
    scorer, catalogue = recommender.scorer, recommender.catalogue
    alone = np.array([[item]], np.int32)
    match = catalogue.vectors @ catalogue.vectors[item] + catalogue.bias
    if item < scorer.space.items.size:
        match += scorer.wide(alone, len(catalogue))[0]
    return np.asarray(scorer.trust * match + scorer.lifted(alone, len(catalogue))[0], np.float32)


def _content_vectors(recommender: Recommender, items: NDArray[np.integer]) -> FloatArray:
    """[items, d] what the attributes alone say of items, by number; zeros for nothing."""
    scorer = recommender.scorer
    known = np.where(items < scorer.space.items.size, items, 0)
    return np.asarray(recommender.catalogue.vectors[items] - scorer.id_vectors[known])


def _content(recommender: Recommender, number: int, candidates: NDArray[np.intp]) -> FloatArray:
    """[candidates] cosine of what the attributes say."""
    own = _content_vectors(recommender, np.array([number]))[0]
    others = _content_vectors(recommender, candidates)
    lengths = np.linalg.norm(others, axis=1) * np.linalg.norm(own)
    return np.asarray(others @ own / np.maximum(lengths, np.float32(1e-12)))


def _standard(values: FloatArray) -> FloatArray:
    """The values in standard deviations from their mean."""
    deviation = np.float32(values.std()) if len(values) else np.float32(0.0)
    return np.asarray((values - values.mean()) / (deviation or np.float32(1.0)), np.float32)


def _ranked(
    recommender: Recommender,
    candidates: NDArray[np.intp],
    scores: FloatArray,
    n: int,
    fallback: str | None,
) -> Ranked:
    order = np.argsort(-scores, kind="stable")[:n]
    ids = recommender.catalogue.ids
    chosen = candidates[order].tolist()
    return Ranked([ids[number] for number in chosen], scores[order].tolist(), fallback)
