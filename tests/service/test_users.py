import hashlib

import pytest

from model.storage.event_log import open_log
from model.workspace import Workspace
from tests.service.conftest import process, serving, wait_until


def like(client, user_id, *item_ids):
    events = [{"event_type": "like", "user_id": user_id, "item_id": item} for item in item_ids]
    answer = client.post("/events", json={"events": events})
    assert answer.json()["accepted"] == len(item_ids)
    return answer.json()


def test_a_user_that_is_described_is_known(client):
    answer = client.put("/users/known", json={"attributes": {"occupation": "writer", "age": 3}})
    assert answer.json()["seq"] > 0
    assert client.get("/users/known").json() == {
        "user_id": "known",
        "attributes": {"occupation": "writer", "age": 3.0},
    }
    again = client.put("/users/known", json={"attributes": {"age": 3.0, "occupation": "writer"}})
    assert again.json()["seq"] is None


def test_what_is_said_of_a_user_is_reflected_by_the_next_list(client):
    assert client.post("/recommend", json={"user_id": "said"}).json()["fallback"] == "popular"
    client.put("/users/said", json={"attributes": {"occupation": "baker"}})
    assert client.post("/recommend", json={"user_id": "said"}).json()["fallback"] is None


def test_somebody_of_whom_nothing_was_said_is_not_found(client):
    answer = client.get("/users/a stranger")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_patch_changes_what_it_names_and_begins_where_there_is_nothing(client):
    first = client.patch("/users/patched", json={"attributes": {"age": 3, "city": "x"}})
    assert first.json()["attributes"] == {"age": 3.0, "city": "x"}
    second = client.patch("/users/patched", json={"attributes": {"city": None, "new": True}})
    assert second.json()["attributes"] == {"age": 3.0, "new": True}


def test_a_batch_takes_the_good_ones_and_lists_the_others(client):
    users = [{"user_id": "b1", "attributes": {"age": 1}}, {"user_id": ""}, {"user_id": "b2"}]
    answer = client.put("/users", json={"users": users}).json()
    assert (answer["changed"], answer["unchanged"]) == (2, 0)
    assert [(each["index"], each["code"]) for each in answer["rejected"]] == [
        (1, "invalid_user_id")
    ]


def test_what_is_remembered_of_a_user_is_told_newest_first(client):
    like(client, "remembered", "i1", "i2")
    client.post("/events", json={"event_type": "hide", "user_id": "remembered", "item_id": "i3"})
    told = client.get("/users/remembered/memory").json()
    assert told["exemplars"][0]["item_id"] == "i3"
    assert {each["item_id"] for each in told["exemplars"]} == {"i1", "i2", "i3"}
    assert [each["outcome"] for each in told["exemplars"]] == ["failure", "success", "success"]
    assert told["refused_items"] == ["i3"]
    assert all(0 <= each["age_s"] < 60 for each in told["exemplars"])
    assert all(each["surprise_nats"] > 0 for each in told["exemplars"])
    assert all(0 < each["chance"] < 1 for each in told["exemplars"])
    assert told["strength"] > 0
    nothing = client.get("/users/nobody at all/memory").json()
    assert (nothing["exemplars"], nothing["lessons"], nothing["strength"]) == ([], [], 0)


def test_an_erased_user_is_a_stranger_at_once_and_the_receipt_says_what_went(client):
    client.put("/users/leaving", json={"attributes": {"occupation": "baker"}})
    liked = [item["item_id"] for item in client.get("/recommend/leaving?n=3").json()["items"]]
    like(client, "leaving", *liked)
    assert client.get("/recommend/leaving").json()["items"][0]["item_id"] not in liked
    receipt = client.delete("/users/leaving").json()
    assert (receipt["events"], receipt["metadata_changes"], receipt["items"]) == (3, 1, 0)
    assert receipt["user_digest"] == hashlib.sha256(b"leaving").hexdigest()
    assert receipt["seq"] > 0
    reply = client.get("/recommend/leaving").json()
    assert reply["memory_as_of"] >= receipt["seq"]
    assert reply["fallback"] == "popular"
    # the same list, but for what has faded between the two questions
    stranger = client.get("/recommend/a stranger").json()["items"]
    assert [each["item_id"] for each in reply["items"]] == [each["item_id"] for each in stranger]
    scores = [each["score"] for each in stranger]
    assert [each["score"] for each in reply["items"]] == pytest.approx(scores, abs=1e-4)
    assert client.get("/users/leaving/memory").json()["exemplars"] == []
    assert client.get("/users/leaving").status_code == 404


def test_erasing_somebody_unknown_is_no_error_and_the_receipt_says_so(client):
    receipt = client.delete("/users/never was").json()
    assert (receipt["events"], receipt["metadata_changes"], receipt["seq"]) == (0, 0, None)


def test_what_an_erased_user_made_popular_is_forgotten_by_others_too(tiny_home):
    """The memory that others share is built again without the erased events."""
    with serving(tiny_home) as client:
        before = client.get("/popular?window=hour").json()["items"]
        like(client, "loud", *["i39"] * 30)
        loud = client.get("/popular?window=hour").json()["items"]
        assert loud[0]["item_id"] == "i39"
        client.delete("/users/loud")

        def is_forgotten():
            now = client.get("/popular?window=hour").json()["items"]
            return [item["item_id"] for item in now] == [item["item_id"] for item in before]

        wait_until(is_forgotten)
        assert "slowwave_erasures_total 1.0" in client.get("/metrics").text


def test_every_worker_forgets_an_erased_user(tiny_home):
    with process(tiny_home, "--workers", "2") as running:
        clients = [running.client() for _ in range(10)]
        wait_until(lambda: all(c.get("/health/ready").status_code == 200 for c in clients))
        for each in clients:
            like(each, "everywhere", "i1")
            assert each.get("/recommend/everywhere").json()["fallback"] is None
        receipt = clients[0].delete("/users/everywhere").json()
        assert receipt["events"] == 10
        for each in clients:
            reply = each.get("/recommend/everywhere").json()
            assert (reply["fallback"], reply["memory_as_of"] >= receipt["seq"]) == ("popular", True)
            each.close()
    log = open_log(Workspace(tiny_home).log_path)
    assert log.actor_rows("everywhere", log.head()) == []
    log.close()


@pytest.mark.parametrize("call", ["PUT", "PATCH"])
def test_a_bad_description_is_refused_with_its_reason(client, call):
    answer = client.request(call, "/users/bad", json={"attributes": {"x": {}}})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_attributes")
    answer = client.request(call, "/users/bad", json={"hidden": True})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")
