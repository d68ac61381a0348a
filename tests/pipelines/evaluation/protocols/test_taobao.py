import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.evaluation.protocols import taobao
from tests.pipelines.evaluation.protocols import files

DAY_S = 86_400
START_S = 1_511_539_200


def event(user, item, kind, day):
    """Items 10 to 19 are of category 1, and so on."""
    return (user, item, item // 10, kind, START_S + round(day * DAY_S))


def streams_of(tmp_path, *rows):
    return taobao.streams(files.taobao(tmp_path, list(rows)), quick=False)


def test_days_are_those_of_china(tmp_path):
    days = [0, 5.999, 6, 6.5, 7, 7.1, 8, 8.999]
    for stream in streams_of(tmp_path, *(event(1, 10, "pv", day) for day in days)):
        assert stream.bootstrap == 2
        assert stream.nights.tolist() == [4, 6]
        assert stream.block.tolist() == [0, 5, 6, 6, 7, 7, 8, 8]


def test_events_outside_of_the_nine_days_are_dropped(tmp_path):
    rows = [event(1, 10, "pv", day) for day in (-0.001, 0, 6, 9)]
    assert [len(stream) for stream in streams_of(tmp_path, *rows)] == [2, 2]


def test_kinds_have_the_products_names(tmp_path):
    rows = [
        event(1, 10, kind, day)
        for day, kind in zip((0, 6, 7, 8), ("buy", "pv", "fav", "cart"), strict=True)
    ]
    for stream in streams_of(tmp_path, *rows):
        kinds = [stream.kinds[kind] for kind in stream.events.kind]
        assert kinds == ["purchase", "click", "like", "add_to_cart"]
        assert stream.events.outcome.tolist() == [1] * 4


def test_one_stream_is_of_categories_and_one_of_items_touched_before(tmp_path):
    rows = [
        event(1, 10, "pv", 1),
        event(1, 11, "pv", 6.1),  # of a known category, a new item
        event(1, 10, "pv", 6.2),  # touched before
        event(2, 10, "pv", 6.3),  # touched by another user
        event(1, 35, "pv", 6.4),
        event(1, 35, "cart", 6.4),  # of the moment of the row before
    ]
    categories, items = streams_of(tmp_path, *rows)
    assert (categories.items, items.items) == (["1", "3"], ["10", "11", "35"])
    assert categories.asked.tolist() == [False] + [True] * 5
    assert items.asked.tolist() == [False, False, True, False, False, False]
    assert (categories.candidates, items.candidates) == ("all", "seen")
    assert items.item_attributes["35"] == {"category": "3"}


def test_the_quick_form_takes_every_eighth_user(tmp_path):
    folder = files.taobao(tmp_path, files.shop_events(np.random.default_rng(6)))
    whole, _ = taobao.streams(folder, quick=False)
    quick, _ = taobao.streams(folder, quick=True)
    assert quick.actors == whole.actors[::8]


def test_an_unknown_kind_of_event_is_named_by_its_line(tmp_path):
    with pytest.raises(BadInputError, match=r"line 3: event must be one of .*, got 'view'"):
        streams_of(tmp_path, event(1, 10, "pv", 0), event(1, 10, "view", 6))


def test_a_file_of_other_days_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="no event in the nine days"):
        streams_of(tmp_path, event(1, 10, "pv", 30))
