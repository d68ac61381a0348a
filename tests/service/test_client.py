"""The client, against the real service and against one that is not well."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service.client import Client, ServiceError
from tests.repository import ROOT, imported_modules
from tests.service.conftest import serving
from tests.service.test_auth import make_keys


@pytest.fixture
def calling(client):
    with Client(str(client.base_url)) as calling:
        yield calling


def test_it_stays_small_and_needs_nothing_but_python():
    path = ROOT / "service" / "client.py"
    assert len(path.read_text("utf-8").splitlines()) <= 150
    assert not {
        m for m in imported_modules(path) if m.split(".")[0] in {"service", "model", "httpx"}
    }


def test_a_list_an_event_and_the_next_list(calling):
    reply = calling.recommend("client-1", n=5)
    best = reply["items"][0]["item_id"]
    told = calling.event("like", user_id="client-1", item_id=best, request_id=reply["request_id"])
    assert (told["accepted"], told["rejected"]) == (1, [])
    after = calling.recommend("client-1", n=5, explain="brief")
    assert best not in [item["item_id"] for item in after["items"]]
    assert calling.recommend()["user_id"] is None


def test_any_number_of_events_goes_in_batches_and_bad_ones_are_told_by_their_places(calling):
    events = [{"event_type": "click", "user_id": "c", "item_id": "i1"} for _ in range(2_500)]
    events[3] = {"event_type": "clack"}
    events[2_400] = {"event_type": "click"}
    told = calling.events(events)
    assert (told["accepted"], told["duplicates"]) == (2_498, 0)
    assert [each["index"] for each in told["rejected"]] == [3, 2_400]


def test_lists_metadata_and_erasure(calling):
    assert [batch["changed"] for batch in calling.put_items([{"item_id": "c/1"}])] == [1]
    assert len(calling.similar("c/1", n=3)["items"]) == 3
    assert len(calling.popular(window="week", n=2)["items"]) == 2
    calling.event("like", user_id="c/u", item_id="i1")
    assert calling.erase_user("c/u")["events"] == 1
    assert calling.call("GET", "/health/live") == {"status": "live"}


def test_a_refusal_says_what_and_why(calling):
    with pytest.raises(ServiceError, match="422 invalid_n") as refused:
        calling.recommend(n=0)
    assert (refused.value.status, len(refused.value.request_id)) == (422, 32)


def test_a_key_is_sent(tiny_home):
    keys = make_keys(tiny_home)
    with serving(tiny_home, auth="on") as client:
        with Client(str(client.base_url), key=keys["read"]) as calling:
            assert calling.recommend("u1")["items"]
            with pytest.raises(ServiceError, match="403 missing_scope"):
                calling.event("like", user_id="u", item_id="i1")
        with Client(str(client.base_url)) as calling, pytest.raises(ServiceError, match="401"):
            calling.recommend("u1")


class Unwell(BaseHTTPRequestHandler):
    """Breaks off, is busy, then answers."""

    protocol_version = "HTTP/1.1"
    calls: list[str]

    def do_GET(self):
        self.calls.append(self.path)
        if len(self.calls) == 1:
            self.connection.close()
            return
        busy = len(self.calls) < 4
        body = (
            b'{"detail": "busy", "code": "overloaded", "request_id": "r"}' if busy else b'{"a": 1}'
        )
        self.send_response(503 if busy else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def unwell():
    Unwell.calls = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Unwell) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_service_that_is_busy_or_breaks_off_is_asked_again(unwell):
    with Client(unwell, tries=4) as calling:
        assert calling.popular(n=3) == {"a": 1}
    assert Unwell.calls == ["/popular?n=3"] * 4


def test_after_all_tries_the_last_refusal_is_told(unwell):
    with Client(unwell, tries=3) as calling, pytest.raises(ServiceError, match="503 overloaded"):
        calling.popular()
    with Client("http://127.0.0.1:9", tries=2) as calling, pytest.raises(ServiceError) as refused:
        calling.popular()
    assert (refused.value.status, refused.value.code) == (0, "no_answer")
