import dataclasses
import json

import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.console import Console
from pipelines.evaluation.panel import panel_of
from pipelines.evaluation.results import read_results, record_results, results_markdown
from pipelines.evaluation.summary import evaluation_of, night_seconds, parent_of, summary_of
from pipelines.evaluation.table import terminal_table
from pipelines.evaluation.wording import duration, metric_name, number, signed
from tests.pipelines.evaluation.made_up import ARMS, Plan, Quality, record_of, records_of, run_of


@pytest.fixture(scope="module")
def summary():
    return summary_of(evaluation_of(records_of(), run_of()))


def test_a_summary_has_every_arm_with_intervals_best_first(summary):
    assert next(iter(summary["arms"])) == "ours"
    assert set(summary["arms"]) == set(ARMS)
    means = [own["ndcg@10"]["mean"] for own in summary["arms"].values()]
    assert means == sorted(means, reverse=True)
    for own in summary["arms"].values():
        assert list(own)[:3] == ["ndcg@10", "hr@10", "coverage@10"]
        assert all(e["low"] <= e["mean"] <= e["high"] for e in own.values())
    assert set(summary["arms"]["ours"]) - set(summary["arms"]["ease"]) == {
        "logloss", "auc", "ece", "ece-cold", "ece-tail",
    }  # fmt: skip
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_a_summary_says_how_the_numbers_were_made(summary):
    for name in ("command", "date", "commit", "machine", "seconds", "seeds"):
        assert summary[name] == run_of().heading()[name]
    assert summary["questions"] == 600
    assert summary["resamples"] >= 1_000
    ours = summary["details"]["ours"]
    assert ours["trials"] == 12
    assert ours["chosen"] == {"dimensions": 64, "dropout": 0.3}
    assert ours["nights"]["count"] == 16
    assert ours["nights"]["published"] + ours["nights"]["refused"] == 16
    assert summary["details"]["slow"]["trials"] is None


def test_seeds_are_averaged_and_their_spread_stands_beside(summary):
    by_seed = summary["details"]["ours"]["by_seed"]["hr@10"]
    assert len(by_seed["values"]) == 2
    assert summary["arms"]["ours"]["hr@10"]["mean"] == pytest.approx(
        np.mean(by_seed["values"]), abs=1e-5
    )
    assert by_seed["deviation"] == pytest.approx(np.std(by_seed["values"], ddof=1), abs=1e-5)
    assert summary["details"]["ease"]["by_seed"]["hr@10"]["deviation"] == 0.0


def test_differences_are_to_the_reference_and_to_the_subject(summary):
    arms, details = summary["arms"], summary["details"]
    apart = arms["slow"]["ndcg@10"]["mean"] - arms["ease"]["ndcg@10"]["mean"]
    assert details["slow"]["to_reference"]["ndcg@10"]["mean"] == pytest.approx(apart, abs=2e-6)
    assert set(details["ease"]["to_reference"]["ndcg@10"].values()) == {0.0}
    assert set(details["ours"]["to_subject"]["ndcg@10"].values()) == {0.0}
    assert details["popularity"]["to_subject"]["ndcg@10"]["high"] < 0


def test_without_a_named_reference_the_best_other_arm_is_it():
    evaluation = evaluation_of(records_of(), run_of(reference=""))
    assert (evaluation.subject, evaluation.reference) == ("ours", "slow+fast")
    without = {arm: ARMS[arm] for arm in ("popularity", "ease")}
    evaluation = evaluation_of(records_of(without), run_of(reference=""))
    assert (evaluation.subject, evaluation.reference) == ("ease", "popularity")
    with pytest.raises(BadInputError, match=r"expected a reference among .* got 'best'"):
        evaluation_of(records_of(), run_of(reference="best"))


def test_where_less_is_better_the_least_is_first():
    plan = Plan(protocol="world", metrics=("regret@10", "ndcg@10"))
    evaluation = evaluation_of(records_of(plan=plan), run_of())
    assert evaluation.order[0] == "popularity"


def test_the_periods_of_diginetica_weigh_the_same():
    plan = Plan(protocol="diginetica", blocks=4, metrics=("recall@20", "mrr@20"))
    record = record_of("ease", Quality(0.4, learns=2.0), plan=plan)
    keep = (record.asked.block > 0) | (np.arange(600) < 20)
    asked = dataclasses.replace(
        record.asked,
        **{f.name: getattr(record.asked, f.name)[keep] for f in dataclasses.fields(record.asked)},
    )
    metrics = {name: values[keep] for name, values in record.metrics.items()}
    cut = dataclasses.replace(record, asked=asked, metrics=metrics, top=record.top[keep])
    found = summary_of(evaluation_of([cut], run_of(reference="")))
    hits, block = metrics["recall@20"], asked.block
    expected = np.mean([hits[block == b].mean() for b in range(4)])
    assert found["mean_over_blocks"]
    assert found["arms"]["ease"]["recall@20"]["mean"] == pytest.approx(expected, abs=1e-6)
    assert found["arms"]["ease"]["recall@20"]["mean"] != pytest.approx(hits.mean(), abs=1e-3)


def test_lists_without_a_click_count_for_nothing():
    plan = Plan(protocol="mind", metrics=("auc", "mrr", "ndcg@5"))
    records = records_of({"slow": Quality(0.4, tilt=0.1), "ease": Quality(0.3)}, 1, plan)
    for record in records:
        for values in record.metrics.values():
            values[::10] = np.nan
    records = [dataclasses.replace(r, top=np.zeros((600, 0), np.int32)) for r in records]
    found = summary_of(evaluation_of(records, run_of(reference="")))
    kept = np.nanmean(records[0].metrics["mrr"])
    assert found["arms"]["slow"]["mrr"]["mean"] == pytest.approx(kept, abs=1e-6)
    assert set(found["arms"]["slow"]) == {
        "auc", "mrr", "ndcg@5", "logloss", "auc-outcome", "ece", "ece-cold", "ece-tail",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: dataclasses.replace(r, protocol="globo"), "expected one stream, got ml-100k"),
        (lambda r: dataclasses.replace(r, metrics={}), "expected the same metrics, got ndcg@10"),
        (
            lambda r: dataclasses.replace(
                r, asked=dataclasses.replace(r.asked, actor=r.asked.actor + 1)
            ),
            r"actor differs between popularity \(seed 0\) and slow \(seed 0\)",
        ),
        (lambda r: dataclasses.replace(r, arm="popularity"), "expected every seed of popularity"),
    ],
)
def test_records_that_cannot_be_compared_are_refused(change, message):
    records = records_of({arm: ARMS[arm] for arm in ("popularity", "slow")}, seeds=1)
    with pytest.raises(BadInputError, match=message):
        panel_of([records[0], change(records[1])])


def test_no_record_is_refused():
    with pytest.raises(BadInputError, match="at least one arm"):
        panel_of([])


def test_a_night_made_ahead_costs_what_it_says():
    assert night_seconds({"seconds": 0.01, "job_seconds": 4.5}) == 4.5
    assert night_seconds({"seconds": 0.25}) == 0.25
    assert night_seconds({"seconds": 0.25, "cpu_seconds": 0.2}, "cpu_seconds") == 0.2
    ahead = {"seconds": 0.01, "cpu_seconds": 0.01, "job_seconds": 4.5}
    assert np.isnan(night_seconds(ahead, "cpu_seconds"))
    assert night_seconds(ahead | {"job_cpu_seconds": 9.0}, "cpu_seconds") == 9.0


def test_ablations_are_known_by_their_names():
    assert parent_of("ours-trending") == "ours"
    assert parent_of("slow+fast-anotheruser") == "slow+fast"
    assert parent_of("popularity-decayed") is None
    assert parent_of("ours") is None


def test_recorded_results_have_the_fixed_shape_and_keep_other_protocols(summary, tmp_path):
    path = tmp_path / "docs" / "results.json"
    other = {**summary, "protocol": "globo"}
    record_results(other, path)
    record_results(summary, path)
    stored = json.loads(path.read_text("utf-8"))
    assert list(stored) == ["globo", "ml-100k"]
    for entry in stored.values():
        assert set(entry) == {
            "command", "date", "commit", "machine", "seconds", "seeds",
            "arms", "against", "nights", "sizes", "curves",
        }  # fmt: skip
        for own in entry["arms"].values():
            assert all(set(e) == {"mean", "low", "high"} for e in own.values())
    assert path.with_suffix(".md").read_text("utf-8") == results_markdown(stored)
    before = path.read_bytes()
    record_results(summary, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["{", "[]", '{"ml-100k": 3}', '{"ml-100k": {}}'])
def test_a_damaged_results_file_is_refused_and_left_alone(content, summary, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(content, "utf-8")
    with pytest.raises(BadInputError):
        record_results(summary, path)
    assert path.read_text("utf-8") == content
    assert not path.with_suffix(".md").exists()
    assert read_results(tmp_path / "absent.json") == {}


def test_the_page_of_results_shows_numbers_command_and_the_numbers_of_others(summary, tmp_path):
    record_results(summary, tmp_path / "results.json")
    page = (tmp_path / "results.md").read_text("utf-8")
    ours = summary["arms"]["ours"]["ndcg@10"]
    shown = f"{number(ours['mean'])} [{number(ours['low'])}, {number(ours['high'])}]"
    assert f"| `ours` | {shown} |" in page
    assert "`slowwave evaluate ml-100k --seeds 2`, 2026-01-31, commit `0123abc`" in page
    assert "12 min 34 s; seeds 0, 1." in page
    ease = number(summary["arms"]["ease"]["ndcg@10"]["mean"])
    row = "| EASE (λ = 300), refit nightly, live history | reference implementation | `ease` |"
    assert f"{row} .0886 | {ease} |" in page
    assert "| the same with a trending row | reference implementation |  | .0923 |  |" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {12, 8, 10}


def test_a_named_table_stands_beside_the_protocols_own(summary, tmp_path):
    path = tmp_path / "results.json"
    record_results(summary, path)
    own = read_results(path)["ml-100k"]
    fewer = summary_of(evaluation_of(records_of({"ease": ARMS["ease"]}), run_of(reference="")))
    record_results(fewer, path, "one arm")
    stored = read_results(path)
    assert list(stored) == ["ml-100k", "ml-100k: one arm"]
    assert stored["ml-100k"] == own
    page = path.with_suffix(".md").read_text("utf-8")
    assert page.index("## ml-100k\n") < page.index("## ml-100k: one arm\n")
    # the numbers of others stand beside the protocol's own table alone
    assert page.count("Numbers of others") == 1


def test_recorded_differences_are_paired_and_to_the_arm_that_was_named(summary, tmp_path):
    path = tmp_path / "results.json"
    record_results(summary, path)
    against = read_results(path)["ml-100k"]["against"]
    assert (against["arm"], against["metric"]) == ("ease", "ndcg@10")
    assert set(against["whole"]) == set(against["last_third"]) == set(ARMS) - {"ease"}
    details = summary["details"]["ours"]
    assert against["whole"]["ours"] == details["to_reference"]["ndcg@10"]
    assert against["last_third"]["ours"] == details["last_third_to_reference"]["ndcg@10"]
    page = path.with_suffix(".md").read_text("utf-8")
    assert "| NDCG@10 − `ease` | NDCG@10 − `ease`, last third |" in page
    unnamed = summary_of(evaluation_of(records_of(), run_of(reference="")))
    record_results(unnamed, path)
    assert read_results(path)["ml-100k"]["against"]["arm"] == "ours"


def test_the_page_says_how_nights_ended_what_they_cost_and_how_large_the_model_is(tmp_path):
    path = tmp_path / "results.json"
    night = {"row": 3, "seconds": 0.01, "job_seconds": 60.0, "job_cpu_seconds": 90.0}
    refused = {"verdict": "refused", "failed": ["quality", "drift"]}
    ended = [night | {"verdict": "published"}, night | refused, night | {"verdict": "nothing_new"}]
    [ours] = records_of({"ours": ARMS["ours"]}, seeds=1)
    [slow] = records_of({"slow": ARMS["slow"]}, seeds=1)
    sizes = {"slow": {"wide_weights": 1_234}, "ours": {"wide_weights": 0}}
    run = run_of(reference="", sizes=sizes)
    found = summary_of(evaluation_of([dataclasses.replace(ours, nights=ended), slow], run))
    record_results(found, path)
    nights = read_results(path)["ml-100k"]["nights"]
    assert nights == {
        "ours": {
            "count": 3, "published": 1, "refused": 1, "nothing_new": 1,
            "skipped": 0, "failed": {"quality": 1, "drift": 1},
            "seconds": 180.0, "cpu_seconds": 270.0,
        }
    }  # fmt: skip
    page = path.with_suffix(".md").read_text("utf-8")
    assert "| `ours` | 3 | 1 of 2 | quality 1, drift 1 | 3 min | 4 min 30 s | 0 |" in page
    assert "| `slow` |  |  |  |  |  | 1,234 |" in page


def test_entries_without_differences_and_nights_are_shown_all_the_same(summary, tmp_path):
    path = tmp_path / "results.json"
    record_results(summary, path)
    entry = read_results(path)["ml-100k"]
    for name in ("against", "nights", "sizes"):
        del entry[name]
    page = results_markdown({"ml-100k": entry})
    assert "processor time" not in page
    assert "last third" not in page


def test_the_page_shows_how_quality_grows_with_what_is_known(summary, tmp_path):
    path = tmp_path / "results.json"
    record_results(summary, path)
    points = read_results(path)[summary["protocol"]]["curves"]["actor_events"]
    assert sum(point["n"] for point in points) == summary["questions"]
    whole = sum(point["n"] * point["arms"]["ours"] for point in points) / summary["questions"]
    assert whole == pytest.approx(summary["arms"]["ours"]["ndcg@10"]["mean"], abs=1e-3)
    page = path.with_suffix(".md").read_text("utf-8")
    first = points[0]
    assert f"| arm | {first['label']} ({first['n']:,})" in page
    assert f"| `ours` | {number(first['arms']['ours'])} |" in page


def test_the_page_says_when_nothing_was_recorded():
    assert "Nothing has been recorded yet." in results_markdown({})


def test_the_terminal_shows_every_arm_with_coverage_and_the_difference(summary, capsys):
    terminal_table(summary, Console())
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("ml-100k: 600 questions of ")
    assert lines[1].split("  ")[0] == "arm"
    assert "Coverage@10" in lines[1]
    assert "NDCG@10 − ease" in lines[1]
    arms = [line.split()[0] for line in lines[2:-1]]
    assert arms == list(summary["arms"])
    ours = summary["details"]["ours"]["to_reference"]["ndcg@10"]
    assert f"{signed(ours['mean'])} [{number(ours['low'])}, {number(ours['high'])}]" in lines[2]
    assert "±" in lines[2]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0886, ".0886"), (-0.0123, "−.0123"), (1.0, "1.0000"), (-0.00001, ".0000"), (None, "–"),
     (float("nan"), "–"), (12.3, "12.3000")],
)  # fmt: skip
def test_numbers_have_four_places_and_no_leading_zero(value, text):
    assert number(value) == text


def test_signs_durations_and_names():
    assert (signed(0.5), signed(-0.5), signed(float("nan"))) == ("+.5000", "−.5000", "–")
    spans = {0.44: "0.4 s", 9.97: "10 s", 59.6: "1 min", 185: "3 min 5 s", 8_040: "2 h 14 min"}
    assert {seconds: duration(seconds) for seconds in spans} == spans
    assert duration(7_200) == "2 h"
    assert metric_name("ndcg@10") == "NDCG@10"
    assert metric_name("novelty@5") == "novelty@5"
