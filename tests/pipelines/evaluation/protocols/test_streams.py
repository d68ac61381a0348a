"""Every reader on a small data set of its form."""

import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.evaluation.protocols.registry import PROTOCOLS, open_streams
from tests.pipelines.evaluation.protocols import files
from tests.pipelines.evaluation.protocols.checking import check_stream, same_streams
from tests.pipelines.writing import write_files


def streams_of(name, tmp_path, rows, *, quick=False, sample=1.0):
    _, write, _ = files.DATA_SETS[name]
    return open_streams(name, write(tmp_path, rows), quick=quick, seed=0, sample=sample)


# the order of the others' rows is their only clock
CLOCKED = [name for name, (_, _, clock) in files.DATA_SETS.items() if clock is not None]


@pytest.fixture(params=list(files.DATA_SETS))
def name(request):
    return request.param


@pytest.fixture
def rows(name):
    return files.DATA_SETS[name][0](np.random.default_rng(3))


@pytest.mark.parametrize("quick", [False, True])
def test_every_stream_keeps_the_rules(name, rows, quick, tmp_path):
    for stream in streams_of(name, tmp_path, rows, quick=quick):
        check_stream(stream)


def test_the_stream_has_the_protocols_name(name, rows, tmp_path):
    names = [stream.name for stream in streams_of(name, tmp_path, rows)]
    assert names == ([name, "taobao-items"] if name == "taobao" else [name])
    assert name in PROTOCOLS


@pytest.mark.parametrize("name", CLOCKED, indirect=True)
def test_the_order_of_rows_of_one_moment_changes_nothing(name, rows, tmp_path):
    again = files.shuffled_ties(rows, files.DATA_SETS[name][2], np.random.default_rng(4))
    assert again != rows
    for one, other in zip(
        streams_of(name, tmp_path / "one", rows),
        streams_of(name, tmp_path / "other", again),
        strict=True,
    ):
        same_streams(one, other)


@pytest.mark.parametrize("name", CLOCKED, indirect=True)
def test_the_order_of_the_file_changes_nothing(name, rows, tmp_path):
    for one, other in zip(
        streams_of(name, tmp_path / "one", rows),
        streams_of(name, tmp_path / "other", rows[::-1]),
        strict=True,
    ):
        same_streams(one, other)


@pytest.mark.parametrize("place", ["itself", "parent"])
def test_the_folder_of_the_data_set_and_the_one_around_it_both_do(name, rows, place, tmp_path):
    folders = {
        "ml-100k": "ml-100k",
        "globo": "globo-news",
        "diginetica": "diginetica-weeks",
        "mind": "mind-sample",
        "taobao": "taobao-events",
    }
    folder = files.DATA_SETS[name][1](tmp_path / folders[name], rows)
    data = folder if place == "itself" else tmp_path
    assert open_streams(name, data, quick=False, seed=0)


def test_missing_data_are_named_with_the_places_that_were_searched(name, tmp_path):
    with pytest.raises(BadInputError, match="--data") as caught:
        open_streams(name, tmp_path, quick=False, seed=0)
    assert str(tmp_path) in str(caught.value)
    assert "gzipped or not" in str(caught.value)


def test_a_row_that_is_too_short_is_named_by_its_line(name, rows, tmp_path):
    rows[4] = rows[4][:-1]
    # CSV has a header line before the rows
    line = 5 if name == "ml-100k" else 6
    with pytest.raises(BadInputError, match=rf"line {line}: expected \d+ fields, got \d+"):
        streams_of(name, tmp_path, rows)


@pytest.mark.parametrize("cell", ["soon", "-5", "1.5", ""])
def test_a_value_that_is_no_number_is_named_by_its_line(name, rows, cell, tmp_path):
    at = {"ml-100k": 3, "globo": 4, "diginetica": 2, "mind": 2, "taobao": 4}[name]
    row = list(rows[7])
    row[at] = cell
    rows[7] = tuple(row)
    line = 8 if name == "ml-100k" else 9
    with pytest.raises(BadInputError, match=rf"line {line}: "):
        streams_of(name, tmp_path, rows)


@pytest.mark.parametrize(
    "name", [name for name in files.DATA_SETS if name != "ml-100k"], indirect=True
)
def test_a_file_that_is_cut_short_is_refused(name, rows, tmp_path):
    folder = files.DATA_SETS[name][1](tmp_path, rows)
    path = max(folder.glob("*.csv.gz"), key=lambda found: found.stat().st_size)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInputError, match="cut short"):
        open_streams(name, folder, quick=False, seed=0)


def test_a_file_without_rows_is_refused(name, tmp_path):
    with pytest.raises(BadInputError, match=r"no rows|holds no"):
        streams_of(name, tmp_path, [])


def test_a_file_that_lacks_a_column_is_refused(tmp_path):
    folder = write_files(tmp_path, {"clicks.csv": "period,session\n0,1\n"})
    with pytest.raises(BadInputError, match="lacks item"):
        open_streams("diginetica", folder, quick=False, seed=0)


def test_an_unknown_protocol_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(BadInputError, match="ml-100k, globo"):
        open_streams("ml-1k", tmp_path, quick=False, seed=0)


def test_movielens_is_fetched_where_no_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = files.movielens(tmp_path / "fetched", files.ratings(np.random.default_rng(3)))
    (stream,) = open_streams("ml-100k", None, quick=False, seed=0, fetch=lambda: folder)
    assert len(stream) == 300


def test_nothing_is_fetched_for_a_folder_that_has_no_movielens(tmp_path):
    def fetch():
        raise AssertionError("not to be called")

    with pytest.raises(BadInputError, match="ml-100k needs"):
        open_streams("ml-100k", tmp_path, quick=False, seed=0, fetch=fetch)


def test_only_movielens_is_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match="globo needs"):
        open_streams("globo", None, quick=False, seed=0, fetch=lambda: tmp_path)
