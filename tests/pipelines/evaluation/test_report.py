import dataclasses
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluation.intervals import Estimate
from pipelines.evaluation.report.figures import apart, compact, forest_figure
from pipelines.evaluation.report.findings import compared, findings_of
from pipelines.evaluation.report.page import write_report
from pipelines.evaluation.report.palette import arm_variables, stand_in, tint_of, with_variables
from pipelines.evaluation.summary import evaluation_of
from tests.pipelines.evaluation.made_up import ARMS, Plan, Quality, records_of, run_of

VOID = {"meta", "br"}


class Outline(HTMLParser):
    """Which elements a page has, whether they close in order, and its text."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


def outline_of(text):
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    return outline


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "ml-100k.html"
    summary = write_report(records_of(), run_of(), path)
    return path, summary


@pytest.fixture(scope="module")
def outline(written):
    return outline_of(written[0].read_text("utf-8"))


def test_the_report_needs_nothing_but_itself(written, outline):
    text = written[0].read_text("utf-8")
    assert "http" not in text
    assert "url(" not in re.sub(r"url\(#\w+\)", "", text)
    assert "@import" not in text
    assert {"script", "link", "img", "iframe", "object"} & set(outline.seen) == set()
    leading = [value for name, value in outline.attributes if name in ("href", "src", "xlink:href")]
    assert leading
    assert [value for value in leading if not str(value).startswith("#")] == []
    assert not any(name.startswith("on") for name, _ in outline.attributes)


def test_every_place_the_report_points_to_is_there(outline):
    ids = [value for name, value in outline.attributes if name == "id"]
    pointed = {value for name, value in outline.attributes if name == "href"}
    assert {str(value)[1:] for value in pointed} <= set(ids)


def test_every_figure_has_a_description_and_text_that_can_be_selected(outline):
    figures = outline.seen.count("svg")
    described = [value for name, value in outline.attributes if name == "aria-label"]
    # two forests, two curves, cold start twice, new items by age (too few by events), four
    # diagrams, nights of three arms; and two of the curves for every arm by itself
    assert figures == 2 + 2 + 2 + 1 + 4 + 3 + 2 * len(ARMS)
    assert len(described) == figures
    assert outline.seen.count("text") > 10 * figures


def test_colours_are_variables_of_the_page_in_light_and_dark(written):
    text = written[0].read_text("utf-8")
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert re.findall(r"#[0-9a-f]{6}", drawings) == []
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    light, dark = text.split("@media (prefers-color-scheme: dark){:root{")
    assert {name for name in used if f"{name}:" not in light.replace(" ", "")} == set()
    assert {f"--arm-{n}:" for n in range(len(ARMS))} <= {f"{v}:" for v in used}
    assert all(f"--arm-{n}:" in dark for n in range(len(ARMS)))


def test_the_report_says_what_was_run_and_what_was_found(written, outline):
    text = "".join(outline.said)
    assert "slowwave evaluate ml-100k --seeds 2" in text
    assert "0123abc" in text
    assert "2 cores of a processor, 8 GB" in text
    apart_by = written[1]["details"]["ours"]["to_reference"]["ndcg@10"]["mean"]
    assert f"ours is above ease by +{apart_by:.4f}".replace("+0.", "+.") in text
    for arm in ARMS:
        assert arm in text
    assert "dimensions = 64, dropout = 0.3" in text
    assert "EASE (λ = 300), refit nightly, live history" in text
    assert "Parts taken away or replaced" in text


def test_the_same_numbers_give_the_same_bytes(written, tmp_path):
    again = tmp_path / "again.html"
    write_report(records_of(), run_of(), again)
    assert again.read_bytes() == written[0].read_bytes()


def test_the_summary_lies_beside_the_report_and_keeps_other_streams(written, tmp_path):
    path, summary = written
    assert json.loads((path.parent / "run.json").read_text("utf-8")) == {"ml-100k": summary}
    two = {arm: ARMS[arm] for arm in ("popularity", "ease")}
    write_report(records_of(two), run_of(), tmp_path / "a.html")
    write_report(records_of(two, plan=Plan(protocol="globo")), run_of(), tmp_path / "b.html")
    assert set(json.loads((tmp_path / "run.json").read_text("utf-8"))) == {"ml-100k", "globo"}


def shown_lists():
    plan = Plan(protocol="mind", metrics=("auc", "mrr", "ndcg@5"), blocks=1)
    records = records_of({"slow": Quality(0.4, tilt=0.1), "ease": Quality(0.3)}, 1, plan)
    for record in records:
        for values in record.metrics.values():
            values[: 600 // 24 * 2] = np.nan  # two windows without a number
    return [dataclasses.replace(each, top=np.zeros((600, 0), np.int32)) for each in records]


@pytest.mark.parametrize(
    "records",
    [
        records_of({"ours": ARMS["ours"]}, seeds=1),
        records_of({"popularity": Quality(0.0)}, seeds=1),
        shown_lists(),
        records_of(plan=Plan(protocol="world", metrics=("regret@10", "ndcg@10"))),
        records_of({"ease": ARMS["ease"]}, plan=Plan(questions=1, blocks=1, actors=1)),
    ],
    ids=["one arm", "no hit", "shown lists", "regret", "one question"],
)
def test_a_report_is_written_for_whatever_was_replayed(records, tmp_path):
    write_report(records, run_of(reference=""), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    outline_of(text)
    assert "nan" not in re.findall(r'\bd="[^"]*"', text.lower())


def test_what_comes_from_outside_is_text_and_not_markup(tmp_path):
    run = run_of(
        command="slowwave evaluate '<script>alert(1)</script>'",
        words={"ours": "<b>bold</b>"},
        chosen={"ours": {"gate": "<i>"}},
    )
    write_report(records_of({"ours": ARMS["ours"], "ease": ARMS["ease"]}), run, tmp_path / "r.html")
    outline = outline_of((tmp_path / "r.html").read_text("utf-8"))
    assert {"script", "i"} & set(outline.seen) == set()
    assert "<script>alert(1)</script>" in "".join(outline.said)


def test_parts_with_few_questions_stand_in_tables_and_not_in_figures(written):
    text = written[0].read_text("utf-8")
    few = [part for part in written[1]["slices"]["actor_events"] if part["n"] < 30]
    assert [part["label"] for part in few] == ["21–50"]
    assert "<th>21–50<small>" in text
    [figure] = re.findall(
        r'<svg role="img" aria-label="NDCG@10 by earlier events of the user.*?</svg>',
        text,
        re.DOTALL,
    )
    assert ">11+<" in figure
    assert ">21+<" not in figure


def test_arms_are_named_whole_in_sentences(written):
    text = written[0].read_text("utf-8")
    strong = re.findall(r'<strong style="color:var\(--arm-(\d+)\)">([^<]*)</strong>', text)
    order = list(written[1]["arms"])
    assert strong
    assert [name for number, name in strong if order[int(number)] != name] == []
    assert "slow+fast" in {name for _, name in strong}


def test_a_null_result_is_said_to_be_one():
    assert compared("a", "b", Estimate(0.001, -0.002, 0.004), "ndcg@10") == (
        "open", "a and b cannot be told apart: +.0010 [−.0020, .0040] in NDCG@10.",
    )  # fmt: skip
    assert compared("a", "b", Estimate(0.01, 0.002, 0.02), "ndcg@10")[0] == "good"
    assert compared("a", "b", Estimate(-0.01, -0.02, -0.002), "ndcg@10")[0] == "bad"
    assert compared("a", "b", Estimate(-0.01, -0.02, -0.002), "regret@10")[0] == "good"


def found(arms, **run):
    plan = Plan(questions=4_000)
    evaluation = evaluation_of(records_of(arms, plan=plan), run_of(reference="", **run))
    return {finding.topic: finding for finding in findings_of(evaluation)}


def test_findings_tell_of_the_memory_the_nights_and_the_placebo():
    arms = {
        "popularity": Quality(0.2, cold=1.0),
        "slow": Quality(0.3),
        "slow+retrain": Quality(0.44, nights=8, night_s=30.0),
        "slow+errormemory+finetune": Quality(0.3, nights=8),
        "slow+fast": Quality(0.4),
        "slow+fast-anotheruser": Quality(0.3),
        "ours": Quality(0.44, tilt=0.0, nights=8),
    }
    told = found(arms, words={"slow+fast-anotheruser": "placebo: another user's memory"})
    assert told["Fast memory on over off"].tone == "good"
    assert re.search(r"That is 1\.\d\d times as much", told["Fast memory on over off"].text)
    assert told["Against a memory of errors"].text.startswith("ours is above slow+errormemory")
    assert "over the last third of the stream" in told["Consolidated or never"].text
    assert re.search(r"of its quality at \d+% of its cost", told["Against full retraining"].text)
    assert told["Placebo"].text.startswith("slow+fast is above slow+fast-anotheruser")
    assert "(ECE)" in told["Calibration"].text


def test_a_cold_start_below_popularity_is_told():
    bad = found({"popularity": Quality(0.4, cold=1.0), "ours": Quality(0.5, cold=0.05)})
    assert bad["Cold start"].tone == "bad"
    assert re.search(r"ours is below popularity after 0, 1.* events", bad["Cold start"].text)
    good = found({"popularity": Quality(0.2, cold=1.0), "ours": Quality(0.5, cold=0.8)})
    assert good["Cold start"].tone == "good"


@given(
    wanted=st.lists(st.floats(0, 200), max_size=12).map(sorted),
    gap=st.floats(1, 30),
)
def test_names_at_the_ends_of_lines_never_overlap(wanted, gap):
    places = apart(wanted, gap, 200.0)
    assert len(places) == len(wanted)
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(places))
    if gap * (len(wanted) - 1) <= 100 and all(b - a >= gap for a, b in pairwise(wanted)):
        assert places == pytest.approx(wanted)


def test_a_figure_is_the_same_each_time_and_differs_from_another():
    rows = [("over ease", stand_in(0), Estimate(0.01, -0.01, 0.03))]
    assert forest_figure(rows, "a & b") == forest_figure(rows, "a & b")
    assert 'aria-label="a &amp; b"' in forest_figure(rows, "a & b")
    assert "+.0100 [−.0100, .0300]" in forest_figure(rows, "x")


def test_an_arm_has_its_colour_wherever_it_stands():
    assert "--arm-1:#d1410c;" in arm_variables(["ease", "ours"], dark=False)
    assert "--arm-0:#d1410c;" in arm_variables(["ours", "ease"], dark=False)
    assert tint_of("ours-something") == tint_of("ours-something")
    assert with_variables(f"fill: {stand_in(17)}") == "fill: var(--arm-17)"


def test_counts_are_written_short():
    values = {950: "950", 1_200: "1.2k", 15_400: "15k", 2_000: "2k", 1_300_000: "1.3M"}
    assert {value: compact(value) for value in values} == values


def test_matplotlib_is_loaded_for_a_report_only():
    program = (
        "import sys, pipelines.evaluation.report.page, pipelines.evaluation.compare\n"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
