import dataclasses
import json
import shutil

import numpy as np
import pytest

from model.consolidation.config import NightConfig
from model.slow.config import SlowConfig
from model.workspace import Config
from pipelines.console import Console
from pipelines.evaluation.chain import Chain, ChainPlan, make_chain
from pipelines.evaluation.sealed_log import write_log
from tests.pipelines.evaluation.streams import world_stream

pytestmark = [pytest.mark.tf]

QUIET = Console(quiet=True)
SLOW = SlowConfig(
    dimensions=8,
    user_dimensions=4,
    attribute_dimensions=4,
    hidden=16,
    history=10,
    wide_history=5,
    cross_min_count=3,
    batch_size=64,
    max_epochs=1,
)
CONFIG = Config(slow=SLOW, night=NightConfig(min_events=20, learning_rate_scale=0.3))
STREAM = dataclasses.replace(world_stream(), config=CONFIG)
# two nights, with enough events between them
STREAM = dataclasses.replace(STREAM, nights=STREAM.nights[[2, -1]])


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A log and the chain that the others start from."""
    folder = tmp_path_factory.mktemp("chain")
    write_log(STREAM, folder / "log.db")
    chain = made(folder / "log.db", folder / "none", "none")
    return folder / "log.db", folder / "none", chain


def made(log, folder, nights, start=None):
    plan = ChainPlan(nights, CONFIG, seed=0)
    return make_chain(STREAM, log, folder, plan, start=start, console=QUIET)


@pytest.fixture(scope="module")
def finetuned(start, tmp_path_factory):
    """The folder of a chain with two nights of fine-tuning."""
    log, folder, _ = start
    path = tmp_path_factory.mktemp("chains") / "finetune"
    made(log, path, "finetune", folder)
    return path


def test_the_first_version_knows_the_bootstrap_part_and_nothing_later(start):
    _, _, chain = start
    manifest = chain.registry.manifest(chain.version(0))
    assert manifest["data"]["events"] == STREAM.bootstrap
    assert manifest["data"]["last_timestamp_ms"] == int(
        STREAM.events.timestamp_ms[STREAM.bootstrap - 1]
    )
    assert len(chain.steps) == 1


def test_finetuning_publishes_a_version_every_night_that_knows_all_events_before_it(finetuned):
    chain = Chain(finetuned)
    assert [step["row"] for step in chain.steps] == [STREAM.bootstrap, *STREAM.nights.tolist()]
    assert len({step["version"] for step in chain.steps}) == 3
    metadata = len(STREAM.item_attributes) + len(STREAM.user_attributes)
    through = [chain.registry.manifest(chain.version(n))["trained_through_seq"] for n in range(3)]
    assert through == [metadata + step["row"] for step in chain.steps]
    assert all(step["seconds"] > 0 and step["cpu_seconds"] > 0 for step in chain.steps)


def test_a_chain_that_was_cut_short_goes_on_and_ends_the_same(start, finetuned, tmp_path):
    """Killed after the version of its last night was published, before that was noted."""
    log, folder, _ = start
    whole = Chain(finetuned)
    shutil.copytree(finetuned, tmp_path / "cut")
    note = tmp_path / "cut" / "chain.json"
    note.write_text(json.dumps(whole.steps[:2]))
    again = made(log, tmp_path / "cut", "finetune", folder)
    assert len(again.steps) == 3
    assert again.steps[2]["verdict"] == "published"
    files = [chain.registry.manifest(chain.version(2))["files"] for chain in (whole, again)]
    assert files[0] == files[1]


def test_of_skipped_nights_nothing_is_learned_and_the_next_one_makes_up_for_them(
    start, finetuned, tmp_path
):
    log, folder, _ = start
    plan = ChainPlan("finetune", CONFIG, seed=0, every=2)
    chain = make_chain(STREAM, log, tmp_path / "less", plan, start=folder, console=QUIET)
    assert [step["verdict"] for step in chain.steps] == ["published", "skipped", "published"]
    assert chain.version(1) == chain.version(0)
    every_night = Chain(finetuned)
    through = [
        one.registry.manifest(one.version(2))["trained_through_seq"] for one in (chain, every_night)
    ]
    assert through[0] == through[1]


def test_the_products_own_night_judges_and_says_why(start, tmp_path):
    log, folder, _ = start
    chain = made(log, tmp_path / "night", "consolidate", folder)
    for step in chain.steps[1:]:
        assert step["verdict"] in {"published", "refused", "nothing_new"}
        assert bool(step["reasons"]) == (step["verdict"] != "published")
    assert len(Chain(tmp_path / "night").steps) == 3


def test_retraining_starts_from_nothing_every_night(start, tmp_path):
    log, folder, _ = start
    stream = dataclasses.replace(STREAM, nights=STREAM.nights[:1])
    plan = ChainPlan("retrain", CONFIG, seed=0)
    chain = make_chain(stream, log, tmp_path / "re", plan, start=folder, console=QUIET)
    manifest = chain.registry.manifest(chain.version(1))
    assert manifest["parent"] is None
    assert manifest["data"]["events"] == int(stream.nights[0])
    assert np.isfinite(manifest["metrics"]["validation"]["ndcg@10"])
