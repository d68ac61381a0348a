import json
import re
import shutil

import pytest

from model.storage.api_keys import KeyRing, new_key, save_keys
from model.workspace import Workspace
from tests.service.conftest import serving, wait_until

EVENT = {"event_type": "like", "user_id": "u", "item_id": "i1"}
CALLS = {
    "recommend": ("POST", "/recommend", {}, "read", 200),
    "recommend, short form": ("GET", "/recommend/u", None, "read", 200),
    "metrics": ("GET", "/metrics", None, "read", 200),
    "current model": ("GET", "/models/current", None, "read", 200),
    "events": ("POST", "/events", EVENT, "write", 202),
    "feedback": ("POST", "/feedback", EVENT, "write", 202),
    "what became of an event": ("GET", "/events/none", None, "read", 404),
    "similar items": ("GET", "/items/i1/similar", None, "read", 200),
    "popular items": ("GET", "/popular", None, "read", 200),
    "an item": ("GET", "/items/i1", None, "read", 200),
    "an item described": ("PUT", "/items/new", {}, "write", 200),
    "an item changed": ("PATCH", "/items/i1", {}, "write", 200),
    "an item deleted": ("DELETE", "/items/none", None, "write", 404),
    "items described": ("PUT", "/items", {"items": [{"item_id": "new"}]}, "write", 200),
    "a user": ("GET", "/users/u1", None, "read", 200),
    "a user described": ("PUT", "/users/new", {}, "write", 200),
    "a user changed": ("PATCH", "/users/u1", {}, "write", 200),
    "a user erased": ("DELETE", "/users/none", None, "write", 200),
    "users described": ("PUT", "/users", {"users": [{"user_id": "new"}]}, "write", 200),
    "a user's memory": ("GET", "/users/u1/memory", None, "read", 200),
    "models": ("GET", "/models", None, "read", 200),
    "a model": ("GET", "/models/none", None, "read", 404),
    "a model's report": ("GET", "/models/none/report", None, "read", 404),
    "a night": ("POST", "/admin/consolidate", {"dry_run": 3}, "admin", 422),
    "a job": ("GET", "/admin/jobs/none", None, "admin", 404),
    "a roll-back": ("POST", "/admin/rollback", {"version": "none"}, "admin", 404),
}


def make_keys(home):
    """A key for every scope, by scope."""
    ring, presented = KeyRing(), {}
    for number, scope in enumerate(("read", "write", "admin")):
        key, stored = new_key(scope, frozenset({scope}), bytes([number] * 32), 0)
        ring, presented[scope] = ring.with_key(stored), key
    save_keys(ring, Workspace(home).keys_path)
    return presented


@pytest.fixture(scope="module")
def guarded(trained_home, tmp_path_factory):
    """A client of a service that asks for keys, and the keys."""
    home = shutil.copytree(trained_home, tmp_path_factory.mktemp("guarded") / "home")
    keys = make_keys(home)
    with serving(home, auth="on") as client:
        yield client, keys


def call(client, name, key):
    method, path, body, _, _ = CALLS[name]
    headers = {} if key is None else {"X-API-Key": key}
    return client.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize("name", CALLS)
def test_a_key_with_the_scope_is_let_in(guarded, name):
    client, keys = guarded
    *_, scope, status = CALLS[name]
    assert call(client, name, keys[scope]).status_code == status


@pytest.mark.parametrize("name", CALLS)
def test_a_key_without_the_scope_is_forbidden(guarded, name):
    client, keys = guarded
    scope = CALLS[name][3]
    for other in keys.keys() - {scope}:
        answer = call(client, name, keys[other])
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
        assert scope in answer.json()["detail"]


@pytest.mark.parametrize("name", CALLS)
def test_no_key_and_an_unknown_key_are_unauthorised(guarded, name):
    client, keys = guarded
    answer = call(client, name, None)
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_api_key")
    for unknown in ("", "sw_" + "f" * 64, keys["read"] + "x", keys["read"].upper(), "\xe4" * 9_000):
        answer = client.request(
            *CALLS[name][:2], json=CALLS[name][2], headers={b"X-API-Key": unknown.encode("latin-1")}
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "unknown_api_key")


def test_health_needs_no_key(guarded):
    client, _ = guarded
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 200


def test_every_declared_call_but_health_asks_for_a_key(guarded):
    client, _ = guarded
    called = {(method, path.partition("?")[0]) for method, path, *_ in CALLS.values()}
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            answer = client.request(method, re.sub(r"\{\w+\}", "u", path))
            assert (answer.status_code == 401) != path.startswith("/health/"), path
            pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
            tried = any(m == method.upper() and pattern.fullmatch(p) for m, p in called)
            assert tried or path.startswith("/health/"), f"{method} {path} is not in CALLS"


def test_a_workspace_without_keys_lets_nobody_in(tiny_home):
    with serving(tiny_home, auth="on") as client:
        answer = client.post("/recommend", json={}, headers={"X-API-Key": "anything"})
        assert answer.status_code == 401


def test_a_key_that_is_made_or_revoked_while_the_service_runs_counts_soon(tiny_home):
    with serving(tiny_home, auth="on") as client:
        key = make_keys(tiny_home)["read"]
        headers = {"X-API-Key": key}
        wait_until(lambda: client.get("/recommend/u", headers=headers).status_code == 200)
        save_keys(KeyRing(), Workspace(tiny_home).keys_path)
        wait_until(lambda: client.get("/recommend/u", headers=headers).status_code == 401)


def test_a_key_file_that_is_damaged_meanwhile_changes_nothing_and_is_told(tiny_home, caplog):
    headers = {"X-API-Key": make_keys(tiny_home)["read"]}
    with serving(tiny_home, auth="on") as client:
        Workspace(tiny_home).keys_path.write_text("{")

        def is_told():
            assert client.get("/recommend/u", headers=headers).status_code == 200
            return "API keys cannot be read again" in caplog.messages

        wait_until(is_told)


def test_keys_are_nowhere_in_the_logs_or_answers(guarded, caplog):
    client, keys = guarded
    with caplog.at_level("DEBUG"):
        answer = call(client, "events", keys["read"])
        call(client, "recommend", keys["read"])
    said = answer.text + json.dumps([record.__dict__ for record in caplog.records], default=str)
    assert "request" in said
    assert keys["read"] not in said
