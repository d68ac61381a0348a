"""What a night leaves for machines and for people."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.console import Console
from pipelines.night_report import ALARM, plain, refused_in_a_row, tell, written

SERVED = "v0001-00000000"


def report(verdict, **more):
    return {
        "verdict": verdict,
        "dry_run": False,
        "version": SERVED,
        "served": SERVED,
        "refused": "r0001-00000000",
        "report": "night.json",
        "reasons": ["why"],
        "counts": {},
        "verdicts": [],
        **more,
    }


def leave(folder, *verdicts, **more):
    for n, verdict in enumerate(verdicts):
        written(report(verdict, **more), folder, 1_700_000_000_000 + 86_400_000 * n)


@pytest.mark.parametrize(
    ("before", "tonight", "expected"),
    [
        ([], "refused", 1),
        (["refused"], "refused", 2),
        (["published", "refused", "nothing_new"], "refused", 2),
        (["refused", "refused"], "published", 0),
        (["refused", "published"], "refused", 1),
        (["refused", "refused"], "nothing_new", 2),
    ],
)
def test_refusals_are_counted_back_to_the_last_night_that_was_published(
    tmp_path, before, tonight, expected
):
    leave(tmp_path, *before)
    assert refused_in_a_row(tmp_path, tonight) == expected


def test_dry_runs_and_torn_reports_count_for_nothing(tmp_path):
    leave(tmp_path, "refused", "published", dry_run=True)
    (tmp_path / "night-20300101T000000.000Z.json").write_text("{torn", "utf-8")
    (tmp_path / "night-20300102T000000.000Z.json").write_text("[]", "utf-8")
    assert refused_in_a_row(tmp_path, "refused") == 1


def test_two_refusals_in_a_row_are_told_as_an_alarm(capsys):
    tell(report("refused", refused_in_a_row=ALARM, alarm=True), Console())
    assert "ALARM: 2 nights in a row refused" in capsys.readouterr().err


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=json_like)
def test_any_report_can_be_written_and_says_the_same_but_for_numbers_that_are_none(value):
    found = plain(value)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    if isinstance(value, float):
        assert found is None if not math.isfinite(value) else found == value


def test_a_summary_names_what_was_learned_let_go_and_moved(capsys):
    cross = {"feature": "liked", "value": "i1", "item_id": "i2", "weight": 0.5}
    changes = {
        "n_learned": 1,
        "n_let_go": 1,
        "learned": [cross],
        "let_go": [{**cross, "item_id": "i3", "weight": -0.1}],
        "risen": [{"item_id": "i2", "change": 0.4, "because": "wide"}],
        "fallen": [{"item_id": "i3", "change": -0.2, "because": "bias"}],
        "lists": [{"user_id": "ann", "entered": ["i2"], "left": ["i3"], "because": "deep"}],
    }
    counts = dict.fromkeys(("replayed", "new_items", "new_attribute_values"), 0)
    counts |= {"learned": 5, "new_users": 1, "crosses_kept": 7}
    selection = {"over_user_cap": 10, "over_item_cap": 0, "left_over": 2}
    night = report("published", counts=counts, selection=selection, changes=changes)
    tell(night, Console(), {"i1": "Alien", "i2": "Aliens", "i3": "Babe"}.__getitem__)
    told = capsys.readouterr().out
    assert "Learned 5 new events" in told
    assert "Left aside 12 new events: 10 beyond the caps" in told
    assert "Learned 1 combination: who liked Alien chooses Aliens: +0.50" in told
    assert "Let go of 1 combination: who liked Alien avoids Babe: -0.10" in told
    assert "Rose most: Aliens +0.40 (wide)" in told
    assert "The list of ann changed by 1 item (deep): in came Aliens; out went Babe" in told
