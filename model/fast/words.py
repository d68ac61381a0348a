"""What events say to others of success and failure."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from model.fast.actors import Limits, Success, spoken
from model.interactions import EventRules, LogRow, Outcome

Said: TypeAlias = tuple[int, Success, bool]
"""What an event says: its place among the events, of what, and whether it succeeded."""

Told: TypeAlias = tuple[LogRow, Success, bool]
"""The same with the event's row."""


def said_by(
    events: Sequence[LogRow], rules: EventRules, number: Callable[[str], int]
) -> Iterator[Said]:
    """What events say, those that say anything.

    Args:
      events: In log order.
      rules: What they mean.
      number: Number of an item id, 0 for none.
    """
    # a purchase is one actor's word as much as a click is
    weights = {name: min(rule.weight, 1.0) for name, rule in rules.rules.items()}
    for at, row in enumerate(events):
        rule = None if row.event_type is None else rules.rules.get(row.event_type)
        if rule is None or row.item_id is None:
            continue
        if rule.by_value:
            if row.value is None:
                continue
            succeeded = row.value >= rules.success_value
        elif rule.outcome == Outcome.NEUTRAL:
            continue
        else:
            succeeded = rule.outcome == Outcome.SUCCESS
        item = number(row.item_id)
        if item:
            yield at, Success(row.timestamp_ms, item, weights[row.event_type or ""]), succeeded


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
