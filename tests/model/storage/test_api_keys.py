import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import BadInputError, NotFoundError
from model.storage.api_keys import KeyRing, load_keys, new_key, save_keys

READ = frozenset({"read"})
ADMIN = frozenset({"read", "write", "admin"})


def key(number, scopes=READ, name="shop"):
    return new_key(name, scopes, bytes([number]) * 32, 1_000)


def test_a_key_opens_its_scopes_and_no_other_key_does():
    first, stored_first = key(1)
    second, stored_second = key(2, ADMIN)
    ring = KeyRing((stored_first, stored_second))
    assert ring.scopes(first) == READ
    assert ring.scopes(second) == ADMIN
    assert ring.scopes(key(3)[0]) is None


@given(presented=st.text())
def test_no_text_that_is_not_the_key_opens_anything(presented):
    assert KeyRing((key(1)[1],)).scopes(presented) is None
    assert KeyRing().scopes(presented) is None


def test_saved_keys_load_equal_and_the_key_itself_is_not_in_the_file(tmp_path):
    path = tmp_path / "keys.json"
    presented, stored = key(1, ADMIN)
    ring = KeyRing((stored, key(2)[1]))
    save_keys(ring, path)
    assert load_keys(path) == ring
    assert load_keys(path).scopes(presented) == ADMIN
    assert presented not in path.read_text()
    assert presented.removeprefix("sw_") not in path.read_text()


def test_a_missing_file_holds_no_keys(tmp_path):
    assert load_keys(tmp_path / "keys.json") == KeyRing()


def test_a_revoked_key_is_unknown_and_the_others_stay():
    first, stored_first = key(1)
    second, stored_second = key(2)
    ring = KeyRing().with_key(stored_first).with_key(stored_second).without(stored_first.key_id)
    assert ring.scopes(first) is None
    assert ring.scopes(second) == READ


def test_revoking_an_unknown_key_names_the_known_ones():
    stored = key(1)[1]
    with pytest.raises(NotFoundError, match=stored.key_id):
        KeyRing((stored,)).without("key-00000000")


@pytest.mark.parametrize(
    ("name", "scopes", "entropy", "message"),
    [
        ("shop", frozenset(), b"x" * 32, "got none"),
        ("shop", frozenset({"root"}), b"x" * 32, "got root"),
        ("", READ, b"x" * 32, "1 to 100"),
        ("a\nb", READ, b"x" * 32, "printable"),
        ("shop", READ, b"x" * 31, "at least 32 bytes, got 31"),
    ],
)
def test_a_key_that_cannot_be_is_refused(name, scopes, entropy, message):
    with pytest.raises(BadInputError, match=message):
        new_key(name, scopes, entropy, 0)


def good_row():
    stored = key(1)[1]
    return {
        "id": stored.key_id,
        "name": "shop",
        "sha256": stored.sha256,
        "scopes": ["read"],
        "created_ms": 1,
    }


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '"text"',
        json.dumps({"keys": []}),
        json.dumps({"format": "slowwave-keys/2", "keys": []}),
        json.dumps({"format": "slowwave-keys/1"}),
        json.dumps({"format": "slowwave-keys/1", "keys": [{}]}),
        json.dumps({"format": "slowwave-keys/1", "keys": [good_row() | {"sha256": "ab"}]}),
        json.dumps({"format": "slowwave-keys/1", "keys": [good_row() | {"sha256": "g" * 64}]}),
        json.dumps({"format": "slowwave-keys/1", "keys": [good_row() | {"scopes": ["root"]}]}),
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_an_error_and_not_an_empty_ring(tmp_path, content):
    path = tmp_path / "keys.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadInputError, match=r"keys\.json"):
        load_keys(path)


def test_the_rows_of_the_damaged_files_are_good_where_they_are_not_damaged(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"format": "slowwave-keys/1", "keys": [good_row()]}))
    assert load_keys(path).scopes(key(1)[0]) == READ
