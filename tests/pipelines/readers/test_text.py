import csv
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BadInputError
from pipelines.readers import text
from pipelines.readers.tables import CHUNK_ROWS
from pipelines.readers.text import Layout

CSV = Layout(2, has_header=True)


def read(path, layout=CSV, convert=None):
    chunks = list(text.chunks(path, layout, convert))
    rows = [tuple(row) for chunk in chunks for row in chunk.rows]
    return rows, [row for chunk in chunks for row in chunk.bad]


def written(tmp_path, content, name="file.csv"):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_rows_come_with_the_lines_they_begin_on(tmp_path):
    path = written(tmp_path, 'a,b\n1,2\n\n"3\n3",4\n5,6\n')
    assert read(path)[0] == [(2, ["1", "2"]), (4, ["3\n3", "4"]), (6, ["5", "6"])]


def test_line_ends_of_any_system_and_a_byte_order_mark_are_fine(tmp_path):
    path = written(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4")
    assert text.header(path) == ("a", "b")
    assert read(path)[0] == [(2, ["1", "2"]), (3, ["3", "4"])]


def test_gzipped_files_read_as_the_plain_ones(tmp_path):
    content = "a,b\n" + "".join(f"{n},x\n" for n in range(12_000))
    plain = read(written(tmp_path, content))
    assert read(written(tmp_path, gzip.compress(content.encode()), "file.csv.gz")) == plain
    assert len(plain[0]) == 12_000


def test_chunks_are_bounded_and_tell_how_far_they_are(tmp_path):
    path = written(tmp_path, "a,b\n" + "1,2\n" * (2 * CHUNK_ROWS + 1))
    chunks = list(text.chunks(path, CSV))
    assert [len(chunk.rows) for chunk in chunks] == [CHUNK_ROWS, CHUNK_ROWS, 1]
    assert [chunk.done for chunk in chunks] == sorted(chunk.done for chunk in chunks)
    assert chunks[-1].done == 1.0


@pytest.mark.parametrize(
    ("row", "code", "reason"),
    [
        ("1", "wrong_width", "expected 2 fields, got 1"),
        ("1,2,3", "wrong_width", "expected 2 fields, got 3"),
        ('"1"x,2', "invalid_csv", "not CSV"),
        ("x" * 140_000 + ",2", "invalid_csv", "longer than 131,072 characters"),
        (b"\xe9t\xe9,2", "encoding", "not UTF-8 text (byte 0xE9); save the file as UTF-8"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_spares_its_neighbours(tmp_path, row, code, reason):
    row = row.encode() if isinstance(row, str) else row
    rows, bad = read(written(tmp_path, b"a,b\n1,2\n" + row + b"\n3,4\n"))
    assert rows == [(2, ["1", "2"]), (4, ["3", "4"])]
    assert [(b.file, b.line, b.code) for b in bad] == [("file.csv", 3, code)]
    assert reason in bad[0].reason


def test_a_quotation_mark_that_never_closes_says_how_much_is_lost(tmp_path):
    rows, bad = read(written(tmp_path, 'a,b\n1,2\n"3,4\n5,6\n7,8\n'))
    assert rows == [(2, ["1", "2"])]
    assert bad[0].line == 3
    assert "never closed; everything up to line 5 is lost" in bad[0].reason


def test_a_bad_byte_in_a_blank_looking_row_is_not_passed_over(tmp_path):
    layout = Layout(1, "\t")
    _, bad = read(written(tmp_path, b"ok\n\xff\n"), layout)
    assert [b.line for b in bad] == [2]


def test_a_converter_may_refuse_a_row(tmp_path):
    def convert(fields):
        if fields[0] == "3":
            raise BadInputError("three is not liked", "invalid_a")
        return [fields[1], fields[0]]

    rows, bad = read(written(tmp_path, "a,b\n1,2\n3,4\n"), convert=convert)
    assert rows == [(2, ["2", "1"])]
    assert [tuple(b) for b in bad] == [("file.csv", 3, "invalid_a", "three is not liked")]


def test_separated_fields_know_no_quotation_marks(tmp_path):
    path = written(tmp_path, '1::"Hi" (1995)::a|b\n')
    assert read(path, Layout(3, "::"))[0] == [(1, ["1", '"Hi" (1995)', "a|b"])]


def test_latin_1_reads_every_byte(tmp_path):
    path = written(tmp_path, b"1|\xe9t\xe9\n")
    assert read(path, Layout(2, "|", "latin-1"))[0] == [(1, ["1", "été"])]


GZIPPED = gzip.compress(b"a,b\n" + b"1,2\n3,4\n" * 9, mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("file.csv.gz", GZIPPED[:-1], "truncated"),
        ("file.csv.gz", GZIPPED[:-12], "truncated"),
        ("file.csv.gz", b"a,b\n1,2\n", "not_gzip"),
        ("file.csv.gz", GZIPPED[:-8] + bytes(8), "not_gzip"),
        ("file.csv.gz", gzip.compress(bytes(3 << 20), mtime=0), "endless_line"),
        ("file.csv.gz", gzip.compress(b"x" * (3 << 20), mtime=0), "endless_line"),
        ("file.csv", "a,b\n1,2\n".encode("utf-16"), "encoding"),
        ("file.csv", "a,b\n1,2\n".encode("utf-16-le"), "encoding"),
    ],
)
def test_a_file_that_is_damaged_as_a_whole_is_refused(tmp_path, name, content, code):
    path = written(tmp_path, content, name)
    with pytest.raises(BadInputError, match=name) as refused:
        read(path)
    assert refused.value.code == code


def test_an_endless_line_anywhere_refuses_the_file(tmp_path):
    path = written(tmp_path, b"a,b\n1,2\n" + b"x" * (2 << 20))
    with pytest.raises(BadInputError, match="line 3 is longer than 1,048,576 bytes"):
        read(path)


@pytest.mark.parametrize("cut", range(1, len(GZIPPED)))
def test_a_gzip_file_cut_anywhere_is_refused(tmp_path, cut):
    with pytest.raises(BadInputError):
        read(written(tmp_path, GZIPPED[:cut], "file.csv.gz"))


def test_a_file_that_cannot_be_opened_is_refused_by_name(tmp_path):
    (tmp_path / "file.csv").mkdir()
    with pytest.raises(BadInputError, match=r"file\.csv cannot be read"):
        text.header(tmp_path / "file.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n1,2\n", "empty"),
        (b"\xe9t\xe9,b\n", "its header is not UTF-8 text"),
        (b'"a,b\n', "its header is not CSV"),
    ],
)
def test_a_file_without_a_header_is_refused(tmp_path, content, message):
    with pytest.raises(BadInputError, match=message):
        text.header(written(tmp_path, content))


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=8)


@given(rows=st.lists(st.tuples(cells, cells).filter(any), max_size=8))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "file.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("a", "b"), *rows])
    good, bad = read(path)
    assert [tuple(fields) for _, fields in good] == rows
    assert bad == []
