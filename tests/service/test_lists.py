import pytest

from service.schemas.recommending import RankedOut
from tests.service.conftest import serving


def ids(answer):
    assert answer.status_code == 200, answer.text
    RankedOut.model_validate_json(answer.content)
    return [item["item_id"] for item in answer.json()["items"]]


@pytest.mark.parametrize("by", ["behaviour", "content", "both"])
def test_items_like_an_item_share_its_taste_and_leave_it_out(client, by):
    found = ids(client.get("/items/i2/similar", params={"by": by, "n": 6}))
    assert len(found) == 6
    assert "i2" not in found
    # the world has two tastes: even items and odd ones
    if by != "behaviour":
        assert sum(int(item[1:]) % 2 == 0 for item in found if item[1:].isdigit()) >= 5


def test_an_item_that_is_not_there_has_no_neighbours(client):
    answer = client.get("/items/no such item/similar")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_an_item_without_attributes_is_compared_by_behaviour_and_the_reply_says_so(client):
    client.put("/items/plain", json={})
    answer = client.get("/items/plain/similar?by=content")
    assert answer.json()["fallback"] == "behaviour"
    assert len(ids(answer)) == 10
    assert client.get("/items/i2/similar?by=content").json()["fallback"] is None


def test_a_new_item_is_compared_by_its_attributes(client):
    client.put("/items/fresh", json={"attributes": {"genres": ["even"], "year": 1982}})
    found = ids(client.get("/items/fresh/similar?by=content&n=5"))
    assert sum(item[1:].isdigit() and int(item[1:]) % 2 == 0 for item in found) >= 4
    assert "fresh" in ids(client.get("/items/i2/similar?by=content&n=500"))


def test_scores_never_rise_and_ranks_do(client):
    for path in ("/items/i2/similar?n=20", "/popular?n=20"):
        items = client.get(path).json()["items"]
        scores = [item["score"] for item in items]
        assert scores == sorted(scores, reverse=True)
        assert [item["rank"] for item in items] == list(range(1, 21))


def test_what_was_liked_just_now_is_popular_and_for_a_shorter_window_more_so(tiny_home):
    with serving(tiny_home) as client:
        assert client.get("/popular?window=hour").json()["fallback"] == "model"
        for user in range(5):
            event = {"event_type": "like", "user_id": f"p{user}", "item_id": "i30"}
            client.post("/events", json=event)
        for window in ("hour", "day", "week", "month", "year"):
            answer = client.get("/popular", params={"window": window})
            assert ids(answer)[0] == "i30"
            assert answer.json()["fallback"] is None
            assert answer.json()["items"][0]["score"] > 4.9


def test_a_retracted_success_is_no_longer_popular(tiny_home):
    with serving(tiny_home) as client:
        event = {"event_id": "oops", "event_type": "like", "user_id": "p", "item_id": "i30"}
        client.post("/events", json=event)
        assert ids(client.get("/popular?window=hour"))[0] == "i30"
        client.post("/events", json={"event_type": "like", "user_id": "p", "retracts": "oops"})
        assert client.get("/popular?window=hour").json()["fallback"] == "model"


def test_lists_hold_only_what_may_be_shown(client):
    client.put("/items/i4", json={"attributes": {"genres": ["even"]}, "hidden": True})
    for path in ("/items/i2/similar?n=500", "/popular?n=500"):
        assert "i4" not in ids(client.get(path))
    assert len(ids(client.get("/items/i4/similar"))) == 10
    client.patch("/items/i4", json={"hidden": False})


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/items/i2/similar?by=magic", "invalid_by"),
        ("/items/i2/similar?n=0", "invalid_n"),
        ("/popular?window=decade", "invalid_window"),
        ("/popular?n=501", "invalid_n"),
        ("/popular?x=1", "unknown_field"),
    ],
)
def test_a_bad_question_is_refused_with_its_reason(client, path, code):
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
