from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.errors import BadInputError
from pipelines.readers import parquet

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def written(tmp_path, **columns):
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def cells(path):
    return [row.cells for chunk in parquet.chunks(path) for row in chunk.rows]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (["a", None], ["a", ""]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        ([7, None], ["7", ""]),
        ([7.0, 4.5, float("nan")], ["7", "4.5", "nan"]),
        ([1e300], ["1e+300"]),
        ([True, False, None], ["true", "false", ""]),
        ([Decimal("1.50")], ["1.50"]),
        ([["a", "b"], [], None, ["c", None]], [("a", "b"), (), (), ("c",)]),
        ([[1, 2]], [("1", "2")]),
        (pa.array([None, None], pa.null()), ["", ""]),
        ([date(2024, 1, 1)], ["2024-01-01"]),
        (pa.array([NOON], pa.timestamp("ns", "UTC")), ["2024-01-01T12:00:00+00:00"]),
        (pa.array([NOON], pa.timestamp("s", "UTC")), ["2024-01-01T12:00:00+00:00"]),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us")), ["2024-01-01T12:00:00"]),
    ],
)
def test_values_become_the_text_that_a_csv_file_would_hold(tmp_path, values, texts):
    assert [row[0] for row in cells(written(tmp_path, x=values))] == texts


def test_nanoseconds_are_cut_to_milliseconds(tmp_path):
    path = written(tmp_path, x=pa.array([1_704_110_400_123_456_789], pa.timestamp("ns", "UTC")))
    assert cells(path) == [["2024-01-01T12:00:00.123000+00:00"]]


def test_rows_are_numbered_from_one_across_chunks(tmp_path):
    chunks = list(parquet.chunks(written(tmp_path, x=list(range(12_000)))))
    rows = [row for chunk in chunks for row in chunk.rows]
    assert [row.line for row in rows] == list(range(1, 12_001))
    assert [row.cells for row in rows] == [[str(n)] for n in range(12_000)]
    assert max(len(chunk.rows) for chunk in chunks) <= 5_000
    assert chunks[-1].done == 1.0


def test_an_empty_table_has_columns_and_no_rows(tmp_path):
    path = written(tmp_path, x=pa.array([], pa.string()))
    assert parquet.columns(path) == (("x",), frozenset({"x"}), {})
    assert cells(path) == []


def test_text_columns_are_told_from_numbers(tmp_path):
    path = written(tmp_path, x=["1"], y=[1], z=pa.array(["1"]).dictionary_encode())
    assert parquet.columns(path) == (("x", "y", "z"), frozenset({"x", "z"}), {})


@pytest.mark.parametrize("values", [[{"a": 1}], [b"raw"], [[["deep"]]]])
def test_columns_without_a_text_form_are_refused(tmp_path, values):
    with pytest.raises(BadInputError, match=r"file\.parquet: column x is of type"):
        parquet.columns(written(tmp_path, x=values))


def test_files_that_are_cut_or_no_parquet_are_refused(tmp_path):
    path = written(tmp_path, x=[str(n) for n in range(10_000)])
    content = path.read_bytes()
    for damaged in (b"", b"a,b\n1,2\n", content[: len(content) // 2], content[:-1]):
        path.write_bytes(damaged)
        with pytest.raises(BadInputError, match="not a sound Parquet file"):
            parquet.columns(path)


def test_damage_inside_a_file_is_found_while_reading(tmp_path):
    path = written(tmp_path, x=[str(n) for n in range(10_000)])
    content = path.read_bytes()
    path.write_bytes(content[:1_000] + bytes(5_000) + content[6_000:])
    with pytest.raises(BadInputError, match="not a sound Parquet file"):
        cells(path)


def test_text_that_is_not_utf_8_is_refused(tmp_path):
    broken = pa.array([b"\xe9t\xe9"]).cast(pa.string(), safe=False)
    with pytest.raises(BadInputError, match="not UTF-8"):
        cells(written(tmp_path, x=broken))
