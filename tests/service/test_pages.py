"""Lists that are paged through, and pages for people."""

import re
import sqlite3
from contextlib import closing

import pytest

from model.workspace import Workspace
from service.page_store import KEPT_MS, PageStore, RankedList
from tests.service.conftest import process, serving, wait_until

NOW_MS = 1_700_000_000_000


def page(client, offset, n=10, **asked):
    answer = client.post("/recommend", json={"offset": offset, "n": n} | asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def item_ids(reply):
    return [item["item_id"] for item in reply["items"]]


def all_pages(client, n=7, between=None, **asked):
    reply = page(client, 0, n, **asked)
    replies = [reply]
    while reply["next_offset"] is not None:
        if between:
            between(reply)
        asked["request_id"] = replies[0]["request_id"]
        reply = page(client, reply["next_offset"], n, **asked)
        replies.append(reply)
    return replies


def test_pages_together_are_the_whole_list(client):
    whole = client.post("/recommend", json={"user_id": "paging", "n": 500}).json()
    replies = all_pages(client, user_id="paging")
    assert [one for reply in replies for one in item_ids(reply)] == item_ids(whole)
    ranks = [item["rank"] for reply in replies for item in reply["items"]]
    assert ranks == list(range(1, len(ranks) + 1))
    assert {reply["request_id"] for reply in replies} == {replies[0]["request_id"]}


def test_pages_stand_still_whatever_happens_meanwhile(client):
    before = item_ids(client.post("/recommend", json={"user_id": "steady", "n": 500}).json())

    def like_the_first(reply):
        event = {"event_type": "like", "user_id": "steady", "item_id": reply["items"][0]["item_id"]}
        assert client.post("/events", json=event).status_code == 202

    replies = all_pages(client, between=like_the_first, user_id="steady")
    assert [one for reply in replies for one in item_ids(reply)] == before
    assert len({reply["memory_as_of"] for reply in replies}) == 1


def test_a_page_of_a_list_that_is_not_kept_is_made_anew(client):
    whole = item_ids(client.post("/recommend", json={"n": 500}).json())
    assert item_ids(page(client, 10, request_id="never-seen-before")) == whole[10:20]


def test_nobody_pages_through_the_list_of_another(client):
    client.post("/events", json={"event_type": "like", "user_id": "mine", "item_id": "i1"})
    first = page(client, 0, user_id="mine", request_id="guessed")
    other = page(client, 5, 5, user_id="another", request_id="guessed")
    assert item_ids(other) != item_ids(first)[5:10]


def test_beyond_the_end_is_an_empty_page(client):
    reply = page(client, 500)
    assert (reply["items"], reply["next_offset"]) == ([], None)


def test_the_short_form_pages_too(client):
    first = client.get("/recommend/short?offset=0&n=5&request_id=short-1").json()
    second = client.get(
        f"/recommend/short?offset={first['next_offset']}&n=5&request_id=short-1"
    ).json()
    whole = item_ids(client.get("/recommend/short?n=10").json())
    assert item_ids(first) + item_ids(second) == whole


@pytest.mark.parametrize("asked", [{"offset": -1}, {"offset": 501}, {"offset": "1"}])
def test_an_impossible_offset_is_refused(client, asked):
    answer = client.post("/recommend", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_offset")


def test_explanations_go_with_no_offset(client):
    answer = client.post("/recommend", json={"offset": 0, "explain": "brief"})
    assert answer.status_code == 422
    assert "explain" in answer.json()["detail"]


def test_any_worker_continues_a_list(tiny_home):
    with process(tiny_home, "--workers", "2") as running:
        clients = [running.client() for _ in range(10)]
        wait_until(lambda: all(c.get("/health/ready").status_code == 200 for c in clients))
        first = page(clients[0], 0, 5, user_id="u1")
        expected = item_ids(page(clients[0], 5, 5, user_id="u1", request_id=first["request_id"]))
        clients[0].post("/events", json={"event_type": "like", "user_id": "u1", "item_id": "i30"})
        for each in clients:
            reply = page(each, 5, 5, user_id="u1", request_id=first["request_id"])
            assert item_ids(reply) == expected
            each.close()


def a_list(asked_by="u"):
    return RankedList(asked_by, "v0001-00000000", 3, None, ["i1"], [0.5], None, ["bias"])


def test_a_kept_list_comes_back_until_it_is_old(tmp_path):
    store = PageStore(tmp_path / "memory" / "pages.db")
    store.put("r", a_list(), NOW_MS)
    assert store.get("r", "u", NOW_MS + KEPT_MS) == a_list()
    assert store.get("r", "u", NOW_MS + KEPT_MS + 1) is None
    assert store.get("r", "v", NOW_MS) is None
    assert store.get("other", "u", NOW_MS) is None
    store.clear()
    assert store.get("r", "u", NOW_MS) is None
    store.close()


def test_old_lists_and_the_oldest_of_too_many_are_dropped(tmp_path):
    store = PageStore(tmp_path / "pages.db")
    for number in range(2_201):
        store.put(f"r{number}", a_list(), NOW_MS + number)
    store.put("much later", a_list(), NOW_MS + 3_000)
    with closing(sqlite3.connect(tmp_path / "pages.db")) as db:
        assert 2_000 <= db.execute("SELECT count(*) FROM lists").fetchone()[0] <= 2_101
    assert store.get("r0", "u", NOW_MS) is None
    assert store.get("r2200", "u", NOW_MS) == a_list()
    store.close()


def test_where_pages_cannot_be_kept_they_are_made_anew(tmp_path, tiny_home, caplog):
    (tmp_path / "file").write_text("")
    store = PageStore(tmp_path / "file" / "pages.db")
    store.put("r", a_list(), NOW_MS)
    store.clear()
    assert store.get("r", "u", NOW_MS) is None
    store.close()
    assert "pages cannot be kept" in caplog.text
    Workspace(tiny_home).memory.write_text("no folder")
    with serving(tiny_home) as client:
        assert len(all_pages(client)) > 1


@pytest.mark.parametrize("path", ["/docs", "/console"])
def test_a_page_opens_and_asks_no_other_host_for_anything(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    sources = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert "/console/style.css" in sources
    for source in sources:
        assert source.startswith(("/", "data:")), source
        if source.startswith("/console/"):
            asset = client.get(source)
            assert asset.status_code == 200
            assert "http" not in re.sub(r"http_request|HTTP", "", asset.text)
    assert not re.search(r"<script>|<style>| on\w+=", answer.text), "the policy forbids these"


def test_only_the_pages_own_files_are_handed_out(client):
    for path in ("/console/none.js", "/console/..%2Fapp.py", "/console/%2e%2e/app.py"):
        assert client.get(path).status_code == 404


def test_every_id_that_a_script_looks_for_is_in_its_page(client):
    scripts = {"/console": "console.js", "/docs": "docs.js"}
    for page_path, script in scripts.items():
        text = client.get(page_path).text
        wanted = set(re.findall(r'byId\("(\w+)"\)', client.get(f"/console/{script}").text))
        wanted |= set(re.findall(r'byId\("(\w+)"\)', client.get("/console/calls.js").text))
        assert wanted
        assert {name for name in wanted if f'id="{name}"' not in text} == set()
