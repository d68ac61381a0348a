import pytest

from service.schemas.recommending import RecommendOut


def ask(client, **asked):
    answer = client.post("/recommend", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def items_of(reply):
    return [item["item_id"] for item in reply["items"]]


def like(client, user_id, *item_ids):
    events = [{"event_type": "like", "user_id": user_id, "item_id": item} for item in item_ids]
    answer = client.post("/events", json={"events": events})
    assert answer.json()["accepted"] == len(item_ids)
    return answer.json()


def test_both_forms_give_the_same_list(client):
    long_form = ask(client, user_id="both-forms", n=7)
    answer = client.get("/recommend/both-forms", params={"n": 7})
    assert answer.status_code == 200
    assert items_of(answer.json()) == items_of(long_form)
    assert len(long_form["items"]) == 7


def test_the_answer_is_what_the_schema_declares(client):
    answer = client.post("/recommend", json={"user_id": "u", "explain": "full"})
    RecommendOut.model_validate_json(answer.content, strict=True)


def test_ten_items_come_unless_said_otherwise(client):
    assert len(ask(client)["items"]) == 10
    assert len(client.get("/recommend/u").json()["items"]) == 10


def test_ranks_rise_and_scores_never_do(client):
    items = ask(client, n=20)["items"]
    assert [item["rank"] for item in items] == list(range(1, len(items) + 1))
    scores = [item["score"] for item in items]
    assert scores == sorted(scores, reverse=True)


def test_an_unknown_user_is_no_error_and_gets_a_list(client):
    reply = ask(client, user_id="nobody has met me")
    assert reply["user_id"] == "nobody has met me"
    assert reply["fallback"] == "popular"
    assert len(reply["items"]) == 10


def test_unknown_items_are_no_error(client):
    plain = ask(client)
    reply = ask(client, seed_items=["no such item"], exclude_items=["nor this one"])
    assert items_of(reply) == items_of(plain)


def test_more_items_than_there_are_is_no_error(client):
    reply = ask(client, n=500)
    assert 0 < len(reply["items"]) <= 500
    assert len(set(items_of(reply))) == len(reply["items"])


def test_excluded_items_stay_away(client):
    first, second, *_ = items_of(ask(client))
    assert not {first, second} & set(items_of(ask(client, exclude_items=[first, second])))


def test_what_was_liked_a_moment_ago_is_not_recommended_again(client):
    best = items_of(ask(client, user_id="read-your-writes"))[0]
    written = like(client, "read-your-writes", best)
    reply = ask(client, user_id="read-your-writes")
    assert reply["memory_as_of"] >= written["last_seq"]
    assert best not in items_of(reply)
    assert best in items_of(ask(client, user_id="read-your-writes", exclude_seen=False, n=500))


def test_a_session_is_remembered_without_a_user(client):
    best = items_of(ask(client, session_id="s-1"))[0]
    event = {"event_type": "like", "session_id": "s-1", "item_id": best}
    assert client.post("/events", json=event).status_code == 202
    assert best not in items_of(ask(client, session_id="s-1"))


def test_the_parts_of_an_explained_score_add_up(client):
    parts = ("slow_wide", "slow_deep", "fast_wide", "fast_deep", "bias", "rules")
    for explain in ("brief", "full"):
        for item in ask(client, user_id="why", explain=explain)["items"]:
            assert sum(item[part] for part in parts) == pytest.approx(item["score"], abs=1e-4)
            assert isinstance(item["because"], list)
    assert not set(parts) & set(ask(client, user_id="why")["items"][0])


def test_filters_on_an_unknown_attribute_are_refused(client):
    condition = {"field": "no such attribute", "op": "eq", "value": 1}
    answer = client.post("/recommend", json={"filters": [condition]})
    assert answer.status_code == 422
    assert "no such attribute" in answer.json()["detail"]


def test_a_user_id_may_hold_slashes_and_any_letters(client):
    answer = client.get("/recommend/a%2Fb%20%C3%A9")
    assert answer.json()["user_id"] == "a/b é"


def test_a_request_id_that_came_is_used_everywhere(client):
    answer = client.post("/recommend", json={}, headers={"X-Request-ID": "mine-1"})
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "mine-1"
    answer = client.post("/recommend", json={"request_id": "mine-2"})
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "mine-2"


@pytest.mark.parametrize("unfit", ["", "x" * 129, "sm\xf6rg\xe5s", "a\tb"])
def test_a_request_id_that_does_not_fit_is_replaced(client, unfit):
    answer = client.post("/recommend", json={}, headers={b"X-Request-ID": unfit.encode("latin-1")})
    assert len(answer.headers["X-Request-ID"]) == 32
    assert answer.headers["X-Request-ID"] != client.get("/health/live").headers["X-Request-ID"]


def test_the_header_names_the_version_that_answered(client):
    answer = client.post("/recommend", json={})
    assert answer.headers["X-Model-Version"] == answer.json()["model_version"]
