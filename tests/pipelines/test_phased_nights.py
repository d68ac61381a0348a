"""Nights that learn in two phases, as the command that people run."""

import json
import subprocess
import sys

import numpy as np
import pytest

from model.interactions import ItemChange
from model.storage.registry import Registry
from model.workspace import Workspace
from tests.nights import LATER_MS, append
from tests.worlds import ratings

pytestmark = pytest.mark.tf

N_ITEMS = 40


def night(home, **settings):
    path = Workspace(home).config_path
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    path.write_text(path.read_text("utf-8") + "".join(lines), encoding="utf-8")
    shelves = [
        ItemChange(f"i{n}", {"genres": (("even", "odd")[n % 2],), "shelf": f"s{n % 5}"})
        for n in range(N_ITEMS)
    ]
    day = ratings(np.random.default_rng(1), n_users=80, per_user=16, start_ms=LATER_MS, prefix="n1")
    append(home, [*shelves, *day])
    command = [sys.executable, "-m", "pipelines", "consolidate", "--home", str(home), "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("phases", ["category", "placebo"])
def test_a_night_in_two_phases_tells_its_curves_and_where_it_switched(tiny_home, phases):
    # whether so small a night is good enough is for the tests of gates to say
    gates = {"max_quality_loss": 0.5, "max_forgetting": 0.5}
    done = night(tiny_home, phases=phases, category="shelf", **gates)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["verdict"] == "published"
    told = report["phases"]
    manifest = Registry(Workspace(tiny_home).models).manifest(report["version"])
    assert manifest["training"]["phases"] == told
    assert manifest["night"]["phases"] == phases
    assert (told["category"], told["categories"]) == ("shelf", 5)
    counts, selection = report["counts"], report["selection"]
    assert selection["watched"] == round((selection["watched"] + counts["learned"]) / 10)
    assert 0 < told["heavier"] < counts["learned"]
    steps = [check["step"] for check in told["checks"]]
    assert steps[0] == 0
    assert len(steps) > 4
    assert told["switch"] is None or told["switch"] in steps
    assert "In two phases by shelf" in done.stdout
    for check in told["checks"]:
        assert 0 < check["category_entropy"] <= np.log(5)
        assert check["execution"] > 0
        assert check["planning"] > 0
        assert 0 <= check["calibration"] <= 1


def test_a_night_without_categories_says_what_to_name(tiny_home):
    done = night(tiny_home, phases="category")
    assert done.returncode == 2
    assert "night.category" in done.stderr
    assert "Traceback" not in done.stderr
