import dataclasses

import numpy as np
import pytest

from pipelines.evaluation.panel import panel_of
from pipelines.evaluation.slices import learning_curve, slices_of
from tests.pipelines.evaluation.made_up import ARMS, Plan, Quality, record_of, records_of


@pytest.fixture(scope="module")
def panel():
    return panel_of(records_of(plan=Plan(questions=3_000)))


def the(panel, name):
    return next(each for each in slices_of(panel) if each.name == name)


def test_a_users_questions_are_cut_by_how_many_events_came_before(panel):
    cut = the(panel, "actor_events")
    events = panel.asked.actor_events
    counted = {bucket.label: bucket.n for bucket in cut.buckets}
    assert counted["0"] == (events == 0).sum()
    assert counted["3"] == (events == 3).sum()
    assert counted["4–5"] == ((events == 4) | (events == 5)).sum()
    assert counted["6–10"] == ((events >= 6) & (events <= 10)).sum()
    assert sum(counted.values()) == 3_000
    assert [bucket.start for bucket in cut.buckets][:6] == ["0", "1", "2", "3", "4+", "6+"]


def test_a_part_shows_the_mean_of_its_questions(panel):
    first = the(panel, "actor_events").buckets[0]
    values = panel.values["ndcg@10"][panel.arms.index("ours")]
    assert first.means.of("ours").mean == pytest.approx(
        values[panel.asked.actor_events == 0].mean()
    )


def test_new_items_are_cut_by_events_and_by_age(panel):
    new = panel.asked.item_bootstrap == 0
    for name in ("new_item_events", "new_item_age"):
        assert sum(bucket.n for bucket in the(panel, name).buckets) == new.sum()
    by_age = {bucket.label: bucket.n for bucket in the(panel, "new_item_age").buckets}
    age_s = panel.asked.item_age_s[new]
    assert by_age["first time"] == np.isnan(age_s).sum()
    assert by_age["< 10 min"] == (age_s < 600).sum()
    assert by_age["< 1 h"] == ((age_s >= 600) & (age_s < 3_600)).sum()


def test_a_turn_of_taste_is_cut_by_what_the_turned_have_done_since(panel):
    since = panel.asked.since_turn
    counted = {bucket.label: bucket.n for bucket in the(panel, "since_turn").buckets}
    assert counted["before"] == (since == -1).sum()
    assert counted["0"] == (since == 0).sum()
    assert counted["11–20"] == ((since >= 11) & (since <= 20)).sum()
    assert sum(counted.values()) == (since > -2).sum() < len(since)


def test_a_stream_without_new_items_has_no_cuts_of_them():
    plan = Plan(new_items=False)
    record = record_of("ease", ARMS["ease"], plan=plan)
    asked = dataclasses.replace(record.asked, item_bootstrap=record.asked.item_bootstrap + 1)
    names = [each.name for each in slices_of(panel_of([dataclasses.replace(record, asked=asked)]))]
    assert "new_item_events" not in names
    assert "actor_events" in names


def test_items_are_new_or_in_thirds_of_the_questions_on_the_others(panel):
    counted = {bucket.label: bucket.n for bucket in the(panel, "item").buckets}
    known = panel.asked.item_bootstrap > 0
    assert counted.pop("new") == 3_000 - known.sum()
    assert list(counted) == ["tail", "middle", "head"]
    assert counted["tail"] >= known.sum() / 3
    # many items had few successes: ties stay on one side
    assert counted["head"] <= known.sum() / 3


def test_users_are_known_by_their_events_before_the_replay(panel):
    counted = {bucket.label: bucket.n for bucket in the(panel, "actor").buckets}
    assert counted["known"] == (panel.asked.actor_bootstrap > 0).sum()


def test_the_last_third_is_the_last_third_of_the_questions(panel):
    assert [bucket.n for bucket in the(panel, "third").buckets] == [1_000, 1_000, 1_000]
    assert panel.last_third.sum() == 1_000
    assert panel.last_third[-1_000:].all()


def test_an_arm_that_learns_rises_along_its_curve():
    plan = Plan(questions=8_000)
    arms = {"still": Quality(0.3, cold=1.0), "learning": Quality(0.3, learns=1.5, cold=1.0)}
    panel = panel_of(records_of(arms, plan=plan))
    curve = learning_curve(panel, "hr@10")
    assert len(curve.until) == 24
    assert curve.until[-1] == 8_000
    still, learning = curve.value
    assert learning[-6:].mean() > 1.5 * learning[:6].mean()
    assert still[-6:].mean() == pytest.approx(still[:6].mean(), abs=0.06)
    sizes = np.diff(curve.until, prepend=0)
    assert curve.value @ sizes / 8_000 == pytest.approx(panel.values["hr@10"].mean(axis=1))


def test_a_curve_of_fewer_questions_than_windows_has_one_for_each():
    panel = panel_of(records_of({"a": Quality(0.5)}, plan=Plan(questions=5)))
    assert learning_curve(panel, "hr@10").until.tolist() == [1, 2, 3, 4, 5]
