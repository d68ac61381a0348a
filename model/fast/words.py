"""What events say to others of success and failure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from model.fast.actors import Limits, Success, spoken
from model.interactions import EventRules, LogRow, Outcome

Said: TypeAlias = tuple[int, Success, bool]
"""What an event says: its place among the events, of what, and whether it succeeded."""

Told: TypeAlias = tuple[LogRow, Success, bool]
"""The same with the event's row."""


def said_by(
    events: Sequence[LogRow], rules: EventRules, number: Callable[[str], int]
) -> Iterable[Said]:
    """What events say, those that say anything.

    Args:
      events: In log order.
      rules: What they mean.
      number: Number of an item id, 0 for none.
    """
    types = [row.event_type or "" for row in events]
    values = np.array([np.nan if row.value is None else row.value for row in events])
    by_value = {name for name, rule in rules.rules.items() if rule.by_value}
    rated = np.array([name in by_value for name in types], bool) & ~np.isnan(values)
    outcomes = rules.outcomes(types, values)
    numbers = [0 if row.item_id is None else number(row.item_id) for row in events]
    known = np.array(numbers, np.int64) > 0
    at = np.flatnonzero(known & (rated | (outcomes != Outcome.NEUTRAL)))
    # a purchase is one actor's word as much as a click is
    weights = np.minimum(rules.weights(types)[at], 1.0).tolist()
    places = at.tolist()
    times = [events[place].timestamp_ms for place in places]
    said = map(Success, times, [numbers[place] for place in places], weights)
    return zip(places, said, (outcomes[at] == Outcome.SUCCESS).tolist(), strict=True)


def differences(
    said: Sequence[Told], left: Sequence[Told], limits: Limits
) -> Iterator[tuple[Told, int]]:
    """What would no longer count (-1), or count instead (1), with less said."""
    signs: dict[int, int] = {}
    for events, sign in ((said, -1), (left, 1)):
        counts, _ = spoken([success for _, success, _ in events], limits)
        for (row, _, _), counted in zip(events, counts, strict=True):
            signs[row.seq] = signs.get(row.seq, 0) + sign * int(counted)
    return ((told, signs[told[0].seq]) for told in said if signs[told[0].seq])
