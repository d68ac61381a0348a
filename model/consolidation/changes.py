"""What a night changed, for people: crosses learned and let go, items and lists that moved."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.consolidation.continuation import Night
from model.slow.bundle import Bundle
from model.slow.evaluation import thinned
from model.slow.scorer import SlowScorer

_SHOWN: Final = 5
_REQUESTS: Final = 200
_LIST_LENGTH: Final = 10

Crosses = dict[int, float]


def changes(night: Night, candidate: Bundle) -> dict[str, Any]:
    """The largest changes from the served model to a candidate, as plain JSON.

    Args:
      night: The served model and the events; requests of held-out and frozen events show
        how lists change, at most 200, evenly spread.
      candidate: The candidate.

    Returns:
      `n_learned` and `n_let_go` crosses, the strongest of each, the items that rose and
      fell most in the mean request, in log-odds, and the lists that changed most. `because`
      is the part of the score that did it: `wide`, `deep` or `bias`.
    """
    before, after = _crosses(night.served), _crosses(candidate)
    learned = {key: after[key] for key in after.keys() - before.keys()}
    let_go = {key: before[key] for key in before.keys() - after.keys()}
    found: dict[str, Any] = {
        "n_learned": len(learned),
        "n_let_go": len(let_go),
        "learned": _strongest(learned, candidate),
        "let_go": _strongest(let_go, candidate),
    }
    which = thinned(np.concatenate([night.held_out, night.frozen]), _REQUESTS)
    return found | (_moved(night, candidate, which) if len(which) else {})


def _crosses(bundle: Bundle) -> Crosses:
    """The weights that are not zero, by row · items + item."""
    p, n_items = bundle.parameters, bundle.space.items.size
    rows = np.repeat(np.arange(len(p["wide_indptr"]) - 1), np.diff(p["wide_indptr"]))
    there = np.flatnonzero(p["wide_weights"])
    keys = rows[there] * n_items + p["wide_items"][there]
    return dict(zip(keys.tolist(), p["wide_weights"][there].tolist(), strict=True))


def _strongest(crosses: Crosses, bundle: Bundle) -> list[dict[str, Any]]:
    """The crosses of the largest weights, as `strongest_crosses` shows them."""
    found = []
    for key in sorted(crosses, key=lambda key: (-abs(crosses[key]), key))[:_SHOWN]:
        row, item = divmod(key, bundle.space.items.size)
        feature, value = bundle.space.row_words(row)
        found.append(
            {
                "feature": feature,
                "value": value,
                "item_id": bundle.space.items.term(item),
                "weight": crosses[key],
            }
        )
    return found


def _moved(night: Night, candidate: Bundle, which: NDArray[np.intp]) -> dict[str, Any]:
    """Items and lists that changed most at these requests."""
    old, new = (_parts(bundle, night, which) for bundle in (night.served, candidate))
    change = {name: new[name] - old[name] for name in new}
    # a list does not change when every item gains the same
    change = {name: part - part.mean(axis=1, keepdims=True) for name, part in change.items()}
    mean = {name: part.mean(axis=0) for name, part in change.items()}
    total = np.add.reduce(list(mean.values()))
    order = np.argsort(total, kind="stable")
    tops = [_top(sum(parts.values()), night, which) for parts in (old, new)]
    entered = [np.setdiff1d(b, a) for a, b in zip(*tops, strict=True)]
    most = np.argsort([-len(items) for items in entered], kind="stable")
    return {
        "risen": [_item(night, n, mean, total, 1) for n in order[::-1][:_SHOWN].tolist()],
        "fallen": [_item(night, n, mean, total, -1) for n in order[:_SHOWN].tolist()],
        "lists": [
            _list(
                night, which[at], (tops[0][at], tops[1][at]), {k: v[at] for k, v in change.items()}
            )
            for at in most[:_SHOWN].tolist()
            if len(entered[at])
        ],
    }


def _parts(bundle: Bundle, night: Night, which: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    """[requests, items] each part of the score, without the unknown item."""
    scorer = SlowScorer(bundle)
    queries = night.examples.queries(which)
    slow, trust = scorer.score(queries), np.float32(scorer.trust)
    near = scorer.lifted(queries.liked, slow.deep.shape[1])
    bias = np.broadcast_to(trust * scorer.bias, slow.deep.shape)
    parts = {"wide": trust * slow.wide + near, "deep": trust * slow.deep, "bias": bias}
    return {name: part[:, 1:] for name, part in parts.items()}


def _top(scores: Any, night: Night, which: NDArray[np.intp]) -> NDArray[np.intp]:
    """[requests, 10] the items of the lists that would have been shown."""
    scores = np.array(scores)
    row, item = night.examples.seen(which)
    known = item > 0
    scores[row[known], item[known] - 1] = -np.inf
    length = min(_LIST_LENGTH, scores.shape[1])
    return np.argpartition(-scores, length - 1, axis=1)[:, :length]


def _item(
    night: Night, n: int, mean: dict[str, NDArray[Any]], total: NDArray[Any], sign: int
) -> dict[str, Any]:
    return {
        "item_id": night.served.space.items.term(n + 1),
        "change": float(total[n]),
        "because": max(mean, key=lambda name: sign * float(mean[name][n])),
    }


def _list(
    night: Night,
    at: np.intp,
    lists: tuple[NDArray[np.intp], NDArray[np.intp]],
    change: dict[str, NDArray[Any]],
) -> dict[str, Any]:
    space = night.served.space
    entered, left = np.setdiff1d(lists[1], lists[0]), np.setdiff1d(*lists)
    user = int(night.examples.queries(np.array([at])).user[0])
    gained = {
        name: float(part[entered].mean() - part[left].mean()) for name, part in change.items()
    }
    return {
        "user_id": space.users.term(user) if user else None,
        "entered": [space.items.term(n + 1) for n in entered.tolist()],
        "left": [space.items.term(n + 1) for n in left.tolist()],
        "because": max(gained, key=lambda name: gained[name]),
    }
