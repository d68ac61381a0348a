"""The import under arbitrary files: it takes them or says why not, and nothing else happens."""

import gzip
import io
import shutil
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import BadInputError
from model.storage.event_log import open_log
from model.workspace import Workspace
from pipelines.readers.parquet import columns
from tests.pipelines.writing import T0, click, events_in, interactions, run_import, write_files

CSV = interactions(
    click("u1", "i1"), f'"u 2",i2,rating,4.5,{T0}', "u3,i3,like,,2024-01-01T00:00:00Z"
).encode()
ITEMS = b'item_id,title,genres,hidden\ni1,"A, B",x|y,true\ni2,,z,\n'
USERS = b"user_id,age\nu1,30\nu2,\n"


def parquet(columns, **options):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


PARQUET = parquet(
    {
        "user_id": ["u1", "u2"], "item_id": ["a", "b"], "event_type": ["click", "rating"],
        "value": [None, 4.0], "timestamp": [T0, T0 + 1], "tags": [["x"], None],
    }
)  # fmt: skip
FILES = {
    "interactions.csv": CSV,
    "interactions.csv.gz": gzip.compress(CSV, mtime=0),
    "interactions.parquet": PARQUET,
    "u.data": b"1\t2\t3\t881250949\n4\t5\t1\t891717742\n",
    "u.item": b"1|Toy Story (1995)|01-Jan-1995||http://x|" + b"|".join([b"0"] * 19) + b"\n",
    "u.user": b"1|24|M|technician|85711\n",
    "ml-100k.inter": b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    b"1\t2\t3\t881250949\n",
    "ratings.dat": b"1::2::3::978300760\n",
    "movies.dat": b"1::Toy Story (1995)::Animation|Comedy\n",
    "users.dat": b"1::F::1::10::48067\n",
    "items.csv": ITEMS,
    "users.csv": USERS,
}
BESIDE = {
    "u.item": "u.data", "u.user": "u.data", "movies.dat": "ratings.dat",
    "users.dat": "ratings.dat", "items.csv": "interactions.csv", "users.csv": "interactions.csv",
}  # fmt: skip


half = (settings.default or settings()).max_examples // 2


@st.composite
def damaged(draw, content):
    """Content with bytes changed, taken out, put in or doubled."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(made) - 1, 0)))
        match draw(st.sampled_from(["change", "cut", "insert", "double", "end"])):
            case "change" if made:
                made[at] = draw(st.integers(0, 255))
            case "cut":
                del made[at : at + draw(st.integers(1, 40))]
            case "insert":
                made[at:at] = draw(
                    st.binary(max_size=12)
                    | st.sampled_from([b"\0", b'"', b"\xff\xfe", b",,,\n", b"|"])
                )
            case "double":
                made[at:at] = made[at : at + draw(st.integers(1, 200))]
            case _:
                del made[at:]
    return bytes(made)


def imported(files):
    """Whether the import took the files; it must take them again without a change."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))  # noqa: S108
    try:
        write_files(folder / "data", files)
        home = folder / "home"
        try:
            report = run_import(home, folder / "data")
        except BadInputError:
            if Workspace(home).log_path.exists():
                with closing(open_log(Workspace(home).log_path)) as log:
                    assert log.head() == 0
            return False
        before = events_in(home)
        assert len(before) == report.events > 0
        again = run_import(home, folder / "data")
        assert (again.events, again.items, again.users) == (0, 0, 0)
        assert events_in(home) == before
        return True
    finally:
        shutil.rmtree(folder)


def with_what_it_needs(name, content):
    beside = {BESIDE[name]: FILES[BESIDE[name]]} if name in BESIDE else {}
    return {**beside, name: content}


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=half)
@given(data=st.data())
def test_a_damaged_file_is_taken_or_refused_and_taken_again_without_a_change(name, data):
    content = data.draw(damaged(FILES[name]) | st.binary(max_size=300))
    imported(with_what_it_needs(name, content))


def test_no_damage_to_what_a_parquet_file_says_of_itself_ends_the_process(tmp_path):
    """Some of it makes pyarrow abort as soon as it is asked for a column of a row group."""
    path = tmp_path / "interactions.parquet"
    footer_bytes = int.from_bytes(PARQUET[-8:-4], "little")
    for place in range(len(PARQUET) - 8 - footer_bytes, len(PARQUET) - 8):
        content = bytearray(PARQUET)
        content[place] ^= 0x40
        path.write_bytes(content)
        with suppress(BadInputError):
            columns(path)


def test_the_undamaged_files_are_taken():
    for name in FILES:
        assert imported(with_what_it_needs(name, FILES[name]))


def test_a_gzip_bomb_is_refused_before_it_fills_anything(tmp_path):
    row = b"u,i,click,,1704067200," + b"x" * 60_000 + b"\n"
    header = b"user_id,item_id,event_type,value,timestamp,note\n"
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write(header)
        for _ in range(5_000):  # 300 MB
            file.write(row)
    folder = write_files(tmp_path / "data", {"interactions.csv.gz": packed.getvalue()})
    assert (folder / "interactions.csv.gz").stat().st_size < 1_000_000
    with pytest.raises(BadInputError, match="unpacks to more than 200 times"):
        run_import(tmp_path / "home", folder)


def with_a_note(text, n_rows):
    notes = pa.DictionaryArray.from_arrays(pa.array([0] * n_rows, pa.int32()), [text])
    return {
        "user_id": ["u"] * n_rows, "item_id": ["i"] * n_rows, "event_type": ["click"] * n_rows,
        "value": [1.0] * n_rows, "timestamp": [T0 + n for n in range(n_rows)], "note": notes,
    }  # fmt: skip


def test_a_parquet_bomb_is_refused_before_it_fills_anything(tmp_path):
    bomb = parquet(with_a_note("x" * 100_000_000, 1), compression="zstd")
    assert len(bomb) < 100_000
    folder = write_files(tmp_path / "data", {"interactions.parquet": bomb})
    with pytest.raises(BadInputError, match="unpacks to more than 200 times"):
        run_import(tmp_path / "home", folder)


def test_a_long_text_that_many_rows_name_is_refused_before_it_is_unfolded(tmp_path):
    table = parquet(with_a_note("x" * 2_000_000, 5_000))  # 10 GB once unfolded
    folder = write_files(tmp_path / "data", {"interactions.parquet": table})
    with pytest.raises(BadInputError, match="holds a text of 2,000,000 bytes"):
        run_import(tmp_path / "home", folder)
