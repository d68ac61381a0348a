import pytest

from model.errors import BadInputError
from pipelines.readers.formats import NAMES, detect, open_source
from tests.pipelines.writing import HEADER, write_files

RATINGS = {
    "slowwave": "interactions.csv",
    "movielens-100k": "u.data",
    "movielens-1m": "ratings.dat",
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("interactions.csv", "slowwave"),
        ("interactions.csv.gz", "slowwave"),
        ("interactions.parquet", "slowwave"),
        ("u.data", "movielens-100k"),
        ("u.data.gz", "movielens-100k"),
        ("ml-100k.inter", "movielens-100k"),
        ("ratings.dat", "movielens-1m"),
        ("ratings.dat.gz", "movielens-1m"),
        ("ratings_sample.dat.gz", "movielens-1m"),
    ],
)
def test_the_files_tell_the_format(tmp_path, name, expected):
    assert detect(write_files(tmp_path / "data", {name: b""})) == expected
    assert expected in NAMES


def test_files_of_two_formats_have_to_be_told_apart_by_the_user(tmp_path):
    folder = write_files(tmp_path, {"interactions.csv": HEADER, "u.data": "1\t2\t3\t4\n"})
    with pytest.raises(BadInputError, match="slowwave and movielens-100k; name one with --format"):
        open_source(folder, None)
    assert open_source(folder, "slowwave").format == "slowwave"
    assert open_source(folder, "movielens-100k").format == "movielens-100k"


def test_a_folder_without_a_data_set_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(BadInputError) as refused:
        open_source(tmp_path, None)
    for name, file in RATINGS.items():
        assert name in str(refused.value)
        assert file in str(refused.value)


@pytest.mark.parametrize(("format_name", "file"), RATINGS.items())
def test_a_named_format_has_to_be_there(tmp_path, format_name, file):
    with pytest.raises(BadInputError, match=file):
        open_source(tmp_path, format_name)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="got 'netflix'"):
        open_source(tmp_path, "netflix")


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="does not exist"):
        open_source(tmp_path / "missing", None)
    write_files(tmp_path, {"u.data": b""})
    with pytest.raises(BadInputError, match="is a file"):
        open_source(tmp_path / "u.data", None)


def test_two_files_for_one_table_are_refused(tmp_path):
    folder = write_files(tmp_path, {"interactions.csv": HEADER, "interactions.csv.gz": HEADER})
    with pytest.raises(BadInputError, match=r"interactions\.csv and interactions\.csv\.gz"):
        open_source(folder, None)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("user_id,item_id,event_type,value", "lacks timestamp"),
        ("a,b", "lacks user_id, item_id, event_type, value, timestamp; its columns are 'a', 'b'"),
        (HEADER.replace(",", ";"), "separate its columns by semicolons"),
        (HEADER.replace(",", "\t"), "separate its columns by tabs"),
        (HEADER + ",value", "names the column value more than once"),
        (HEADER + ",", "must have 1 to 64 printable characters, got ''"),
        (HEADER + "," + "x" * 65, "must have 1 to 64 printable characters"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(tmp_path, header, message):
    folder = write_files(tmp_path, {"interactions.csv": header + "\n"})
    with pytest.raises(BadInputError, match=message):
        open_source(folder, None)


def test_items_and_users_need_their_id_column(tmp_path):
    for name, column in (("items.csv", "item_id"), ("users.csv", "user_id")):
        folder = write_files(tmp_path / name, {"interactions.csv": HEADER, name: "id,x\n"})
        with pytest.raises(BadInputError, match=f"{name} lacks {column}"):
            open_source(folder, None)


def test_a_recbole_file_with_another_header_is_refused(tmp_path):
    folder = write_files(tmp_path, {"ml-100k.inter": "user_id:token\titem_id:token\n1\t2\n"})
    with pytest.raises(BadInputError, match="lacks rating:float, timestamp:float"):
        open_source(folder, None)
