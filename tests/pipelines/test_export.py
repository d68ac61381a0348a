"""What is exported and imported again is what it was; erasure from the command line."""

import json
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.errors import BadInputError
from model.interactions import Attributes, Event, ItemChange, Kind, UserChange
from model.storage.event_log import event_of, open_log, user_digest
from model.workspace import Workspace
from pipelines.cli import main
from pipelines.export import export
from pipelines.forget import forget
from tests.pipelines.writing import NOW_MS, SILENT, run_import

T_MS = 1_704_067_200_000
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6
)
NAMES = st.sampled_from(["colour", "size", "new", "tags", "mixed"])
VALUES = {
    "colour": WORDS | st.sampled_from(["a|b", "3", "true", "nan", '"x",y']),
    "size": st.floats(allow_nan=False, allow_infinity=False),
    "new": st.booleans(),
    "tags": st.lists(WORDS.map(str.strip).filter(len), min_size=1, max_size=3).map(tuple),
}  # fmt: skip
ATTRIBUTES = st.fixed_dictionaries({}, optional=VALUES)
IDS = st.sampled_from(["a", "b", "ü/ö", "1", "01"])
MOMENTS = st.none() | st.integers(1_000_000_000_000, 2_000_000_000_000)
EVENTS = st.lists(
    st.builds(
        Event,
        event_id=st.integers(0, 99).map(str),
        event_type=st.sampled_from(["click", "rating", "like"]),
        timestamp_ms=st.integers(T_MS, T_MS + 10**9),
        user_id=IDS,
        item_id=IDS,
        value=st.floats(allow_nan=False, allow_infinity=False),
        session_id=st.none() | IDS,
        request_id=st.none() | IDS,
        shown_items=st.just(()),
        retracts=st.none() | IDS,
        properties=ATTRIBUTES,
    ),
    min_size=1,
    max_size=8,
)
ITEMS = st.lists(
    st.builds(
        ItemChange, IDS, attributes=ATTRIBUTES, hidden=st.booleans(),
        available_from_ms=MOMENTS, available_until_ms=MOMENTS,
    ),
    max_size=4,
)  # fmt: skip
USERS = st.lists(st.builds(UserChange, IDS, attributes=ATTRIBUTES), max_size=4)


def contents(home):
    with closing(open_log(Workspace(home).log_path)) as log:
        rows = [row for row in log.tail(0, limit=10**6) if row.kind == Kind.EVENT]
        events = {row.event_id: event_of(row) for row in rows}
        return events, log.catalogue().items, list(log.users())


def write_log(home, *entries):
    home.mkdir(parents=True)
    with closing(open_log(Workspace(home).log_path)) as log:
        for some in entries:
            log.append(some, NOW_MS)
    return Workspace(home)


@settings(
    max_examples=(settings.default or settings()).max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=EVENTS, items=ITEMS, users=USERS)
def test_what_is_exported_as_parquet_comes_back_as_it_was(tmp_path_factory, events, items, users):
    folder = tmp_path_factory.mktemp("export")
    workspace = write_log(folder / "here", items, users, events)
    report = export(workspace, folder / "out", file_format="parquet", console=SILENT)
    assert report["left_out"] == []
    run_import(folder / "there", folder / "out")
    assert contents(folder / "there") == contents(folder / "here")


def test_what_is_exported_as_csv_comes_back_where_texts_do_not_look_like_something_else(tmp_path):
    events = [
        Event("e1", "rating", T_MS, "u1", "i1", 4.5, "s", "r", ("i1", "i2"), None, {"d": "phone"}),
        Event("e2", "like", T_MS + 1, "u1", retracts="e1"),
    ]
    items = [
        ItemChange("i1", {"title": 'A, "B"', "genres": ("x", "y"), "year": 1990.0}, hidden=True)
    ]
    users = [UserChange("u1", {"job": "baker", "new": True})]
    workspace = write_log(tmp_path / "here", items, users, events)
    export(workspace, tmp_path / "out", file_format="csv", console=SILENT)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "interactions.csv.gz", "items.csv.gz", "users.csv.gz",
    ]  # fmt: skip
    run_import(tmp_path / "there", tmp_path / "out")
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_a_deleted_item_that_events_name_stays_out_of_lists(tmp_path):
    event = Event("e1", "click", T_MS, "u1", "gone")
    workspace = write_log(tmp_path / "here", [event, ItemChange("gone", None)])
    export(workspace, tmp_path / "out", file_format="parquet", console=SILENT)
    run_import(tmp_path / "there", tmp_path / "out")
    assert contents(tmp_path / "there")[1] == (ItemChange("gone", {}, hidden=True),)


def test_attributes_named_as_columns_are_left_out_and_named(tmp_path):
    event = Event("e1", "click", T_MS, "u1", "i1", properties={"value": 3.0, "other": "x"})
    workspace = write_log(tmp_path / "here", [event, ItemChange("i1", {"hidden": True})])
    report = export(workspace, tmp_path / "out", file_format="parquet", console=SILENT)
    assert report["left_out"] == ["hidden", "value"]


def test_attributes_of_several_types_become_texts(tmp_path):
    values: tuple[Attributes, ...] = ({"x": 3.0}, {"x": True}, {"x": ("a", "b")})
    items = [ItemChange(f"i{n}", value) for n, value in enumerate(values, 1)]
    workspace = write_log(tmp_path / "here", items, [Event("e1", "click", T_MS, "u1", "i1")])
    export(workspace, tmp_path / "out", file_format="parquet", console=SILENT)
    run_import(tmp_path / "there", tmp_path / "out")
    found = [item.attributes["x"] for item in contents(tmp_path / "there")[1]]
    assert found == ["3.0", "true", "a|b"]


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_an_export_that_exists_is_not_touched_and_one_that_fails_leaves_nothing(
    tmp_path, file_format
):
    workspace = write_log(tmp_path / "here", [Event("e1", "click", T_MS, "u1", "i1")])
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInputError, match="exists"):
        export(workspace, tmp_path / "out", file_format=file_format, console=SILENT)
    with pytest.raises(BadInputError, match="import data first"):
        export(Workspace(tmp_path), tmp_path / "new", file_format=file_format, console=SILENT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "out"]


def test_a_user_is_forgotten_and_the_receipt_says_what_went(tmp_path):
    entries = [UserChange("u1", {"age": 3.0}), Event("e1", "click", T_MS, "u1", "i1")]
    workspace = write_log(tmp_path / "here", entries, [Event("e2", "click", T_MS, "u2", "i2")])
    receipt = forget(workspace, user_id="u1", now_ms=NOW_MS, console=SILENT)
    assert (receipt["events"], receipt["metadata_changes"], receipt["items"]) == (1, 1, 1)
    assert receipt["user_digest"] == user_digest("u1")
    events, items, users = contents(tmp_path / "here")
    assert (list(events), [item.item_id for item in items], users) == (["e2"], ["i2"], [])
    again = forget(workspace, user_id="u1", now_ms=NOW_MS, console=SILENT)
    assert (again["events"], again["seq"]) == (0, None)


def test_both_are_commands(tmp_path):
    from click.testing import CliRunner

    write_log(tmp_path / "here", [Event("e1", "click", T_MS, "u1", "i1")])
    home = ["--home", str(tmp_path / "here"), "--json"]
    done = CliRunner().invoke(main, ["export", str(tmp_path / "out"), *home])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output.splitlines()[-1])["events"] == 1
    done = CliRunner().invoke(main, ["forget", "u1", *home])
    assert json.loads(done.output.splitlines()[-1])["events"] == 1
    done = CliRunner().invoke(main, ["export", str(tmp_path / "out"), *home])
    assert done.exit_code == 2
