import dataclasses

import pytest

from model.errors import BadInputError
from pipelines.console import Console
from pipelines.evaluation.compare import changes, compare_runs
from pipelines.evaluation.panel import panel_of
from pipelines.evaluation.record import write_record
from pipelines.evaluation.report.page import write_report
from tests.pipelines.evaluation.made_up import Plan, Quality, records_of, run_of
from tests.pipelines.evaluation.test_report import outline_of

PLAN = Plan()
FIRST = {"ease": Quality(0.30), "slow": Quality(0.3, tilt=0.2), "ours": Quality(0.4, tilt=0.1)}
SECOND = {"ease": Quality(0.30), "ours": Quality(0.55, tilt=0.1), "deep": Quality(0.2)}


def write_run(folder, arms, plan=PLAN):
    records = records_of(arms, plan=plan)
    for record in records:
        name = f"{record.arm}-{record.seed}.npz"
        write_record(record, folder / "records" / record.protocol / name)
    write_report(records, run_of(reference=""), folder / "report.html")
    return folder


def test_equal_questions_are_paired_and_an_unchanged_arm_differs_by_nothing(tmp_path, capsys):
    one, two = write_run(tmp_path / "one", FIRST), write_run(tmp_path / "two", SECOND)
    found = compare_runs(one, two, None, Console())["streams"]["ml-100k"]
    assert found["paired"]
    assert set(found["arms"]) == {"ease", "ours"}
    for metric in ("ndcg@10", "hr@10"):
        assert set(found["arms"]["ease"][metric]["difference"].values()) == {0.0}
        assert found["arms"]["ours"][metric]["difference"]["low"] > 0
    assert (found["only_a"], found["only_b"]) == (["slow"], ["deep"])
    said = capsys.readouterr()
    assert "ml-100k: A, B and B − A" in said.out
    assert "+.0000 [.0000, .0000]" in said.out
    assert "Only in A: slow" in said.out
    assert "Only in B: deep" in said.out
    assert said.err == ""


def test_other_questions_are_compared_unpaired_with_a_note(tmp_path, capsys):
    one = write_run(tmp_path / "one", FIRST)
    two = write_run(tmp_path / "two", FIRST, Plan(questions=500, seed=4))
    found = compare_runs(one, two, tmp_path / "page", Console())["streams"]["ml-100k"]
    assert not found["paired"]
    assert "not asked the same questions (row differs)" in found["note"]
    assert found["note"] in capsys.readouterr().err
    ease = found["arms"]["ease"]["ndcg@10"]
    assert ease["difference"]["low"] < 0 < ease["difference"]["high"]
    assert ease["difference"]["mean"] == pytest.approx(
        ease["b"]["mean"] - ease["a"]["mean"], abs=2e-6
    )
    assert "not paired" in (tmp_path / "page" / "compare.html").read_text("utf-8")


def test_an_unpaired_difference_has_the_spread_of_both_runs():
    panel = panel_of(records_of({"ease": Quality(0.3)}))
    moved = dataclasses.replace(panel.asked, row=panel.asked.row + 1)
    other = dataclasses.replace(panel, asked=moved)
    change = changes(panel, other).changes["ease"]["hr@10"]
    width = change.difference.high - change.difference.low
    assert change.difference.mean == 0.0
    assert width == pytest.approx(2**0.5 * (change.a.high - change.a.low), rel=0.15)


def test_the_page_needs_nothing_but_itself_and_tells_of_both_runs(tmp_path):
    one, two = write_run(tmp_path / "one", FIRST), write_run(tmp_path / "two", SECOND)
    told = compare_runs(one, two, None, Console(quiet=True))
    assert (told["a"]["name"], told["b"]["commit"]) == ("one", "0123abc")
    page = (two / "compare.html").read_text("utf-8")
    assert "http" not in page
    outline = outline_of(page)
    assert outline.seen.count("svg") == 2
    assert "slowwave evaluate ml-100k --seeds 2" in "".join(outline.said)
    assert "Only in A: slow." in page


def test_a_folder_without_records_is_refused(tmp_path):
    one = write_run(tmp_path / "one", FIRST)
    with pytest.raises(BadInputError, match=r"expected records in .*two/records, got none"):
        compare_runs(one, tmp_path / "two", None, Console(quiet=True))


def test_runs_that_share_nothing_are_refused(tmp_path):
    one = write_run(tmp_path / "one", {"ease": FIRST["ease"]})
    two = write_run(tmp_path / "two", {"deep": SECOND["deep"]})
    three = write_run(tmp_path / "three", {"ease": FIRST["ease"]}, Plan(protocol="globo"))
    for other, held in ((two, "ml-100k: deep"), (three, "globo: ease")):
        with pytest.raises(BadInputError, match=held):
            compare_runs(one, other, None, Console(quiet=True))
