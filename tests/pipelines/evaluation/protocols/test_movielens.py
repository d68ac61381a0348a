import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.evaluation.protocols import movielens
from tests.pipelines.evaluation.protocols import files
from tests.pipelines.evaluation.protocols.checking import same_streams

DAY_MS = 86_400_000


@pytest.fixture
def rows():
    return files.ratings(np.random.default_rng(3))


def test_both_layouts_give_the_same_stream(rows, tmp_path):
    same_streams(
        movielens.stream(files.movielens(tmp_path / "grouplens", rows), quick=False),
        movielens.stream(files.recbole(tmp_path / "recbole", rows), quick=False),
    )


def test_films_and_users_are_described_and_a_film_without_ratings_competes(rows, tmp_path):
    stream = movielens.stream(files.movielens(tmp_path, rows), quick=False)
    assert stream.item_attributes["3"] == {
        "title": "Film 3 (1995)",
        "year": 1995.0,
        "genres": ("Animation", "Children's", "Comedy"),
    }
    assert stream.user_attributes["7"]["occupation"] == "writer"
    assert stream.items.index("41") not in stream.events.item


def test_a_middling_rating_is_judged_as_no_success_and_never_a_target(tmp_path):
    rows = [(1 + n // 40, n % 40, 3 if n % 2 else 5, 881_250_949 + n) for n in range(100)]
    stream = movielens.stream(files.movielens(tmp_path, rows), quick=False)
    assert stream.bootstrap == 80
    assert stream.judged[80:].all()
    assert stream.asked[80:].tolist() == [True, False] * 10
    assert set(stream.events.outcome[stream.judged & ~stream.asked]) == {0}


def test_a_night_falls_before_the_first_rating_of_a_later_utc_day(rows, tmp_path):
    stream = movielens.stream(files.movielens(tmp_path, rows), quick=False)
    day = stream.events.timestamp_ms // DAY_MS
    expected = [row for row in range(stream.bootstrap + 1, len(rows)) if day[row] != day[row - 1]]
    assert stream.nights.tolist() == expected
    assert stream.block.tolist() == day.tolist()


def test_ids_are_in_the_order_of_their_numbers(rows, tmp_path):
    stream = movielens.stream(files.movielens(tmp_path, rows), quick=False)
    assert stream.actors == [str(n) for n in range(1, 21)]


def test_films_and_users_need_not_be_described(rows, tmp_path):
    folder = files.movielens(tmp_path, rows)
    (folder / "u.item").unlink()
    (folder / "u.user").unlink()
    stream = movielens.stream(folder, quick=False)
    assert (stream.item_attributes, stream.user_attributes) == ({}, {})
    assert len(stream.items) == len({film for _, film, _, _ in rows})


def test_a_bad_film_is_named_by_its_line(rows, tmp_path):
    folder = files.movielens(tmp_path, rows)
    films = (folder / "u.item").read_text().splitlines()
    films[2] = films[2].replace("3|", "|", 1)
    (folder / "u.item").write_text("\n".join(films) + "\n")
    with pytest.raises(BadInputError, match=r"u\.item line 3: item_id is missing"):
        movielens.stream(folder, quick=False)
