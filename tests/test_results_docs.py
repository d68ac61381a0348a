"""The page of results is what the recorded numbers say, and nothing else."""

from pipelines.evaluation.results import read_results, results_markdown
from tests.repository import ROOT

RECORDED = ROOT / "docs" / "results.json"


def test_the_page_of_results_is_generated_from_the_recorded_numbers():
    assert RECORDED.exists()
    # where they differ, `write_page` of pipelines/evaluation/results.py makes the page anew
    page = RECORDED.with_suffix(".md").read_text("utf-8")
    assert page == results_markdown(read_results(RECORDED))
