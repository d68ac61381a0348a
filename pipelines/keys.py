"""Making, listing and revoking the API keys of a workspace."""

import secrets
from typing import Any

from model.acceptance import moment
from model.storage.api_keys import KEY_BYTES, ApiKey, load_keys, new_key, save_keys
from model.storage.locks import flocked
from model.workspace import Workspace
from pipelines.console import Console


def create(
    workspace: Workspace, *, name: str, scopes: frozenset[str], now_ms: int, console: Console
) -> dict[str, Any]:
    """Makes a key, stores its hash and shows it: this is the only time that it can be seen.

    Raises:
      BadInputError: If the name or a scope is not valid, or `keys.json` is damaged.
    """
    presented, key = new_key(name, scopes, secrets.token_bytes(KEY_BYTES), now_ms)
    workspace.home.mkdir(parents=True, exist_ok=True)
    with flocked(workspace.home, wait=True):
        save_keys(load_keys(workspace.keys_path).with_key(key), workspace.keys_path)
    console.message(f"{key.key_id} for {name} may {', '.join(sorted(scopes))}.")
    console.message(f"The key, shown this once: {presented}")
    return {**_as_json(key), "key": presented}


def show_all(workspace: Workspace, *, console: Console) -> dict[str, Any]:
    """Lists the keys, without what is secret about them.

    Raises:
      BadInputError: If `keys.json` is damaged.
    """
    keys = load_keys(workspace.keys_path).keys
    if not keys:
        console.message(f"No API keys in {workspace.keys_path}.")
    else:
        console.table(
            ("id", "name", "scopes", "created"),
            [(k.key_id, k.name, ",".join(sorted(k.scopes)), moment(k.created_ms)) for k in keys],
        )
    return {"keys": [_as_json(key) for key in keys]}


def revoke(workspace: Workspace, *, key_id: str, console: Console) -> dict[str, Any]:
    """Forgets a key; running services refuse it within a second or so.

    Raises:
      NotFoundError: If there is no such key.
      BadInputError: If `keys.json` is damaged.
    """
    path = workspace.keys_path
    # refuses an unknown id before there is a folder to lock
    load_keys(path).without(key_id)
    with flocked(workspace.home, wait=True):
        save_keys(load_keys(path).without(key_id), path)
    console.message(f"{key_id} is revoked; running services refuse it within a second or so.")
    return {"revoked": key_id}


def _as_json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_ms": key.created_ms,
    }
