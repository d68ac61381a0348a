from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest


def put(client, item_id, **metadata):
    answer = client.put(f"/items/{item_id}", json=metadata)
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(client, item_id, **asked):
    """Whether a list of everything holds the item."""
    items = client.post("/recommend", json={"n": 500} | asked).json()["items"]
    return item_id in [item["item_id"] for item in items]


def test_an_item_that_is_described_is_known_and_recommended_at_once(client):
    described = put(client, "new-1", attributes={"genres": ["odd"], "year": 1990, "title": "New"})
    assert described["seq"] > 0
    assert described["attributes"] == {"genres": ["odd"], "year": 1990.0, "title": "New"}
    assert client.get("/items/new-1").json() == {k: v for k, v in described.items() if k != "seq"}
    assert listed(client, "new-1")


def test_the_same_description_again_changes_nothing(client):
    put(client, "same", attributes={"year": 1990})
    assert put(client, "same", attributes={"year": 1990.0})["seq"] is None


def test_a_hidden_item_is_in_no_list_until_it_is_shown_again(client):
    put(client, "hidden-1", hidden=True)
    assert not listed(client, "hidden-1")
    client.patch("/items/hidden-1", json={"hidden": False})
    assert listed(client, "hidden-1")


def test_an_item_is_recommended_while_it_is_available_and_at_no_other_time(client):
    now = datetime.now(UTC)
    begin, end = now + timedelta(hours=1), now + timedelta(hours=2)
    put(client, "show", available_from=begin.isoformat(), available_until=end.timestamp())
    for hours, there in ((0, False), (1.5, True), (2.5, False)):
        moment = (now + timedelta(hours=hours)).isoformat()
        assert listed(client, "show", timestamp=moment) is there
    shown = client.get("/items/show").json()
    assert datetime.fromisoformat(shown["available_from"]) == begin.replace(
        microsecond=begin.microsecond // 1000 * 1000
    )


def test_an_item_that_ends_before_it_begins_is_refused(client):
    span = {"available_from": 2_000_000_000, "available_until": 1_900_000_000}
    answer = client.put("/items/never", json=span)
    assert (answer.status_code, answer.json()["code"]) == (422, "available_span")
    put(client, "once", available_from=2_000_000_000)
    answer = client.patch("/items/once", json={"available_until": 1_900_000_000})
    assert (answer.status_code, answer.json()["code"]) == (422, "available_span")
    assert client.get("/items/once").json()["available_until"] is None


def test_a_patch_changes_what_it_names_and_nothing_else(client):
    put(client, "patched", attributes={"a": 1, "b": "x"}, hidden=True, available_from=1_900_000_000)
    answer = client.patch("/items/patched", json={"attributes": {"b": None, "c": ["y"]}}).json()
    assert answer["attributes"] == {"a": 1.0, "c": ["y"]}
    assert (answer["hidden"], answer["available_from"][:4]) == (True, "2030")
    answer = client.patch("/items/patched", json={"available_from": None}).json()
    assert answer["available_from"] is None
    assert client.patch("/items/patched", json={}).json()["seq"] is None


def test_patches_of_many_callers_at_once_do_not_undo_each_other(client):
    put(client, "busy")

    def patch(number):
        return client.patch("/items/busy", json={"attributes": {f"a{number}": number}})

    with ThreadPoolExecutor(8) as callers:
        assert {each.status_code for each in callers.map(patch, range(40))} == {200}
    assert len(client.get("/items/busy").json()["attributes"]) == 40


def test_a_deleted_item_is_gone_and_late_events_do_not_bring_it_back(client):
    put(client, "gone", attributes={"year": 1990})
    assert client.delete("/items/gone").json()["seq"] > 0
    event = {"event_type": "like", "user_id": "late", "item_id": "gone"}
    assert client.post("/events", json=event).status_code == 202
    for answer in (client.get("/items/gone"), client.delete("/items/gone")):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.patch("/items/gone", json={}).status_code == 404
    assert not listed(client, "gone", user_id="late", exclude_seen=False)
    put(client, "gone", attributes={"year": 1991})
    assert listed(client, "gone")


def test_an_item_that_an_event_named_is_known_without_attributes(client):
    client.post("/events", json={"event_type": "like", "user_id": "u", "item_id": "by-event"})
    assert client.get("/items/by-event").json()["attributes"] == {}
    patched = client.patch("/items/by-event", json={"attributes": {"year": 1990}})
    assert patched.json()["attributes"] == {"year": 1990.0}


def test_a_batch_takes_the_good_ones_and_lists_the_others(client):
    items = [
        {"item_id": "b1", "attributes": {"year": 1990}},
        {"attributes": {}},
        {"item_id": "b2", "colour": "red"},
        {"item_id": "b3", "attributes": {"x": float("1e300")}},
        {"item_id": "b1", "attributes": {"year": 1990}},
    ]
    answer = client.put("/items", json={"items": items}).json()
    assert (answer["changed"], answer["unchanged"]) == (2, 1)
    assert [(each["index"], each["code"]) for each in answer["rejected"]] == [
        (1, "missing_item_id"),
        (2, "unknown_field"),
    ]
    assert answer["last_seq"] - answer["first_seq"] == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "invalid_json"),
        ("[]", "invalid_body"),
        ("{}", "missing_items"),
        ('{"item_id": "x"}', "missing_items"),
        ('{"items": []}', "invalid_items"),
        ('{"items": 3}', "invalid_items"),
        ('{"items": [{}], "x": 1}', "unknown_field"),
    ],
)
def test_what_is_no_batch_is_refused(client, body, code):
    answer = client.put("/items", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"attributes": {"x": {"y": 1}}}, "invalid_attributes"),
        ({"attributes": {"x": None}}, "invalid_attributes"),
        ({"attributes": {str(n): n for n in range(51)}}, "invalid_attributes"),
        ({"hidden": "yes"}, "invalid_hidden"),
        ({"available_from": "2026-01-01T00:00:00"}, "timestamp_naive"),
        ({"available_until": 1e300}, "invalid_timestamp"),
        ({"title": "x"}, "unknown_field"),
    ],
)
def test_a_bad_description_is_refused_with_its_reason(client, body, code):
    answer = client.put("/items/bad", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert client.get("/items/bad").status_code == 404


@pytest.mark.parametrize(
    "item_id", ["a%2Fb", "a%2Fsimilar", "%C3%A9%20%3F%23", "..%2F", "a%252Fb", "%2f", "%25"]
)
def test_an_item_id_may_hold_anything_once_it_is_encoded(client, item_id):
    assert (
        client.put(f"/items/{item_id}", json={"attributes": {"title": item_id}}).status_code == 200
    )
    answer = client.get(f"/items/{item_id}")
    assert answer.json()["attributes"]["title"] == item_id
    assert client.get(f"/items/{item_id}/similar").status_code == 200


def test_an_item_id_with_control_characters_is_refused(client):
    for item_id in ("a%00b", "a%0Ab", "a%7f"):
        answer = client.put(f"/items/{item_id}", json={})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_item_id")


def test_a_change_is_reflected_by_the_next_list(client):
    for number in range(20):
        put(client, "blinking", hidden=number % 2 == 0)
        assert listed(client, "blinking") is (number % 2 == 1)
