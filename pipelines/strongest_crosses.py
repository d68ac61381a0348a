"""What the wide half remembers most strongly, in words."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from model.slow.bundle import Bundle
from model.storage.event_log import open_log
from model.workspace import Workspace

_HISTORY: Final = {
    "liked": "who liked {}",
    "disliked": "who disliked {}",
    "last": "who came from {}",
}
_TITLE: Final = "title"

Titles = Callable[[str], str]


def strongest(bundle: Bundle, n: int) -> list[dict[str, Any]]:
    """The crosses with the largest weights, of either sign, largest first.

    Args:
      bundle: A model.
      n: At most so many.

    Returns:
      `feature` and `value` of the row, `item_id`, and `weight` in log-odds.
    """
    weights = bundle.parameters["wide_weights"]
    best = np.argsort(-np.abs(weights), kind="stable")[:n]
    rows = np.searchsorted(bundle.parameters["wide_indptr"], best, side="right") - 1
    found = []
    for at, row in zip(best.tolist(), rows.tolist(), strict=True):
        feature, value = bundle.space.row_words(row)
        item = bundle.space.items.term(int(bundle.parameters["wide_items"][at]))
        found.append(
            {"feature": feature, "value": value, "item_id": item, "weight": float(weights[at])}
        )
    return found


def in_words(cross: dict[str, Any], title: Titles) -> str:
    """One cross as a sentence, such as `who liked Alien chooses Aliens: +0.61`."""
    feature, value, weight = cross["feature"], cross["value"], cross["weight"]
    who = _HISTORY.get(feature, f"{feature}={{}}").format(
        title(value) if feature in _HISTORY else value
    )
    verb = "chooses" if weight > 0 else "avoids"
    return f"{who} {verb} {title(cross['item_id'])}: {weight:+.2f}"


def titles(workspace: Workspace) -> Titles:
    """Item ids to titles, as far as the log of a workspace knows any."""
    known: dict[str, str] = {}
    if workspace.log_path.exists():
        log = open_log(workspace.log_path)
        try:
            known = {
                item.item_id: title
                for item in log.catalogue().items
                if item.attributes and isinstance(title := item.attributes.get(_TITLE), str)
            }
        finally:
            log.close()
    return lambda item_id: known.get(item_id, item_id)
