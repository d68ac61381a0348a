"""Counts of the real data sets, which no checkout holds."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluation.protocols.registry import open_streams
from tests.pipelines.evaluation.protocols.checking import check_stream

DATA = Path(__file__).resolve().parents[4] / "../shared/data"
FOLDERS = {
    "ml-100k": "ml-100k",
    "globo": "globo-news",
    "diginetica": "diginetica-weeks",
    "mind": "mind-sample",
    "taobao": "taobao-events",
}


def streams_of(name, **options):
    folder = DATA / FOLDERS[name]
    if not folder.is_dir():
        pytest.skip(f"{name}: its data are not beside the checkout")
    return open_streams(name, folder, seed=0, **{"quick": False, **options})


def test_ml_100k_has_46_nights_and_11303_questions():
    (stream,) = streams_of("ml-100k")
    check_stream_but_for_the_parted_group(stream)
    assert (stream.bootstrap, len(stream)) == (80_000, 100_000)
    assert len(stream.nights) == 46
    assert stream.asked.sum() == 11_303
    assert stream.judged.sum() == 20_000
    assert (len(stream.actors), len(stream.items)) == (943, 1_682)


def check_stream_but_for_the_parted_group(stream):
    """The history ends inside of a moment, whose rows are in two groups."""
    time = stream.events.timestamp_ms
    assert time[stream.bootstrap - 1] == time[stream.bootstrap]
    check_stream(stream)


def test_globo_replays_184713_clicks_and_asks_for_19783():
    (stream,) = streams_of("globo")
    assert len(stream) - stream.bootstrap == 184_713
    assert len(stream) == 994_241
    assert stream.asked.sum() == 19_783
    assert len(stream.nights) == 3
    assert {name: len(terms) for name, terms in stream.terms.items()} == {
        "env": 3,
        "device": 5,
        "os": 8,
        "country": 11,
        "region": 28,
        "referrer": 7,
    }


def test_diginetica_has_17_periods_and_15_nights():
    (stream,) = streams_of("diginetica", sample=1.0)
    rows = [
        *(70_739, 37_586, 31_089, 32_687, 30_419, 57_913, 52_225, 57_100, 69_042),
        *(82_834, 82_935, 50_037, 63_133, 70_050, 71_670, 56_959, 77_065),
    ]
    assert np.bincount(stream.block).tolist() == rows
    assert len(stream.nights) == 15
    asked = np.bincount(stream.block[stream.asked])
    assert asked[1:5].tolist() == [23_105, 20_659, 22_219, 21_031]
    (quarter,) = streams_of("diginetica")
    assert quarter.asked.sum() == pytest.approx(asked.sum() / 4, rel=0.01)


def test_mind_replays_1000_impressions():
    (stream,) = streams_of("mind")
    check_stream(stream)
    assert len(np.unique(stream.group[stream.asked])) == 1_000
    assert len(stream) == 328_291
    assert len(stream.nights) == 1


def test_taobao_has_three_days_and_two_nights():
    for stream in streams_of("taobao"):
        check_stream(stream)
        assert len(stream) == 84_440
        assert len(stream.nights) == 2
        assert np.unique(stream.block[stream.bootstrap :]).tolist() == [6, 7, 8]


@pytest.mark.parametrize("name", FOLDERS)
def test_the_quick_forms_keep_the_rules_too(name):
    for stream in streams_of(name, quick=True):
        check_stream(stream)
        assert len(stream) - stream.bootstrap < 25_000
