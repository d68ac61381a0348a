"""What is chosen near what, counted."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.interactions import Event
from model.slow.examples import Examples
from model.slow.nearby import PLACES, Nearby, counted, merged, said
from model.slow.scorer import SlowScorer
from tests.tiny_model import columns_of, tiny_model

MODEL = tiny_model()
EVERYTHING = np.arange(len(MODEL.examples))


def by_hand(examples, which):
    """{(item, item): count}, event by event."""
    found: dict[tuple[int, int], float] = defaultdict(float)
    for at in which.tolist():
        if not examples.success[at]:
            continue
        target = int(examples.item[at])
        for place, item in enumerate(examples.queries(np.array([at])).liked[0, :5].tolist()):
            if item > 0 and target > 0 and item != target:
                found[item, target] += 0.8**place
                found[target, item] += 0.8**place
    return found


def as_pairs(table):
    return {
        (int(row), int(item)): float(count)
        for row, item, count in zip(table.rows, table.items, table.counts, strict=True)
    }


def test_three_choices_one_after_another_count_by_how_far_they_are_apart():
    events = [Event(f"e{n}", "click", 1_000 * n, "u", item) for n, item in enumerate("abc")]
    columns, described = columns_of(events, [])
    space = MODEL.bundle.space
    space = type(space)(
        space.items.__class__(list("abc")),
        space.users,
        space.item_attributes,
        space.query_attributes,
        space.history,
        space.wide_history,
    )
    examples = Examples(columns, space, described)
    table = counted(examples, np.arange(3), 10)
    expected = {(1, 2): 1.0, (2, 1): 1.0, (2, 3): 1.0, (3, 2): 1.0, (1, 3): 0.8, (3, 1): 0.8}
    assert as_pairs(table) == pytest.approx(expected)
    assert table.totals.tolist() == pytest.approx([0.0, 1.8, 2.0, 1.8])
    # of what was chosen near b, a tenth of all there is: 1 of 2 and a prior of 10
    share = np.array([0.0, 0.1, 0.5, 0.4])
    lifts = dict(zip(as_pairs(table), table.lifts(share).tolist(), strict=True))
    assert lifts[2, 1] == pytest.approx(1.0 / 12.0 / 0.1)
    assert lifts[1, 3] == pytest.approx(0.8 / 11.8 / 0.4)


def test_counts_are_those_of_every_event_by_itself():
    table = counted(MODEL.examples, EVERYTHING, 1_000)
    assert as_pairs(table) == pytest.approx(by_hand(MODEL.examples, EVERYTHING), rel=1e-5)
    np.testing.assert_allclose(
        table.totals, np.bincount(table.rows, table.counts, len(table.totals)), rtol=1e-5
    )


def test_a_full_row_keeps_what_was_counted_most_and_the_whole_total():
    whole, cut = (counted(MODEL.examples, EVERYTHING, most) for most in (1_000, 3))
    np.testing.assert_array_equal(whole.totals, cut.totals)
    for row in range(len(whole.totals)):
        pairs = {item: n for (own, item), n in as_pairs(whole).items() if own == row}
        kept = {item: n for (own, item), n in as_pairs(cut).items() if own == row}
        assert len(kept) == min(len(pairs), 3)
        assert min(kept.values(), default=0.0) >= max(
            (n for item, n in pairs.items() if item not in kept), default=0.0
        )


def test_nothing_is_counted_where_no_neighbours_are_kept():
    table = counted(MODEL.examples, EVERYTHING, 0)
    assert not len(table.items)
    assert not table.totals.any()


@settings(max_examples=20)
@given(cut=st.integers(1, 1_199))
def test_counts_of_two_parts_are_those_of_the_whole(cut):
    first, second = (counted(MODEL.examples, part, 1_000) for part in np.split(EVERYTHING, [cut]))
    whole, both = counted(MODEL.examples, EVERYTHING, 1_000), merged(first, second, 1_000)
    assert as_pairs(both) == pytest.approx(as_pairs(whole), rel=1e-5)
    np.testing.assert_allclose(both.totals, whole.totals, rtol=1e-5)


def test_new_items_have_empty_rows():
    table = counted(MODEL.examples, EVERYTHING, 10)
    grown = table.grown(len(table.totals) + 3)
    assert grown.indptr[-4:].tolist() == [len(table.items)] * 4
    assert as_pairs(grown) == as_pairs(table)


def test_a_history_touches_the_rows_of_its_newest_items():
    table = Nearby.of(MODEL.bundle.parameters)
    beyond = len(table.totals)
    newest = np.array([[3, -1, beyond, 5], [-1, 7, 7, -1]])
    positions, slot = said(table.indptr, newest)
    found = set(zip(slot.tolist(), table.rows[positions].tolist(), strict=True))
    assert found == {(0, 3), (3, 5), (PLACES + 1, 7), (PLACES + 2, 7)}
    lengths = np.diff(table.indptr)
    assert len(positions) == lengths[3] + lengths[5] + 2 * lengths[7]


def test_the_score_is_what_was_trained_and_the_chances_of_what_is_near():
    scorer, p = SlowScorer(MODEL.bundle), MODEL.bundle.parameters
    liked = MODEL.examples.queries(EVERYTHING).liked
    queries = MODEL.examples.queries(np.flatnonzero((liked > 0).sum(axis=1) > 6)[:2])
    slow, table = scorer.score(queries), Nearby.of(MODEL.bundle.parameters)
    pairs = dict(zip(as_pairs(table), p["nearby_lifts"].tolist(), strict=True))
    for row, scores in enumerate(scorer.scores(queries)):
        chances = np.zeros(len(scores))
        for place, met in enumerate(queries.liked[row, :PLACES].tolist()):
            if met < 1:
                continue
            chances[met] += p["return_weights"][place] / p["item_share"][met]
            for item in range(len(scores)):
                chances[item] += p["nearby_weights"][place] * pairs.get((met, item), 0.0)
        trained = slow.wide[row] + slow.deep[row] + scorer.bias
        np.testing.assert_allclose(scores, 0.8 * trained + np.log1p(chances), atol=1e-5)
        assert (chances > 0).sum() > 10
