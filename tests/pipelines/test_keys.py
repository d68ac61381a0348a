import re
import subprocess
import sys

import pytest

from model.errors import BadInputError, NotFoundError
from model.storage.api_keys import load_keys
from model.workspace import Workspace
from pipelines import keys
from pipelines.console import Console
from tests.pipelines.writing import NOW_MS, SILENT

READ = frozenset({"read"})


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


def make(workspace, name="shop", scopes=READ):
    return keys.create(workspace, name=name, scopes=scopes, now_ms=NOW_MS, console=SILENT)


def test_a_created_key_opens_what_it_was_made_for(workspace):
    scopes = frozenset({"read", "write"})
    made = make(workspace, scopes=scopes)
    assert load_keys(workspace.keys_path).scopes(made["key"]) == scopes
    assert made["key"] not in workspace.keys_path.read_text()


def test_two_keys_are_never_the_same(workspace):
    assert make(workspace)["key"] != make(workspace)["key"]


def test_the_list_shows_no_secret(workspace, capsys):
    made = make(workspace)
    shown = keys.show_all(workspace, console=Console())
    out = capsys.readouterr().out
    assert made["id"] in out
    assert made["key"] not in out
    assert shown["keys"] == [{name: made[name] for name in ("id", "name", "scopes", "created_ms")}]


def test_a_workspace_without_keys_says_so(workspace, capsys):
    assert keys.show_all(workspace, console=Console()) == {"keys": []}
    assert "No API keys" in capsys.readouterr().out


def test_a_revoked_key_opens_nothing(workspace):
    made, other = make(workspace), make(workspace)
    keys.revoke(workspace, key_id=made["id"], console=SILENT)
    ring = load_keys(workspace.keys_path)
    assert ring.scopes(made["key"]) is None
    assert ring.scopes(other["key"]) == READ


def test_revoking_an_unknown_key_makes_no_workspace(workspace):
    with pytest.raises(NotFoundError, match="key-1"):
        keys.revoke(workspace, key_id="key-1", console=SILENT)
    assert not workspace.home.exists()


def test_a_damaged_file_is_not_overwritten(workspace):
    make(workspace)
    workspace.keys_path.write_text("{")
    with pytest.raises(BadInputError, match=r"keys\.json is damaged"):
        make(workspace)
    assert workspace.keys_path.read_text() == "{"


def test_keys_made_at_the_same_time_are_all_kept(workspace):
    code = (
        "import sys; from pathlib import Path; from model.workspace import Workspace\n"
        "from pipelines import keys; from pipelines.console import Console\n"
        "for number in range(20):\n"
        "    keys.create(Workspace(Path(sys.argv[1])), name='x', scopes=frozenset({'read'}),\n"
        "                now_ms=0, console=Console())\n"
    )
    command = [sys.executable, "-c", code, str(workspace.home)]
    makers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    made = [key for maker in makers for key in re.findall(r"sw_\w+", maker.communicate()[0])]
    assert len(made) == 60
    ring = load_keys(workspace.keys_path)
    assert all(ring.scopes(key) == READ for key in made)
