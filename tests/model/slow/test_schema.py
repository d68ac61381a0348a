import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BadInputError
from model.slow.schema import AttributeType, Schema, infer_schema, read_schema, write_schema

CATEGORY, CATEGORIES = AttributeType.CATEGORY, AttributeType.CATEGORIES
NUMBER, TEXT = AttributeType.NUMBER, AttributeType.TEXT


def type_of(values):
    return infer_schema([{"x": value} for value in values], [], []).item["x"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([f"Film {n}" for n in range(100)], TEXT),
        ([f"{n % 80:05d}" for n in range(100)], TEXT),
        (["red", "green", "blue"] * 20, CATEGORY),
        ([("a", "b"), ("a",)], CATEGORIES),
        (["a", ("a", "b")], CATEGORIES),
        ([float(n) for n in range(1900, 2000)] * 2, NUMBER),
        ([1.0, 18.0, 25.0] * 5, CATEGORY),
        ([1990.0, 1991.0, 1992.0], NUMBER),
        ([True, False, True], CATEGORY),
        ([True], CATEGORY),
        ([1.0, "unknown"] * 5, CATEGORY),
    ],
)
def test_a_type_follows_from_the_values(values, expected):
    assert type_of(values) is expected


def test_very_many_values_are_text_even_when_each_comes_often():
    assert type_of([str(n % 50_001) for n in range(150_003)]) is TEXT
    assert type_of([str(n % 50_000) for n in range(150_000)]) is CATEGORY


def test_items_users_and_moments_are_told_apart():
    schema = infer_schema([{"a": "x"}] * 2, [{"b": 1.5}], [{"c": ("y",)}])
    assert schema == Schema({"a": CATEGORY}, {"b": NUMBER}, {"c": CATEGORIES})


def test_no_rows_give_an_empty_schema():
    assert infer_schema([], [], []) == Schema()


types = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(list(AttributeType)),
    max_size=5,
)


@given(item=types, user=types, context=types)
def test_a_written_schema_reads_back_equal(tmp_path_factory, item, user, context):
    path = tmp_path_factory.mktemp("schema") / "schema.toml"
    write_schema(Schema(item, user, context), path)
    assert read_schema(path) == Schema(item, user, context)


def test_a_missing_file_is_an_empty_schema(tmp_path):
    assert read_schema(tmp_path / "schema.toml") == Schema()


def test_the_file_explains_every_type(tmp_path):
    path = tmp_path / "schema.toml"
    write_schema(Schema(item={"genres": CATEGORIES}), path)
    text = path.read_text()
    assert '[item]\ngenres = "categories"\n' in text
    for kind in AttributeType:
        assert f'#   "{kind}"' in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[item]\ngenres = "category list"', "genres must be one of category, categories, number"),
        ("[item]\ngenres = 3", "got 3"),
        ('[item]\ngenres = ["category"]', "got ['category']"),
        ("[films]", "expected the tables item, user, context; got films"),
        ("item = 1", "item must be a table, got 1"),
        ("item", "is not valid TOML"),
        ("\N{LATIN SMALL LETTER E WITH ACUTE} = 1", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path, text, message):
    path = tmp_path / "schema.toml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BadInputError) as refused:
        read_schema(path)
    assert message in str(refused.value)
    assert "schema.toml" in str(refused.value)
