import re

from prometheus_client.parser import text_string_to_metric_families

from tests.service.conftest import serving


def samples(client):
    """Value by name and labels."""
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_what_happens_is_counted(tiny_home):
    with serving(tiny_home) as client:
        for user in ("u1", "u2", "a stranger"):
            client.get(f"/recommend/{user}")
        good = {"event_id": "e", "event_type": "like", "user_id": "u1", "item_id": "i1"}
        client.post("/events", json={"events": [good, good, {}]})
        client.post("/events", json={})
        client.get("/nowhere/7")
        found = samples(client)

    def requests(method, route, status):
        labels = (("method", method), ("route", route), ("status", status))
        return found["slowwave_http_requests_total", *labels]

    assert requests("GET", "/recommend/{user_id}", "200") == 3
    assert requests("POST", "/events", "202") == 1
    assert requests("POST", "/events", "422") == 1
    assert requests("GET", "unmatched", "404") == 1
    assert found["slowwave_recommendations_total", ("fallback", "none")] == 2
    assert found["slowwave_recommendations_total", ("fallback", "popular")] == 1
    assert found["slowwave_events_total", ("result", "accepted")] == 1
    assert found["slowwave_events_total", ("result", "duplicate")] == 1
    assert found["slowwave_events_total", ("result", "rejected")] == 2
    assert found["slowwave_event_rejections_total", ("code", "missing_event_type")] == 2
    assert found["slowwave_event_commit_seconds_count",] == 1
    assert found["slowwave_events_waiting",] == 0
    assert found["slowwave_model_swaps_total",] == 1
    labels = ("route", "/recommend/{user_id}")
    assert found["slowwave_http_request_seconds_count", labels] == 3


def test_the_version_in_service_is_shown(client):
    version = client.get("/models/current").json()["version"]
    assert samples(client)["slowwave_model_serving", ("version", version)] == 1


def test_no_label_holds_what_clients_send(client):
    client.get("/recommend/someone-very-special")
    client.request("BREW", "/teapot")
    client.post("/events", json={"someone-very-special": 1})
    text = client.get("/metrics").text
    assert "someone-very-special" not in text
    assert not re.search(r"BREW|teapot", text)
