import threading
import time
from contextlib import closing

import httpx

from model.files import write_atomically
from model.storage.event_log import open_log
from model.storage.registry import Registry
from model.workspace import Workspace
from pipelines.benchmark.swap import make_current_a_damaged_copy, publish_again
from tests.service.conftest import serving, wait_until


def version_of(client):
    return client.get("/recommend/u1").json().get("model_version")


def test_the_manifest_of_the_serving_model_is_shown(tiny_home, client):
    registry = Registry(Workspace(tiny_home).models)
    answer = client.get("/models/current")
    assert answer.status_code == 200
    assert answer.json() == registry.manifest(registry.current() or "")


def test_ready_names_the_version_and_the_log_position(client):
    event = {"event_type": "view", "user_id": "u", "item_id": "i1"}
    seq = client.post("/events", json=event).json()["last_seq"]
    said = client.get("/health/ready").json()
    assert said["status"] == "ready"
    assert said["model_version"] == client.get("/models/current").json()["version"]
    assert said["memory_as_of"] >= seq
    assert said["refused"] is None


def test_without_a_model_the_service_takes_events_and_waits_for_one(tiny_home):
    models = Workspace(tiny_home).models
    models.rename(tiny_home / "elsewhere")
    with serving(tiny_home) as client:
        for path in ("/health/ready", "/recommend/u1", "/models/current"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "no_model")
            assert int(answer.headers["Retry-After"]) > 0
            assert "X-Model-Version" not in answer.headers
        assert client.get("/health/live").status_code == 200
        event = {"event_type": "like", "user_id": "u1", "item_id": "brand new"}
        seq = client.post("/events", json=event).json()["last_seq"]
        (tiny_home / "elsewhere").rename(models)
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        assert client.get("/recommend/u1").json()["memory_as_of"] >= seq


def test_a_service_without_any_workspace_starts_and_is_not_ready(tmp_path):
    with serving(tmp_path / "new" / "home") as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 503


def test_versions_come_break_and_go_back_under_load_without_a_failed_request(tiny_home):
    with serving(tiny_home) as client:
        first = version_of(client)
        stop = threading.Event()
        answers, taken = [], []

        def ask_on_and_on(number):
            with httpx.Client(base_url=client.base_url, timeout=20) as own:
                while not stop.is_set():
                    answers.append(own.post("/recommend", json={"user_id": f"u{number}"}))
                    event = {"event_type": "view", "user_id": f"u{number}", "item_id": "i1"}
                    taken.append(own.post("/events", json=event).json()["accepted"])

        threads = [threading.Thread(target=ask_on_and_on, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        second = publish_again(Workspace(tiny_home))
        wait_until(lambda: version_of(client) == second)
        damaged = make_current_a_damaged_copy(Workspace(tiny_home))
        wait_until(lambda: (client.get("/health/ready").json()["refused"] or {}) != {})
        assert client.get("/health/ready").json()["refused"]["version"] == damaged
        assert version_of(client) == second
        assert client.post("/admin/rollback", json={"version": first}).is_success
        wait_until(lambda: version_of(client) == first)
        third = publish_again(Workspace(tiny_home))
        wait_until(lambda: version_of(client) == third)
        time.sleep(0.05)
        stop.set()
        for thread in threads:
            thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["model_version"] for answer in answers} == {first, second, third}
    for answer in answers:
        assert answer.headers["X-Model-Version"] == answer.json()["model_version"]
        assert len(answer.json()["items"]) == 10
    assert set(taken) == {1}
    with closing(open_log(Workspace(tiny_home).log_path)) as log:
        views = [row for row in log.tail(0, limit=10**6) if row.event_type == "view"]
    assert len(views) == len(taken)


def test_the_new_version_knows_what_was_learned_under_the_old_one(tiny_home):
    with serving(tiny_home) as client:
        best = client.get("/recommend/newcomer").json()["items"][0]["item_id"]
        event = {"event_type": "like", "user_id": "newcomer", "item_id": best}
        client.post("/events", json=event)
        before = client.get("/recommend/newcomer").json()
        published = publish_again(Workspace(tiny_home))
        wait_until(lambda: version_of(client) == published)
        after = client.get("/recommend/newcomer").json()
    assert [item["item_id"] for item in after["items"]] == [
        item["item_id"] for item in before["items"]
    ]
    assert after["memory_as_of"] == before["memory_as_of"]


def test_a_damaged_new_version_is_refused_and_the_old_one_serves(tiny_home):
    with serving(tiny_home) as client:
        before = version_of(client)
        damaged = make_current_a_damaged_copy(Workspace(tiny_home))
        wait_until(lambda: client.get("/health/ready").json()["refused"] is not None)
        said = client.get("/health/ready").json()
        assert said["refused"] == {"version": damaged, "code": "corrupt_bundle"}
        assert said["model_version"] == version_of(client) == before
        failures = 'slowwave_model_load_failures_total{code="corrupt_bundle"} 1.0'
        assert failures in client.get("/metrics").text
        write_atomically(Workspace(tiny_home).models / "CURRENT", before.encode())
        wait_until(lambda: client.get("/health/ready").json()["refused"] is None)
        assert version_of(client) == before


def test_a_sound_version_that_makes_no_sense_is_refused_and_the_old_one_serves(tiny_home):
    registry = Registry(Workspace(tiny_home).models)
    with serving(tiny_home) as client:
        before = version_of(client)
        with registry.stage() as staged:
            (staged / "nonsense.txt").write_text("no model at all")
            published = registry.publish(staged, {}, created_ms=1_780_000_000_000)
        wait_until(lambda: client.get("/health/ready").json()["refused"] is not None)
        assert client.get("/health/ready").json()["refused"]["version"] == published
        assert version_of(client) == before


def test_a_damaged_only_version_is_told_and_repaired_by_the_next(tiny_home):
    make_current_a_damaged_copy(Workspace(tiny_home))
    with serving(tiny_home) as client:
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "no_model")
        assert "corrupt_bundle" in answer.json()["detail"]
        Registry(Workspace(tiny_home).models).rollback(to=next(iter(sound_versions(tiny_home))))
        wait_until(lambda: client.get("/health/ready").status_code == 200)


def sound_versions(home):
    return [name for name in Registry(Workspace(home).models).versions() if "v0009" not in name]


def test_a_pointer_that_leads_nowhere_is_refused_and_the_old_one_serves(tiny_home):
    with serving(tiny_home) as client:
        before = version_of(client)
        write_atomically(Workspace(tiny_home).models / "CURRENT", b"../../etc")
        wait_until(lambda: client.get("/health/ready").json()["refused"] is not None)
        assert version_of(client) == before


def test_a_rollback_is_followed(tiny_home):
    with serving(tiny_home) as client:
        before = version_of(client)
        published = publish_again(Workspace(tiny_home))
        wait_until(lambda: version_of(client) == published)
        Registry(Workspace(tiny_home).models).rollback()
        wait_until(lambda: version_of(client) == before)
