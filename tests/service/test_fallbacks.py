"""Whatever is asked for: while there is an item to show, there is a list, and no error."""

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.service.conftest import serving

N_ITEMS = 40
HIDDEN = {f"i{number}" for number in range(5)}
GONE, FUTURE = "i5", "i6"
ALLOWED = {f"i{number}" for number in range(7, N_ITEMS)}
REFUSED = {"i8", "i10"}
PLAIN = {"seen", "popular", None}


@pytest.fixture(scope="module")
def asking(trained_home, tmp_path_factory):
    """A client of a service that may show some of its items, and to one user fewer still."""
    home = shutil.copytree(trained_home, tmp_path_factory.mktemp("fallbacks") / "home")
    with serving(home) as client:
        for item in HIDDEN:
            assert client.patch(f"/items/{item}", json={"hidden": True}).is_success
        assert client.delete(f"/items/{GONE}").is_success
        later = {"available_from": "2999-01-01T00:00:00Z"}
        assert client.patch(f"/items/{FUTURE}", json=later).is_success
        for item in REFUSED:
            event = {"event_type": "hide", "user_id": "choosy", "item_id": item}
            assert client.post("/events", json=event).is_success
        everything = [
            {"event_type": "view", "user_id": "sated", "item_id": f"i{number}"}
            for number in range(N_ITEMS)
        ]
        assert client.post("/events", json={"events": everything}).json()["accepted"] == N_ITEMS
        yield client


def meets(item, condition):
    number = int(item[1:])
    if condition["field"] == "genres":
        return ("even" if number % 2 == 0 else "odd") in condition["value"]
    year = 1980 + number
    return year >= condition["value"] if condition["op"] == "gte" else year <= condition["value"]


ITEMS = st.integers(0, N_ITEMS + 3).map("i{}".format)
YEARS = st.integers(1_975, 2_025)
CONDITIONS = st.one_of(
    st.builds(lambda op, year: {"field": "year", "op": op, "value": year},
              st.sampled_from(["gte", "lte"]), YEARS),
    st.lists(st.sampled_from(["even", "odd", "neither"]), min_size=1).map(
        lambda names: {"field": "genres", "op": "in", "value": names}),
)  # fmt: skip
QUESTIONS = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["u1", "u2", "choosy", "sated", "nobody we know", None]),
        "n": st.integers(1, 60),
        "seed_items": st.lists(ITEMS, max_size=4),
        "exclude_items": st.one_of(
            st.lists(ITEMS, max_size=8),
            st.just([f"i{number}" for number in range(7, N_ITEMS - 1)]),
            st.just(sorted(ALLOWED)),
        ),
        "exclude_seen": st.booleans(),
        "filters": st.lists(CONDITIONS, max_size=2),
    }
)


@given(QUESTIONS)
@settings(max_examples=(settings.default or settings()).max_examples)
def test_a_list_is_empty_only_when_nothing_may_be_shown(asking, question):
    answer = asking.post("/recommend", json=question)
    assert answer.status_code == 200, answer.text
    reply = answer.json()
    shown = [item["item_id"] for item in reply["items"]]
    may_be_shown = {
        item
        for item in ALLOWED - set(question["exclude_items"])
        if all(meets(item, condition) for condition in question["filters"])
    }
    if question["user_id"] == "choosy":
        may_be_shown -= REFUSED
    assert set(shown) <= may_be_shown
    assert len(set(shown)) == len(shown) <= question["n"]
    assert bool(shown) == bool(may_be_shown)
    assert reply["fallback"] in PLAIN


def test_one_who_has_had_everything_gets_it_again_and_is_told(asking):
    reply = asking.post("/recommend", json={"user_id": "sated", "n": 500}).json()
    assert {item["item_id"] for item in reply["items"]} == ALLOWED
    assert reply["fallback"] == "seen"
