import numpy as np
import pytest

from model.errors import CorruptBundleError, NoModelError, NotFoundError
from model.interactions import ItemChange
from model.slow.bundle import Bundle, write_bundle
from model.storage.event_log import open_log
from model.storage.registry import Registry
from model.workspace import Workspace
from pipelines import models
from pipelines.console import Console
from pipelines.strongest_crosses import in_words
from tests.pipelines.writing import NOW_MS, SILENT
from tests.tiny_model import tiny_model


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def publish(workspace, content):
    registry = Registry(workspace.models)
    with registry.stage() as staged:
        (staged / "weights.bin").write_bytes(content)
        manifest = {"kind": "train", "trained_through_seq": 7, "metrics": {"ndcg": 0.25}}
        return registry.publish(staged, manifest, created_ms=NOW_MS)


def test_versions_are_listed_with_the_served_one_marked(workspace, capsys):
    versions = [publish(workspace, content) for content in (b"one", b"two")]
    shown = models.show_all(workspace, console=Console())
    assert shown["current"] == versions[1]
    assert [manifest["version"] for manifest in shown["versions"]] == versions
    lines = capsys.readouterr().out.splitlines()
    assert [line.startswith("→") for line in lines] == [False, False, True]
    assert "2025-06-15 15:06:40 UTC" in lines[1]


def test_a_workspace_without_models_says_so(workspace, capsys):
    assert models.show_all(workspace, console=Console()) == {"current": None, "versions": []}
    assert "slowwave train" in capsys.readouterr().out
    with pytest.raises(NotFoundError, match="no model is published"):
        models.show(workspace, version=None, console=SILENT)
    with pytest.raises(NoModelError):
        models.rollback(workspace, version=None, console=SILENT)


def publish_model(workspace, weights=None):
    """A model with random crosses, or with these weights for its first ones and 0 elsewhere."""
    bundle = tiny_model().bundle
    if weights is not None:
        kept = np.zeros_like(bundle.parameters["wide_weights"])
        kept[: len(weights)] = weights
        parameters = {**bundle.parameters, "wide_weights": kept}
        bundle = Bundle(bundle.space, parameters, bundle.calibration)
    registry = Registry(workspace.models)
    with registry.stage() as staged:
        write_bundle(bundle, staged)
        manifest = {"kind": "train", "metrics": {"ndcg": 0.25}}
        return bundle, registry.publish(staged, manifest, created_ms=NOW_MS)


def test_a_version_shows_its_manifest(workspace, capsys):
    (_, first), (_, second) = publish_model(workspace), publish_model(workspace, [0.5])
    assert models.show(workspace, version=first, console=SILENT)["current"] is False
    shown = models.show(workspace, version=None, console=Console())
    assert (shown["version"], shown["current"]) == (second, True)
    assert "metrics:\n  ndcg: 0.25\n" in capsys.readouterr().out


def test_a_version_shows_its_strongest_crosses_in_words_and_largest_first(workspace, capsys):
    bundle, _ = publish_model(workspace, [0.25, -0.75, 0.5])
    log = open_log(workspace.log_path)
    first_items = bundle.parameters["wide_items"][:3]
    row = int(np.searchsorted(bundle.parameters["wide_indptr"], 0, side="right") - 1)
    feature, value = bundle.space.row_words(row)
    item = bundle.space.items.term(int(first_items[1]))
    log.append([ItemChange(item, {"title": "The Film"})], received_ms=NOW_MS)
    log.close()
    shown = models.show(workspace, version=None, console=Console())["strongest_crosses"]
    assert [cross["weight"] for cross in shown[:3]] == [-0.75, 0.5, 0.25]
    assert (shown[2]["feature"], shown[2]["value"]) == (feature, value)
    assert shown[0]["item_id"] == item
    printed = capsys.readouterr().out
    assert "strongest crosses, in log-odds:\n" in printed
    assert "avoids The Film: -0.75\n" in printed
    assert f"chooses {bundle.space.items.term(int(first_items[2]))}: +0.50\n" in printed


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        ("liked", "who liked Title of a chooses Title of b: +1.00"),
        ("disliked", "who disliked Title of a chooses Title of b: +1.00"),
        ("last", "who came from Title of a chooses Title of b: +1.00"),
        ("user.job", "user.job=a chooses Title of b: +1.00"),
    ],
)
def test_each_kind_of_cross_has_its_words(feature, words):
    cross = {"feature": feature, "value": "a", "item_id": "b", "weight": 1.0}
    assert in_words(cross, "Title of {}".format) == words


def test_showing_a_version_verifies_its_files(workspace):
    version = publish(workspace, b"one")
    (workspace.models / version / "weights.bin").write_bytes(b"two")
    with pytest.raises(CorruptBundleError):
        models.show(workspace, version=version, console=SILENT)


def test_rolling_back_serves_the_version_before_or_the_named_one(workspace):
    first, second = publish(workspace, b"one"), publish(workspace, b"two")
    back = models.rollback(workspace, version=None, console=SILENT)
    assert back == {"current": first, "before": second}
    models.rollback(workspace, version=second, console=SILENT)
    assert Registry(workspace.models).current() == second


@pytest.mark.parametrize("version", ["v9999-00000000", "../../etc", ""])
def test_an_unknown_version_is_not_found(workspace, version):
    publish(workspace, b"one")
    with pytest.raises(NotFoundError):
        models.rollback(workspace, version=version, console=SILENT)
