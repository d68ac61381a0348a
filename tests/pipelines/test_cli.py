import json
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from pipelines.cli import main
from tests.pipelines.writing import interactions, write_files

GOOD = interactions("u,i,click,,1704067200")


def run(*arguments, **options):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **options)


def result(done):
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


def commands(group=main, path=()):
    """Every command with its path, groups left out."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


def test_the_commands_are_those_of_the_manual():
    assert {" ".join(path) for path in COMMANDS} >= {
        "import", "train", "serve", "consolidate", "models list", "models show",
        "models rollback", "keys create", "keys list", "keys revoke", "demo", "bench",
    }  # fmt: skip


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_a_home_and_a_json_line(path):
    shown = run(*path, "--help")
    assert shown.exit_code == 0
    assert "--home" in shown.output
    assert "SLOWWAVE_HOME" in shown.output
    assert "--json" in shown.output


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_first_line_of_help_is_whole_in_the_list_of_commands(path):
    assert not COMMANDS[path].get_short_help_str(60).endswith("...")


def test_import_prints_its_report_as_the_last_line(tmp_path):
    folder = write_files(tmp_path / "data", {"interactions.csv": GOOD + "bad\n"})
    done = run("import", folder, "--home", tmp_path / "home", "--json")
    report = result(done)
    assert (report["events"], report["n_bad_rows"]) == (1, 1)
    assert report["bad_rows"] == [
        {
            "file": "interactions.csv",
            "line": 3,
            "code": "wrong_width",
            "reason": "expected 5 fields, got 1",
        }
    ]
    assert "interactions.csv line 3: expected 5 fields, got 1" in done.stderr


def test_the_home_comes_from_the_environment_or_lies_here(tmp_path, monkeypatch):
    folder = write_files(tmp_path / "data", {"interactions.csv": GOOD})
    run("import", folder, env={"SLOWWAVE_HOME": str(tmp_path / "elsewhere")})
    assert (tmp_path / "elsewhere" / "events.db").exists()
    monkeypatch.chdir(tmp_path)
    run("import", folder)
    assert (tmp_path / "slowwave-data" / "events.db").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "missing"], "does not exist"),
        (["import", "."], "holds no known data set"),
        (["import", ".", "--format", "netflix"], "Invalid value for '--format'"),
        (["import"], "Missing argument 'PATH'"),
        (["train", "--until", "2024-01-01"], "must carry a time zone"),
        (["train", "--until", "soon"], "must be ISO 8601"),
        (["models", "rollback"], "no model"),
        (["models", "show", "v9999-00000000"], "no model version"),
        (["keys", "revoke", "key-1"], "no API key has the id"),
        (["keys", "create", "shop", "--scope", "root"], "Invalid value for '--scope'"),
        (["serve", "--port", "70000"], "Invalid value for '--port'"),
        (["bench", "everything"], "Invalid value for"),
        (["nonsense"], "No such command"),
    ],
)
def test_bad_usage_and_bad_input_end_with_2_and_one_message(
    tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output


def test_strict_refuses_with_2(tmp_path):
    folder = write_files(tmp_path / "data", {"interactions.csv": GOOD + "bad\n"})
    done = run("import", folder, "--home", tmp_path / "home", "--strict")
    assert done.exit_code == 2
    assert "interactions.csv line 3" in done.stderr


def test_a_disk_that_cannot_be_written_ends_with_1_and_one_message(tmp_path):
    # a file stands where a folder has to be made; root may write anywhere else
    (tmp_path / "file").write_text("")
    done = run("keys", "create", "shop", "--home", tmp_path / "file" / "home")
    assert done.exit_code == 1
    assert "Not a directory" in done.stderr


def test_keys_are_made_listed_and_revoked(tmp_path):
    home = ("--home", tmp_path, "--json")
    made = json.loads(
        run("keys", "create", "shop", "--scope", "write", *home).stdout.splitlines()[-1]
    )
    assert made["scopes"] == ["write"]
    listed = json.loads(run("keys", "list", *home).stdout.splitlines()[-1])
    assert [key["id"] for key in listed["keys"]] == [made["id"]]
    assert run("keys", "revoke", made["id"], *home).exit_code == 0
    assert json.loads(run("keys", "list", *home).stdout.splitlines()[-1]) == {"keys": []}


LIGHT = ("models list", "keys list", "--help", "import --help", "train --help", "--version")


@pytest.mark.parametrize("arguments", LIGHT)
def test_light_commands_load_neither_tensorflow_nor_parquet_nor_the_service(tmp_path, arguments):
    code = (
        "import sys\nfrom pipelines.cli import main\n"
        f"try: main({arguments.split()!r})\nexcept SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'pyarrow', 'rich', 'fastapi', 'service'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = os.environ | {"SLOWWAVE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)


def test_serve_hands_its_options_to_the_service(tmp_path):
    # what the service itself refuses, it must have been told
    command = [sys.executable, "-m", "pipelines", "serve", "--home", str(tmp_path)]
    environment = os.environ | {"SLOWWAVE_AUTH": "off"}
    done = subprocess.run(
        [*command, "--host", "0.0.0.0"],  # noqa: S104 (it is refused)
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Usage: python -m service" in done.stderr
    assert "host 0.0.0.0 can be reached by others" in done.stderr


def test_python_m_pipelines_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "--version"], capture_output=True, text=True, check=True
    )
    assert "version" in done.stdout
