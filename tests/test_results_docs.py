"""The page of results is what the recorded numbers say, and nothing else."""

from pipelines.evaluation.results import read_results, results_markdown
from tests.repository import ROOT

RECORDED = ROOT / "docs" / "results.json"
PAGE = ROOT / "docs" / "results.md"


def test_the_page_of_results_is_generated_from_the_recorded_numbers():
    assert RECORDED.exists()
    assert PAGE.read_text("utf-8") == results_markdown(read_results(RECORDED)), (
        "docs/results.md is not what docs/results.json says; record a run, or generate the page anew"
    )
