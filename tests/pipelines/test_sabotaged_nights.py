"""Nights that somebody sabotaged: what would do harm is refused, what would not may pass.

`python -m tests.nights` is the long form.
"""

import shutil

import pytest

from model.storage.registry import Registry
from model.workspace import Workspace
from tests.nights import append, harm, honest, make_home, night
from tests.sabotage import KINDS, flipped

pytestmark = pytest.mark.tf

REFUSED = ("flipped labels", "flipped labels till noon", "corrupt metadata", "one category only")
# cut to size, judged by others, or without a lie in it: these do no harm that is worth a night
MAY_PASS = ("bot flood", "half of the data lost", "clock jump")
MOST_HARM = 0.05


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
    assert set(KINDS) == {*REFUSED, *MAY_PASS, "honest", "exploding step", "empty log"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_a_night_of_lies_is_refused(home, kind):
    served = Registry(Workspace(home).models).current()
    report = night(home, kind, 0)
    assert report["verdict"] == "refused"
    assert Registry(Workspace(home).models).current() == served


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAY_PASS)
def test_what_a_sabotaged_night_publishes_is_in_truth_no_worse(home, kind):
    report = night(home, kind, 0)
    quality, loss = harm(home, report)
    assert report["verdict"] == "refused" or (quality > -MOST_HARM and loss < MOST_HARM)


@pytest.mark.slow
def test_an_honest_night_is_published_and_better_in_truth(home):
    report = night(home, "honest", 0)
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
