"""The documentation is complete: what can be called, typed or set is named where people look."""

import dataclasses
import re
from typing import get_type_hints

import click
import pytest

from model.workspace import Config
from pipelines.cli import main
from service.app import create_app
from service.settings import Settings, load_settings
from tests.repository import ROOT, shown, tracked_files

README = (ROOT / "README.md").read_text("utf-8")
PAGES = [path for path in tracked_files() if path.suffix == ".md"]
ALL_PAGES = "\n".join(path.read_text("utf-8") for path in PAGES)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def sub_commands(group, prefix):
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from sub_commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}"


def config_keys():
    for section, table in get_type_hints(Config).items():
        for key in dataclasses.fields(table):
            if key.name != "rules":  # a table per event type, not a key
                yield f"{section}.{key.name}"


def environment_variables():
    """Names that the settings make, and names that any file of the project spells out."""
    prefix = str(Settings.model_config["env_prefix"])
    names = {f"{prefix}{name}".upper() for name in Settings.model_fields}
    for path in tracked_files():
        if path.suffix != ".md":
            names.update(re.findall(rf"\b{prefix}[A-Z][A-Z_]*[A-Z]\b", path.read_text("utf-8")))
    return sorted(names)


@pytest.mark.parametrize("command", list(sub_commands(main, "slowwave")))
def test_the_readme_names_every_sub_command(command):
    assert re.search(rf"{command}\b", README), f"`{command}` is not in the README"


@pytest.mark.parametrize("name", environment_variables())
def test_the_readme_names_every_environment_variable(name):
    assert re.search(rf"\b{name}\b", README), f"{name} is not in the README"


def test_the_readme_names_every_route(tmp_path):
    app = create_app(load_settings(home=tmp_path))
    paths = app.openapi()["paths"]
    assert "/recommend" in paths
    missing = [path for path in paths if not re.search(rf"{re.escape(path)}(?![\w/{{-])", README)]
    assert missing == []


@pytest.mark.parametrize("setting", list(config_keys()))
def test_the_documentation_names_every_configuration_key(setting):
    section, key = setting.split(".")
    assert f"[{section}" in ALL_PAGES
    assert re.search(rf"\b{key}\b", ALL_PAGES), f"{key} of [{section}] is not documented"


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_relative_link_leads_to_a_file(page):
    targets = [link.split("#")[0] for link in LINK.findall(page.read_text("utf-8"))]
    local = [target for target in targets if target and "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("command", ["make demo", "make test", "make install"])
def test_the_readme_shows_how_to_begin(command):
    assert command in README
