import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from model.storage.event_log import event_of, open_log
from model.workspace import Workspace
from tests.service.conftest import serving


def an_event(**changes):
    return {
        "event_id": uuid.uuid4().hex,
        "event_type": "like",
        "user_id": "u-" + uuid.uuid4().hex,
        "item_id": "i1",
    } | changes


def send(client, *events, path="/events"):
    answer = client.post(path, json={"events": list(events)})
    assert answer.status_code == 202, answer.text
    return answer.json()


@pytest.mark.parametrize("path", ["/events", "/feedback"])
def test_an_event_alone_is_accepted(client, path):
    answer = client.post(path, json=an_event())
    assert answer.status_code == 202
    said = answer.json()
    assert said["first_seq"] == said["last_seq"] > 0
    assert (said["accepted"], said["duplicates"], said["rejected"]) == (1, 0, [])


def test_a_batch_gets_positions_that_follow_each_other(client):
    said = send(client, *(an_event() for _ in range(1_000)))
    assert said["accepted"] == 1_000
    assert said["last_seq"] - said["first_seq"] == 999


def test_the_same_event_again_is_a_duplicate(client):
    event = an_event()
    assert send(client, event)["accepted"] == 1
    again = client.post("/events", json=event)
    assert again.status_code == 202
    assert again.json() == {
        "accepted": 0, "duplicates": 1, "rejected": [], "first_seq": None, "last_seq": None,
    }  # fmt: skip
    assert send(client, event, an_event(), event)["duplicates"] == 2


def test_a_bad_event_does_not_reject_its_neighbours(client):
    said = send(
        client, an_event(), an_event(event_type="clack"), {"event_type": "click"}, an_event()
    )
    assert said["accepted"] == 2
    assert [(each["index"], each["code"]) for each in said["rejected"]] == [
        (1, "unknown_event_type"),
        (2, "missing_user_id"),
    ]


def test_a_batch_of_bad_events_writes_nothing(client):
    said = send(client, {}, {})
    assert (said["accepted"], len(said["rejected"]), said["last_seq"]) == (0, 2, None)


def test_a_retraction_is_an_event(client):
    event = an_event()
    send(client, event)
    taken_back = an_event(user_id=event["user_id"], retracts=event["event_id"])
    del taken_back["item_id"]
    assert send(client, taken_back)["accepted"] == 1


def test_what_a_retracted_event_taught_is_forgotten(client):
    user = "changed-my-mind"
    before = client.post("/recommend", json={"user_id": user}).json()["items"]
    event = an_event(user_id=user, item_id=before[0]["item_id"])
    send(client, event)
    between = client.post("/recommend", json={"user_id": user}).json()["items"]
    assert before[0]["item_id"] not in [item["item_id"] for item in between]
    send(client, {"event_type": "like", "user_id": user, "retracts": event["event_id"]})
    after = client.post("/recommend", json={"user_id": user}).json()["items"]
    assert before[0]["item_id"] in [item["item_id"] for item in after]


def test_every_field_of_an_event_reaches_the_log(tiny_home):
    sent = {
        "event_id": "e-1",
        "event_type": "rating",
        "user_id": "u",
        "item_id": "i",
        "value": 4.5,
        "timestamp": "2024-02-29T12:00:00+01:00",
        "session_id": "s",
        "request_id": "r",
        "shown_items": ["i", "j"],
        "properties": {"device": "phone", "depth": 3},
    }
    with serving(tiny_home) as client:
        send(client, sent)
    log = open_log(Workspace(tiny_home).log_path)
    row = log.event("e-1")
    assert row is not None
    event = event_of(row)
    log.close()
    assert event.timestamp_ms == 1_709_204_400_000
    assert event.shown_items == ("i", "j")
    assert event.properties == {"device": "phone", "depth": 3}
    for name in ("event_type", "user_id", "item_id", "value", "session_id", "request_id"):
        assert getattr(event, name) == sent[name]


def test_each_of_many_callers_is_told_about_its_own_events(client):
    known = an_event()
    send(client, known)

    def call(number):
        fresh = [an_event() for _ in range(number % 5)]
        said = send(client, *fresh, known, *fresh)
        return said, len(fresh)

    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(call, range(200)))
    spans = []
    for said, n_fresh in answers:
        assert said["accepted"] == n_fresh
        assert said["duplicates"] == n_fresh + 1
        if n_fresh:
            spans.append((said["first_seq"], said["last_seq"]))
            assert said["last_seq"] - said["first_seq"] == n_fresh - 1
    spans.sort()
    for before, after in pairwise(spans):
        assert before[1] < after[0]


def what_became_of(client, event_id):
    answer = client.get(f"/events/{event_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_became_of_an_event_is_told(client):
    event = an_event(event_type="rating", value=5, timestamp="2024-02-29T12:00:00Z")
    seq = send(client, event)["first_seq"]
    told = what_became_of(client, event["event_id"])
    assert (told["seq"], told["state"], told["outcome"]) == (seq, "in_effect", "success")
    assert told["happened_at"] == "2024-02-29T12:00:00.000+00:00"
    assert told["user_id"] == event["user_id"]
    assert (told["retracted_by"], told["consolidated_in"]) == (None, None)
    assert told["memory"]["surprise_nats"] > 0
    assert told["memory"]["counted"] is True
    assert "everyone" in told["memory"]["rows"]


def test_an_event_that_was_taken_back_says_by_which(client):
    event = an_event()
    send(client, event)
    send(client, {"event_id": f"not-{event['event_id']}", "event_type": "like",
                  "user_id": event["user_id"], "retracts": event["event_id"]})  # fmt: skip
    told = what_became_of(client, event["event_id"])
    assert (told["state"], told["retracted_by"]) == ("retracted", f"not-{event['event_id']}")
    assert what_became_of(client, told["retracted_by"])["retracts"] == event["event_id"]


def test_an_event_that_a_version_has_learned_says_which(client):
    ids = [f"r-{user}-{item}" for user in range(3) for item in range(40)]
    known = [one for one in ids if client.get(f"/events/{one}").is_success]
    told = what_became_of(client, known[0])
    assert told["consolidated_in"] == client.get("/models/current").json()["version"]


def test_an_unknown_event_is_not_found(client):
    answer = client.get("/events/never-came")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
