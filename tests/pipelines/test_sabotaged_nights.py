"""Nights that somebody sabotaged: what would do harm is refused, what would not may pass.

`python -m tests.nights` is the long form.
"""

import shutil

import pytest

from model.storage.registry import Registry
from model.workspace import Workspace
from tests.nights import KINDS, append, flipped, harm, honest, make_home, night

pytestmark = pytest.mark.tf

REFUSED = {
    "flipped labels": {"old_calibration", "drift"},
    "flipped labels till noon": {"quality", "calibration"},
    "bot flood": {"old_calibration", "drift"},
    "one category only": {"drift"},
    "corrupt metadata": {"old_calibration", "drift"},
}
HARMLESS = ("honest", "half of the data lost", "clock jump")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("lab") / "home"
    make_home(home)
    return home


@pytest.fixture
def home(lab, tmp_path):
    return shutil.copytree(lab, tmp_path / "home")


def test_every_kind_of_night_is_tried_here_or_as_a_command():
    # the exploding step is tried where the command is
    assert set(KINDS) == {*REFUSED, *HARMLESS, "exploding step", "empty log"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_a_harmful_candidate_is_refused(home, kind):
    served = Registry(Workspace(home).models).current()
    report = night(home, kind, 0)
    assert report["verdict"] == "refused"
    assert {v["name"] for v in report["verdicts"] if not v["passed"]} >= REFUSED[kind]
    quality, loss = harm(home, report)
    assert quality < -0.01 or loss > 0.01
    assert Registry(Workspace(home).models).current() == served


@pytest.mark.slow
@pytest.mark.parametrize("kind", HARMLESS)
def test_a_candidate_that_is_better_in_truth_is_published(home, kind):
    report = night(home, kind, 0)
    assert report["verdict"] == "published", report["reasons"]
    quality, loss = harm(home, report)
    assert quality > 0.0
    assert loss < 0.0


def test_an_empty_day_is_no_night(home):
    assert night(home, "empty log", 0)["verdict"] == "nothing_new"


def test_two_refusals_in_a_row_raise_the_alarm(home):
    for seed, expected in ((0, 1), (1, 2)):
        append(home, [flipped(event) for event in honest(seed)])
        report = night(home, "empty log", seed)
        assert (report["verdict"], report["refused_in_a_row"]) == ("refused", expected)
        assert report["alarm"] == (expected >= 2)
