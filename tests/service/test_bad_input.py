import json

import pytest

LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "invalid_json"),
        ("x", "invalid_json"),
        ('{"n": 1', "invalid_json"),
        ('{"user_id": "\\ud800"}', "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ("[]", "invalid_body"),
        ("null", "invalid_body"),
        ('{"n": 0}', "invalid_n"),
        ('{"n": 501}', "invalid_n"),
        ('{"n": "10"}', "invalid_n"),
        ('{"n": 1.5}', "invalid_n"),
        ('{"n": true}', "invalid_n"),
        ('{"n": NaN}', "invalid_n"),
        ('{"n": 1e400}', "invalid_n"),
        ('{"N": 3}', "unknown_field"),
        (json.dumps({LONG: 3}), "unknown_field"),
        ('{"user_id": 7}', "invalid_user_id"),
        ('{"user_id": ""}', "invalid_user_id"),
        ('{"user_id": "a\\u0000b"}', "invalid_user_id"),
        (json.dumps({"user_id": LONG}), "invalid_user_id"),
        (json.dumps({"seed_items": [LONG]}), "invalid_seed_items"),
        (json.dumps({"seed_items": ["i"] * 101}), "invalid_seed_items"),
        (json.dumps({"exclude_items": ["i"] * 1_001}), "invalid_exclude_items"),
        ('{"exclude_seen": "yes"}', "invalid_exclude_seen"),
        ('{"explain": "loudly"}', "invalid_explain"),
        ('{"timestamp": "2026-01-01T00:00:00"}', "timestamp_naive"),
        ('{"timestamp": "soon"}', "invalid_timestamp"),
        ('{"timestamp": NaN}', "invalid_timestamp"),
        ('{"timestamp": 1e300}', "invalid_timestamp"),
        ('{"timestamp": "9999-12-31T23:59:59-00:01"}', "invalid_timestamp"),
        ('{"timestamp": 9e12}', "timestamp_in_future"),
        ('{"timestamp": 1}', "timestamp_too_old"),
        ('{"context": {"x": NaN}}', "invalid_context"),
        ('{"context": {"x": Infinity}}', "invalid_context"),
        ('{"context": {"x": {"y": 1}}}', "invalid_context"),
        (json.dumps({"context": {LONG: 1}}), "invalid_context"),
        ('{"filters": [{"field": "x", "op": "like", "value": 1}]}', "invalid_filters"),
        ('{"filters": [{"field": "x", "op": "in", "value": 1}]}', "invalid_filters"),
        ('{"filters": [{"field": "x", "op": "eq", "value": [1]}]}', "invalid_filters"),
        ('{"filters": [{"field": "x", "op": "in", "value": [[]]}]}', "invalid_filters"),
    ],
)
def test_a_bad_question_is_refused_with_its_reason(client, body, code):
    answer = client.post("/recommend", content=body)
    refused_plainly(answer, 422, code)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("n=0", "invalid_n"),
        ("n=501", "invalid_n"),
        ("n=ten", "invalid_n"),
        ("m=3", "unknown_field"),
    ],
)
def test_a_bad_short_form_is_refused_with_its_reason(client, query, code):
    refused_plainly(client.get(f"/recommend/u?{query}"), 422, code)


def test_a_long_id_in_a_path_is_refused_without_repeating_it(client):
    refused_plainly(client.get(f"/recommend/{'x' * 10_000}"), 422, "invalid_user_id")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "invalid_json"),
        ("x", "invalid_json"),
        ("[]", "invalid_body"),
        ("3", "invalid_body"),
        ('{"events": 3}', "invalid_events"),
        ('{"events": []}', "invalid_events"),
        (json.dumps({"events": [{}] * 1_001}), "invalid_events"),
        ('{"events": [{}], "user_id": "u"}', "unknown_field"),
        ("{}", "missing_event_type"),
        ('{"event_type": "clack", "user_id": "u", "item_id": "i"}', "unknown_event_type"),
        ('{"event_type": "rating", "user_id": "u", "item_id": "i", "value": NaN}', "invalid_value"),
        (json.dumps({"event_type": "click", "user_id": LONG, "item_id": "i"}), "invalid_user_id"),
        (json.dumps({"event_type": LONG[:200], "user_id": "u"}), "unknown_event_type"),
    ],
)
def test_a_bad_event_alone_is_refused_with_its_reason(client, body, code):
    refused_plainly(client.post("/events", content=body), 422, code)


@pytest.mark.parametrize("path", ["/recommend", "/events", "/feedback"])
def test_a_body_of_ten_megabytes_is_refused(client, path):
    body = b'{"user_id": "' + b"x" * 10_000_000 + b'"}'
    refused_plainly(client.post(path, content=body), 413, "body_too_large")


def test_a_body_of_unknown_size_is_refused_once_it_is_too_large(client):
    def pieces():
        for _ in range(160):
            yield b"x" * 65_536

    refused_plainly(client.post("/recommend", content=pieces()), 413, "body_too_large")


def test_a_body_of_unknown_size_within_the_limit_is_read(client):
    answer = client.post("/recommend", content=iter([b'{"user_', b'id": "u"}']))
    assert answer.json()["user_id"] == "u"


def test_a_connection_lives_on_after_a_refusal(client):
    for _ in range(3):
        assert client.post("/recommend", content=b"x" * 2_000_000).status_code == 413
        assert client.post("/recommend", json={}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/recommendations", "/recommend/", "/models/v0001-00000000"])
def test_a_call_that_does_not_exist_is_not_found(client, path):
    answer = client.post(path, json={})
    assert answer.status_code in {404, 405}
    assert set(answer.json()) == {"detail", "code", "request_id"}


def test_a_wrong_method_is_refused(client):
    refused_plainly(client.get("/recommend"), 405, "method_not_allowed")


def refused_plainly(answer, status, code):
    """The error body is complete, short and shows nothing of the inside."""
    assert answer.status_code == status, answer.text[:500]
    said = answer.json()
    assert set(said) == {"detail", "code", "request_id"}
    assert said["code"] == code
    assert said["request_id"] == answer.headers["X-Request-ID"]
    assert 0 < len(said["detail"]) < 400
    assert "Traceback" not in said["detail"]
