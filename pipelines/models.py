"""Looking at the registry of models and rolling it back."""

from typing import Any, Final

from model.acceptance import moment
from model.errors import NotFoundError
from model.slow.bundle import load_bundle
from model.storage.registry import Registry
from model.workspace import Workspace
from pipelines.console import Console
from pipelines.strongest_crosses import in_words, strongest, titles

_MOST_CROSSES: Final = 10


def show_all(workspace: Workspace, *, console: Console) -> dict[str, Any]:
    """Lists the published versions, oldest first.

    Raises:
      CorruptBundleError: If a manifest cannot be read.
    """
    registry = Registry(workspace.models)
    current = registry.current()
    manifests = [registry.manifest(version) for version in registry.versions()]
    if not manifests:
        console.message(f"No models in {workspace.models}; `slowwave train` makes the first.")
    else:
        console.table(
            ("", "version", "made by", "created", "parent", "log position"),
            [
                (
                    "→" if manifest["version"] == current else "",
                    manifest["version"],
                    manifest.get("kind"),
                    moment(int(manifest["created_ms"])),
                    manifest.get("parent"),
                    manifest.get("trained_through_seq"),
                )
                for manifest in manifests
            ],
        )
    return {"current": current, "versions": manifests}


def show(workspace: Workspace, *, version: str | None, console: Console) -> dict[str, Any]:
    """Shows a version's manifest and its strongest crosses, after its files were verified.

    Args:
      workspace: Whose model.
      version: Which one; None for the one that is served.
      console: Where to show it.

    Raises:
      NotFoundError: If there is no such version.
      CorruptBundleError: If a file is not what the manifest says.
    """
    registry = Registry(workspace.models)
    name = version or registry.current()
    if name is None:
        raise NotFoundError(f"no model is published in {workspace.models}")
    folder, manifest = registry.open(name), registry.manifest(name)
    for key, value in manifest.items():
        if isinstance(value, dict):
            console.message(f"{key}:")
            for inner, part in value.items():
                console.message(f"  {inner}: {part}")
        else:
            console.message(f"{key}: {value}")
    crosses = strongest(load_bundle(folder), _MOST_CROSSES)
    if crosses:
        title = titles(workspace)
        console.message("strongest crosses, in log-odds:")
        for cross in crosses:
            console.message(f"  {in_words(cross, title)}")
    return {
        **manifest,
        "current": name == registry.current(),
        "strongest_crosses": crosses,
    }


def rollback(workspace: Workspace, *, version: str | None, console: Console) -> dict[str, Any]:
    """Makes an older version the served one; running services follow by themselves.

    Args:
      workspace: Whose models.
      version: Which one; None for the one that served before the current one.
      console: Where to tell it.

    Raises:
      NotFoundError: If there is no such version, or none before.
      NoModelError: If nothing is published.
      CorruptBundleError: If its files are not what its manifest says.
    """
    registry = Registry(workspace.models)
    before = registry.current()
    now = registry.rollback(version)
    console.message(f"{now} is served from now on, in place of {before}.")
    return {"current": now, "before": before}
