import dataclasses

import numpy as np
import pytest

from model.errors import BadInputError
from model.metrics import auc, expected_calibration_error, log_loss
from pipelines.evaluation.intervals import Plan
from pipelines.evaluation.outcomes import outcome, outcomes, reliability
from pipelines.evaluation.panel import panel_of
from pipelines.evaluation.record import Judged
from tests.pipelines.evaluation.made_up import ARMS, Quality, records_of


def judged_of(n, seed, tilt=1.0):
    rng = np.random.default_rng(seed)
    odds = rng.normal(0.2, 1.0, n)
    label = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.float32)
    actor = np.arange(n, dtype=np.int32)
    return Judged(
        row=np.arange(n),
        actor=actor,
        block=(actor // 100).astype(np.int32),
        actor_events=actor % 7,
        item_bootstrap=actor % 11,
        label=label,
        probability=(1 / (1 + np.exp(-odds * tilt))).astype(np.float32),
    )


def test_values_are_those_of_the_metrics():
    judged = judged_of(1_000, 0)
    found = outcome([judged], np.ones(1_000, bool), Plan(50))
    assert found is not None
    assert found.logloss.mean == pytest.approx(log_loss(judged.probability, judged.label))
    assert found.auc.mean == pytest.approx(auc(judged.probability, judged.label))
    gap = expected_calibration_error(judged.probability, judged.label)
    assert found.ece.mean == pytest.approx(gap, abs=1e-6)


def test_several_seeds_are_averaged_after_and_not_before():
    one, other = judged_of(600, 0), judged_of(600, 0, tilt=3.0)
    both = outcome([one, other], np.ones(600, bool), Plan(50))
    alone = [outcome([each], np.ones(600, bool), Plan(50)) for each in (one, other)]
    assert both is not None
    assert both.ece.mean == pytest.approx(np.mean([each.ece.mean for each in alone if each]))


def test_the_interval_of_auc_is_that_of_a_bootstrap_by_brute_force():
    judged = judged_of(800, 4)
    single = dataclasses.replace(judged, block=np.zeros(800, np.int32))
    found = outcome([single], np.ones(800, bool), Plan(1_500))
    rng = np.random.default_rng(0)
    drawn = [
        auc(judged.probability[rows], judged.label[rows])
        for rows in rng.integers(0, 800, (1_500, 800))
    ]
    assert found is not None
    assert found.auc[1:] == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.006)


@pytest.mark.parametrize("tilt", [1.0, 2.0])
def test_the_interval_of_calibration_holds_the_true_gap(tilt):
    true = judged_of(400_000, 99, tilt)
    gap = expected_calibration_error(true.probability, true.label)
    held = []
    for seed in range(60):
        found = outcome([judged_of(1_500, seed, tilt)], np.ones(1_500, bool), Plan(200))
        assert found is not None
        assert found.ece.low <= found.ece.mean <= found.ece.high
        held.append(found.ece.low - 0.002 <= gap <= found.ece.high)
    assert np.mean(held) > 0.9


def test_no_question_has_no_outcome_and_one_class_no_auc():
    judged = judged_of(200, 0)
    assert outcome([judged], np.zeros(200, bool), Plan(20)) is None
    found = outcome([judged], judged.label > 0.5, Plan(20))
    assert found is not None
    assert np.isnan(found.auc.mean)
    assert np.isfinite(found.logloss.mean)


def test_arms_are_judged_on_all_on_cold_users_and_on_tail_items():
    panel = panel_of(records_of())
    found = outcomes(panel)
    assert set(found) == {arm for arm, quality in ARMS.items() if quality.tilt is not None}
    judged = panel.judged["ours"][0]
    assert found["ours"]["all"].n == 600
    assert found["ours"]["cold users"].n == (judged.actor_events < 5).sum()
    assert 200 <= found["ours"]["tail items"].n < 300


def test_arms_that_were_asked_other_outcomes_are_refused():
    records = records_of({"slow": Quality(0.3, tilt=0.1), "ours": Quality(0.3, tilt=0.1)}, seeds=1)
    judged = records[1].judged
    assert judged is not None
    moved = dataclasses.replace(judged, label=1 - judged.label)
    records[1] = dataclasses.replace(records[1], judged=moved)
    with pytest.raises(BadInputError, match="label differs between slow and ours"):
        outcomes(panel_of(records))


def test_an_arm_with_a_missing_probability_says_none():
    (record,) = records_of({"slow": Quality(0.3, tilt=0.1)}, seeds=1)
    assert record.judged is not None
    record.judged.probability[3] = np.nan
    assert outcomes(panel_of([record])) == {}


def test_a_calibrated_arm_lies_on_the_diagonal():
    bins = reliability([judged_of(60_000, 1), judged_of(60_000, 1)])
    assert len(bins.predicted) == 15
    assert bins.observed == pytest.approx(bins.predicted, abs=0.03)
