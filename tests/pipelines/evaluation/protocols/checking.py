"""What holds for every stream, whatever its protocol."""

from dataclasses import fields

import numpy as np

from model.interactions import Outcome
from pipelines.evaluation.stream import Stream


def check_stream(stream: Stream) -> None:
    check_columns(stream)
    check_groups(stream)
    check_questions(stream)


def check_columns(stream: Stream) -> None:
    events, n = stream.events, len(stream)
    for name in ("group", "asked", "judged", "block"):
        assert len(getattr(stream, name)) == n, name
    for field in fields(events):
        if field.name != "context":
            assert len(getattr(events, field.name)) == n, field.name
    for ids, numbers in (
        (stream.actors, events.actor),
        (stream.items, events.item),
        (stream.kinds, events.kind),
    ):
        assert len(set(ids)) == len(ids)
        assert 0 <= numbers.min() <= numbers.max() < len(ids)
    assert events.context.keys() == stream.terms.keys()
    for name, terms in events.context.items():
        assert 0 <= terms.min() <= terms.max() < len(stream.terms[name])
        assert len(terms) == n
    assert stream.item_attributes.keys() <= set(stream.items)
    assert stream.user_attributes.keys() <= set(stream.actors)
    kinds = [stream.kinds[kind] for kind in events.kind]
    said = stream.config.events.outcomes(kinds, events.value.astype(np.float64))
    np.testing.assert_array_equal(events.outcome, said)


def check_groups(stream: Stream) -> None:
    events, group = stream.events, stream.group
    assert (np.diff(events.timestamp_ms) >= 0).all()
    assert (np.diff(stream.block) >= 0).all()
    assert group[0] == 0
    assert set(np.diff(group).tolist()) <= {0, 1}
    assert 0 < stream.bootstrap < len(stream)
    starts = np.flatnonzero(np.diff(group)) + 1
    assert stream.bootstrap in starts
    assert set(stream.nights.tolist()) <= set(starts.tolist())
    assert (np.diff([stream.bootstrap, *stream.nights, len(stream)]) > 0).all()
    # all rows of a group are of one moment
    assert (np.diff(events.timestamp_ms)[np.diff(group) == 0] == 0).all()
    # and all rows of an actor of one moment are in one group
    replayed = slice(stream.bootstrap, None)
    moments = np.stack([events.actor, events.timestamp_ms], 1)[replayed]
    groups = np.column_stack([moments, group[replayed]])
    assert len(np.unique(groups, axis=0)) == len(np.unique(moments, axis=0))


def check_questions(stream: Stream) -> None:
    events, asked = stream.events, stream.asked
    assert asked.any()
    assert not asked[: stream.bootstrap].any()
    assert not stream.judged[: stream.bootstrap].any()
    # the head is taught to tell successes from the rest of what was rated or refused
    rated = ~np.isnan(events.value)
    assert (rated | (events.outcome != Outcome.NEUTRAL))[stream.judged].all()
    if stream.candidates == "shown":
        check_lists(stream)
        return
    assert (events.outcome[asked] == Outcome.SUCCESS).all()
    met = met_in_earlier_groups(stream)
    if stream.candidates == "unseen":
        assert not met[asked].any()
    if stream.candidates == "seen":
        assert met[asked].all()


def check_lists(stream: Stream) -> None:
    """Every list has a clicked item and another one, and no item twice."""
    events = stream.events
    rows = np.flatnonzero(stream.asked)
    lists = stream.group[rows] * len(stream.actors) + events.actor[rows]
    clicked = events.outcome[rows] == Outcome.SUCCESS
    _, number = np.unique(lists, return_inverse=True)
    clicks, sizes = np.bincount(number, clicked), np.bincount(number)
    assert ((clicks > 0) & (clicks < sizes)).all()
    assert len(np.unique(np.stack([number, events.item[rows]]), axis=1).T) == len(rows)


def met_in_earlier_groups(stream: Stream) -> np.ndarray:
    """[rows] found by going through the rows one by one."""
    seen: dict[tuple[int, int], int] = {}
    pairs = zip(stream.events.actor.tolist(), stream.events.item.tolist(), strict=True)
    met = np.zeros(len(stream), bool)
    for row, (pair, group) in enumerate(zip(pairs, stream.group.tolist(), strict=True)):
        met[row] = seen.setdefault(pair, group) < group
    return met


def same_streams(one: Stream, other: Stream) -> None:
    for field in fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
        elif field.name not in {"events", "truth"}:
            assert mine == theirs, field.name
    for field in fields(one.events):
        mine, theirs = getattr(one.events, field.name), getattr(other.events, field.name)
        if field.name != "context":
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
            continue
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
