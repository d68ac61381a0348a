import pyarrow as pa
import pytest

from model.errors import BadInputError
from model.interactions import Event, ItemChange
from model.slow.schema import AttributeType, Schema, read_schema, write_schema
from model.workspace import Workspace
from pipelines.console import Console
from tests.pipelines.writing import (
    HEADER,
    T0,
    click,
    events_in,
    interactions,
    items_in,
    run_import,
    users_in,
    write_files,
)


def test_a_row_becomes_an_event_with_everything_it_says(tmp_path):
    header = f"{HEADER},session_id,event_id,request_id,shown_items,retracts,device,price"
    folder = write_files(
        tmp_path / "data",
        {
            "interactions.csv": interactions(
                "u1,i1,rating,4.5,2024-01-01T01:00:00+01:00,s1,e1,r1,i1|i2,,phone,3",
                ",i2,click,,1704067200500,s1,e2,,,,phone,",
                "u1,,like,,1704067201,,e3,,,e1,,",
                "u1,,impression,,1704067202,,e4,,i1|i2,,,4",
                header=header,
            )
        },
    )
    report = run_import(tmp_path / "home", folder)
    assert report.n_bad_rows == 0
    ms = T0 * 1_000
    assert events_in(tmp_path / "home") == [
        Event("e1", "rating", ms, "u1", "i1", 4.5, "s1", "r1", ("i1", "i2"), None,
              {"device": "phone", "price": 3.0}),
        Event("e2", "click", ms + 500, None, "i2", None, "s1", properties={"device": "phone"}),
        Event("e3", "like", ms + 1_000, "u1", retracts="e1"),
        Event("e4", "impression", ms + 2_000, "u1", shown_items=("i1", "i2"),
              properties={"price": 4.0}),
    ]  # fmt: skip


def test_items_and_users_get_the_attributes_of_their_columns(tmp_path):
    home = tmp_path / "home"
    folder = write_files(
        tmp_path / "data",
        {
            "interactions.csv": interactions(click("u1", "i1")),
            "items.csv": "item_id,title,genres,price,new\ni1,A|B,x|y,3,true\ni2,,y,,false\n",
            "users.csv.gz": "user_id,age,zip\nu1,30,00123\nu2,41,99999\n",
        },
    )
    run_import(home, folder)
    items = {name: item.attributes for name, item in items_in(home).items()}
    assert items == {
        "i1": {"title": "A|B", "genres": ("x", "y"), "price": 3.0, "new": True},
        "i2": {"genres": ("y",), "new": False},
    }
    assert users_in(home) == {
        "u1": {"age": 30.0, "zip": "00123"},
        "u2": {"age": 41.0, "zip": "99999"},
    }


def test_parquet_and_csv_of_the_same_rows_are_the_same_events(tmp_path):
    home = tmp_path / "home"
    columns = {
        "user_id": [1, 2],
        "item_id": ["a", "b"],
        "event_type": ["rating", "click"],
        "value": [4.0, None],
        "timestamp": pa.array([T0 * 1_000, T0 * 1_000 + 1], pa.timestamp("ms", "UTC")),
        "price": [3.0, 2.5],
    }
    csv = interactions(f"1,a,rating,4,{T0},3", f"2,b,click,,{T0}.001,2.5", header=HEADER + ",price")
    run_import(home, write_files(tmp_path / "csv", {"interactions.csv": csv}))
    again = write_files(tmp_path / "parquet", {"interactions.parquet": pa.table(columns)})
    assert run_import(home, again).duplicates == 2
    assert len(events_in(home)) == 2


def test_events_are_written_in_the_order_of_time_then_of_the_file(tmp_path):
    rows = [click("u", f"i{n}", T0 - n % 3) for n in range(9)]
    folder = write_files(tmp_path / "data", {"interactions.csv": interactions(*rows)})
    run_import(tmp_path / "home", folder)
    found = [event.item_id for event in events_in(tmp_path / "home")]
    assert found == ["i2", "i5", "i8", "i1", "i4", "i7", "i0", "i3", "i6"]


BAD = {
    "u,i,glance,,{t}": "unknown_event_type",
    "u,i,click,,2024-01-01T00:00:00": "timestamp_naive",
    "u,i,click,,2999-01-01T00:00:00Z": "timestamp_in_future",
    "u,i,click,,12345": "timestamp_too_old",
    "u,i,click,,yesterday": "invalid_timestamp",
    "u,i,click,,": "missing_timestamp",
    "u,i,rating,NaN,{t}": "invalid_value",
    "u,i,rating,four,{t}": "invalid_value",
    "u,i,rating,,{t}": "missing_value",
    "u,,click,,{t}": "missing_item_id",
    "u,,impression,,{t}": "missing_item_id",
    ",i,click,,{t}": "missing_user_id",
    "x" * 257 + ",i,click,,{t}": "invalid_user_id",
    "u," + "x" * 100_000 + ",click,,{t}": "invalid_item_id",
    "a\x07b,i,click,,{t}": "invalid_user_id",
    "u,i,click": "wrong_width",
    '"u"x,i,click,,{t}': "invalid_csv",
}


def test_every_bad_row_is_counted_and_listed_and_spares_its_neighbours(tmp_path):
    good = [click("u", f"good{n}") for n in range(len(BAD))]
    bad = [row.format(t=T0) for row in BAD]
    rows = [row for pair in zip(bad, good, strict=True) for row in pair]
    folder = write_files(tmp_path / "data", {"interactions.csv": interactions(*rows)})
    report = run_import(tmp_path / "home", folder)
    assert report.events == len(good)
    assert report.n_bad_rows == len(bad)
    found = [(row.file, row.line, row.code) for row in report.bad_rows]
    lines = range(2, 2 + 2 * len(bad), 2)
    assert found == [
        ("interactions.csv", line, code) for line, code in zip(lines, BAD.values(), strict=True)
    ]
    assert all(len(row.reason) < 250 for row in report.bad_rows)


@pytest.mark.parametrize("row", BAD)
def test_strict_refuses_a_file_with_one_bad_row_and_writes_nothing(tmp_path, row):
    content = interactions(click("u", "i"), row.format(t=T0))
    folder = write_files(tmp_path / "data", {"interactions.csv": content})
    with pytest.raises(BadInputError, match=r"1 bad row and --strict, so nothing was imported"):
        run_import(tmp_path / "home", folder, strict=True)
    assert not (tmp_path / "home").exists()


def test_strict_takes_a_file_without_bad_rows(tmp_path):
    folder = write_files(tmp_path / "data", {"interactions.csv": interactions(click("u", "i"))})
    assert run_import(tmp_path / "home", folder, strict=True).events == 1


def test_at_most_a_hundred_bad_rows_are_listed_and_all_are_counted(tmp_path):
    content = interactions(click("u", "i"), *["u,i,glance,,0"] * 6_000)
    folder = write_files(tmp_path / "data", {"interactions.csv": content})
    report = run_import(tmp_path / "home", folder)
    assert report.n_bad_rows == 6_000
    assert [row.line for row in report.bad_rows] == list(range(3, 103))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"interactions.csv": ""}, "interactions.csv is empty"),
        ({"interactions.csv": HEADER + "\n"}, "interactions.csv is empty"),
        ({"u.data": ""}, "u.data is empty"),
        ({"interactions.csv": interactions("u,i,glance,,0")}, "1 row and not a usable one"),
        (
            {"interactions.csv": interactions(click("u", "i")), "items.csv": ""},
            "items.csv is empty: not even a header",
        ),
        (
            {"interactions.csv": interactions(click("u", "i")), "users.csv": "user_id,x\n,1\n"},
            "users.csv has 1 row and not a usable one",
        ),
        (
            {"interactions.csv": interactions(click("u", "i")), "items.csv.gz": b"item_id\ni\n"},
            "items.csv.gz is not a sound gzip file",
        ),
    ],
)
def test_a_data_set_that_cannot_be_used_changes_nothing(tmp_path, files, message):
    folder = write_files(tmp_path / "data", files)
    with pytest.raises(BadInputError, match=message):
        run_import(tmp_path / "home", folder)
    assert not (tmp_path / "home").exists()


def test_an_items_file_sets_whether_and_when_items_are_shown(tmp_path):
    items = (
        "item_id,hidden,available_from,available_until\n"
        f"i1,true,{T0},2024-02-01T00:00:00Z\ni2,,,\ni3,maybe,,\ni4,,never,\n"
    )
    files = {"interactions.csv": interactions(click("u", "i1")), "items.csv": items}
    report = run_import(tmp_path / "home", write_files(tmp_path / "data", files))
    found = items_in(tmp_path / "home")
    assert found["i1"] == ItemChange("i1", {}, True, T0 * 1_000, 1_706_745_600_000)  # noqa: FBT003
    assert found["i2"] == ItemChange("i2", {})
    assert [row.code for row in report.bad_rows] == ["invalid_hidden", "invalid_available_from"]


def test_the_schema_is_inferred_at_the_first_import(tmp_path):
    home = tmp_path / "home"
    rows = [click("u", f"i{n}", T0 + n) + ",phone" for n in range(40)]
    items = "".join(f"i{n},Film {n},{'x|y' if n % 2 else 'x'},{1950 + n}\n" for n in range(40))
    files = {
        "interactions.csv": interactions(*rows, header=HEADER + ",device"),
        "items.csv": "item_id,title,genres,year\n" + items,
    }
    run_import(home, write_files(tmp_path / "data", files))
    assert read_schema(Workspace(home).schema_path) == Schema(
        item={
            "title": AttributeType.TEXT,
            "genres": AttributeType.CATEGORIES,
            "year": AttributeType.NUMBER,
        },
        context={"device": AttributeType.CATEGORY},
    )


def test_an_edited_schema_is_kept_and_obeyed(tmp_path, capsys):
    home = tmp_path / "home"
    schema = Schema(item={"code": AttributeType.TEXT, "tags": AttributeType.CATEGORY})
    write_schema(schema, Workspace(home).schema_path)
    files = {
        "interactions.csv": interactions(click("u", "i1")),
        "items.csv": "item_id,code,tags,colour\ni1,7,a|b,red\n",
    }
    folder = write_files(tmp_path / "data", files)
    run_import(home, folder, console=Console())
    assert read_schema(Workspace(home).schema_path) == schema
    assert items_in(home)["i1"].attributes == {"code": "7", "tags": "a|b", "colour": "red"}
    assert "does not mention the item attributes colour" in capsys.readouterr().out


def test_a_number_by_the_schema_refuses_rows_where_it_is_none(tmp_path):
    home = tmp_path / "home"
    schema = Schema(item={"price": AttributeType.NUMBER})
    write_schema(schema, Workspace(home).schema_path)
    files = {
        "interactions.csv": interactions(click("u", "i1")),
        "items.csv": "item_id,price\ni1,3\ni2,cheap\ni3,NaN\n",
    }
    report = run_import(home, write_files(tmp_path / "data", files))
    assert [(row.line, row.code) for row in report.bad_rows] == [(3, "invalid_price")]
    assert items_in(home)["i3"].attributes == {}


def test_a_broken_schema_or_configuration_stops_the_import_before_it_writes(tmp_path):
    folder = write_files(tmp_path / "data", {"interactions.csv": interactions(click("u", "i"))})
    for name in ("schema.toml", "slowwave.toml"):
        home = write_files(tmp_path / name, {name: "[films]\n"})
        with pytest.raises(BadInputError, match=name):
            run_import(home, folder)
        assert not Workspace(home).log_path.exists()


def test_event_types_of_the_configuration_are_taken(tmp_path):
    home = write_files(tmp_path / "home", {"slowwave.toml": "[events.read]\noutcome='success'\n"})
    content = interactions(f"u,i,read,,{T0}")
    folder = write_files(tmp_path / "data", {"interactions.csv": content})
    assert run_import(home, folder).events == 1
