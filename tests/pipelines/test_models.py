import pytest

from model.errors import CorruptBundleError, NoModelError, NotFoundError
from model.storage.registry import Registry
from model.workspace import Workspace
from pipelines import models
from pipelines.console import Console
from tests.pipelines.writing import NOW_MS, SILENT


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


def test_a_version_shows_its_manifest(workspace, capsys):
    first, second = publish(workspace, b"one"), publish(workspace, b"two")
    assert models.show(workspace, version=first, console=SILENT)["current"] is False
    shown = models.show(workspace, version=None, console=Console())
    assert (shown["version"], shown["current"]) == (second, True)
    assert "metrics:\n  ndcg: 0.25\n" in capsys.readouterr().out


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
