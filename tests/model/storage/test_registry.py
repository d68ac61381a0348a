"""The registry: versions that are whole or absent."""

import hashlib
import json
import os
import re

import pytest

from model.errors import (
    BadInputError,
    BusyError,
    CorruptBundleError,
    NoModelError,
    NotFoundError,
)
from model.storage.registry import Registry
from tests.model.storage.publishing import CREATED_MS, FILES, MANIFEST, fill, names_in, publish


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models")


def test_a_registry_that_was_never_written_is_empty_and_makes_no_folder(registry, tmp_path):
    assert registry.current() is None
    assert registry.versions() == []
    with pytest.raises(NotFoundError, match="no model version 'v0001-00000000'"):
        registry.open("v0001-00000000")
    assert names_in(tmp_path) == []


def test_a_published_version_is_complete_current_and_listed(registry):
    version = publish(registry)
    assert re.fullmatch(r"v0001-[0-9a-f]{8}", version)
    assert registry.current() == version
    assert registry.versions() == [version]
    folder = registry.open(version)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES


def test_the_manifest_states_what_was_given_and_what_was_sealed(registry):
    version = publish(registry, parent="v0000-00000000")
    manifest = registry.manifest(version)
    assert {key: manifest[key] for key in MANIFEST} == MANIFEST
    assert manifest["format"] == "slowwave-bundle/1"
    assert manifest["version"] == version
    assert manifest["created_ms"] == CREATED_MS
    assert manifest["parent"] == "v0000-00000000"
    assert set(manifest["files"]) == {*FILES, "text"}
    sha256 = hashlib.sha256(FILES["wide.npy"]).hexdigest()
    assert manifest["files"]["wide.npy"] == {"bytes": 5_000, "sha256": sha256}


def test_a_version_without_a_parent_says_null(registry):
    assert registry.manifest(publish(registry))["parent"] is None


def test_equal_files_have_equal_digits_and_other_files_have_others(registry):
    first, same, other = publish(registry, "a"), publish(registry, "a"), publish(registry, "b")
    assert [name[:6] for name in (first, same, other)] == ["v0001-", "v0002-", "v0003-"]
    assert first[6:] == same[6:] != other[6:]


def test_what_the_registry_states_cannot_be_given(registry):
    version = publish(registry, version="v9", files={}, format="x/9", created_ms=1)
    manifest = registry.manifest(version)
    assert (manifest["version"], manifest["created_ms"]) == (version, CREATED_MS)
    registry.open(version)


def test_versions_are_listed_by_number_beyond_four_digits_too(registry, tmp_path):
    publish(registry)
    (tmp_path / "models" / "v9999-00000000").mkdir()
    assert [publish(registry)[:7] for _ in range(2)] == ["v10000-", "v10001-"]
    assert [int(name[1:].split("-")[0]) for name in registry.versions()] == [1, 9999, 10000, 10001]


def test_a_staged_folder_is_empty_and_gone_afterwards(registry, tmp_path):
    with registry.stage() as staged:
        assert names_in(staged) == []
        fill(staged, FILES)
    assert not staged.exists()
    assert names_in(tmp_path / "models" / ".staging") == []
    publish(registry)
    assert names_in(tmp_path / "models" / ".staging") == []


def test_a_staged_folder_is_removed_when_its_work_fails(registry, tmp_path):
    with pytest.raises(ZeroDivisionError), registry.stage():
        raise ZeroDivisionError
    assert names_in(tmp_path / "models" / ".staging") == []


def test_two_staged_folders_do_not_disturb_each_other(registry):
    with registry.stage() as first, registry.stage() as second:
        assert first != second
        fill(first, FILES)
        fill(second, {"other": b"x"})
        one = registry.publish(first, MANIFEST, created_ms=CREATED_MS)
        with registry.stage():
            assert names_in(second) == ["other"]
        two = registry.publish(second, MANIFEST, created_ms=CREATED_MS)
    assert registry.versions() == [one, two]


def test_published_folders_can_be_read_by_others_than_the_publisher(registry):
    umask = os.umask(0o022)
    try:
        folder = registry.open(publish(registry))
    finally:
        os.umask(umask)
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes"])
def test_a_manifest_that_is_not_json_is_refused_and_nothing_is_published(registry, value):
    with pytest.raises(BadInputError, match="plain JSON"):
        publish(registry, metrics=value)
    assert (registry.versions(), registry.current()) == ([], None)


def test_an_empty_version_is_refused(registry):
    with registry.stage() as staged, pytest.raises(BadInputError, match="at least one file"):
        registry.publish(staged, MANIFEST, created_ms=CREATED_MS)


def test_a_version_with_a_link_in_it_is_refused(registry, tmp_path):
    with registry.stage() as staged:
        (staged / "link").symlink_to(tmp_path)
        with pytest.raises(BadInputError, match="link is none"):
            registry.publish(staged, MANIFEST, created_ms=CREATED_MS)
    assert tmp_path.is_dir()


def test_a_folder_that_was_not_staged_is_refused(registry, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(BadInputError, match="folder that stage"):
        registry.publish(tmp_path / "mine", MANIFEST, created_ms=CREATED_MS)
    with registry.stage() as staged:
        fill(staged, FILES)
        registry.publish(staged, MANIFEST, created_ms=CREATED_MS)
        with pytest.raises(BadInputError, match="folder that stage"):
            registry.publish(staged, MANIFEST, created_ms=CREATED_MS)
    assert len(registry.versions()) == 1


def test_a_refused_candidate_is_kept_apart_with_its_manifest(registry, tmp_path):
    served = publish(registry)
    for number in (1, 2):
        with registry.stage() as staged:
            fill(staged, FILES)
            verdicts = {**MANIFEST, "verdicts": {"quality": "failed"}}
            name = registry.keep_refused(staged, verdicts, created_ms=CREATED_MS)
        folder = tmp_path / "models" / "refused" / name
        assert name.startswith(f"r000{number}-")
        assert json.loads((folder / "manifest.json").read_text())["verdicts"] == {
            "quality": "failed"
        }
        assert (folder / "wide.npy").read_bytes() == FILES["wide.npy"]
        assert registry.manifest(name)["verdicts"] == {"quality": "failed"}
    assert (registry.current(), registry.versions()) == (served, [served])
    assert [name[:5] for name in registry.refused()] == ["r0001", "r0002"]


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_byte_in_any_file_is_found(registry, name):
    version = publish(registry)
    path = registry.open(version) / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptBundleError, match=f"{version}: expected {name} with"):
        registry.open(version)


def test_a_missing_or_truncated_file_is_found(registry):
    version = publish(registry)
    path = registry.open(version) / "wide.npy"
    path.write_bytes(FILES["wide.npy"][:-1])
    with pytest.raises(CorruptBundleError, match=r"wide\.npy"):
        registry.open(version)
    path.unlink()
    with pytest.raises(CorruptBundleError, match=r"wide\.npy cannot be read"):
        registry.open(version)


def change_manifest(registry, version, changes):
    path = registry.open(version) / "manifest.json"
    path.write_text(json.dumps(registry.manifest(version) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "slowwave-bundle/2"}, "of format 'slowwave-bundle/2'"),
        ({"version": "v0002-00000000"}, "belongs to version 'v0002-00000000'"),
        ({"files": None}, "no valid list of files"),
        ({"files": {"../CURRENT": {"bytes": 1, "sha256": "0" * 64}}}, "no valid list of files"),
        ({"files": {"wide.npy": {"bytes": 1, "sha256": "0"}}}, "no valid list of files"),
        ({"files": {"wide.npy": {"bytes": 1, "sha256": "0" * 64}}}, "was changed"),
        ({"files": {}}, "was changed"),
    ],
)
def test_a_changed_manifest_is_found(registry, changes, message):
    version = publish(registry)
    change_manifest(registry, version, changes)
    for use in (registry.manifest, registry.open, registry.rollback):
        with pytest.raises(CorruptBundleError, match=message):
            use(version)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_manifest_that_cannot_be_read_is_an_error(registry, content):
    version = publish(registry)
    (registry.open(version) / "manifest.json").write_bytes(content)
    with pytest.raises(CorruptBundleError, match=r"manifest\.json"):
        registry.manifest(version)


@pytest.mark.parametrize(
    "name", ["", "..", "../models", "refused", "v0001", "r0001-0a1b2c3d", "v1-0a1b2c3d" * 50]
)
def test_names_that_are_no_versions_are_not_found(registry, name):
    publish(registry)
    for use in (registry.manifest, registry.open, registry.rollback):
        with pytest.raises(NotFoundError, match="no model version"):
            use(name)


@pytest.mark.parametrize("content", [b"", b"v0009-00000000\n", b"../x", b"\xff\xfe"])
def test_a_damaged_pointer_is_an_error_and_not_an_empty_registry(registry, tmp_path, content):
    version = publish(registry)
    (tmp_path / "models" / "CURRENT").write_bytes(content)
    with pytest.raises(CorruptBundleError, match="CURRENT"):
        registry.current()
    assert registry.rollback(version) == version == registry.current()


def test_rollback_goes_back_one_version_or_to_the_named_one(registry):
    first, second, third = publish(registry, "1"), publish(registry, "2"), publish(registry, "3")
    assert registry.rollback() == second == registry.current()
    assert registry.rollback() == first == registry.current()
    with pytest.raises(NotFoundError, match=f"before {first}"):
        registry.rollback()
    assert registry.rollback(third) == third == registry.current()
    assert registry.versions() == [first, second, third]


def test_rollback_passes_over_a_version_that_was_never_served(registry, tmp_path):
    first, second, third = publish(registry, "1"), publish(registry, "2"), publish(registry, "3")
    # as if the process had been killed between the rename of the second and `CURRENT`
    (tmp_path / "models" / "SERVED").write_text(f"{first}\n")
    assert registry.versions() == [first, second, third]
    assert registry.rollback() == first
    assert registry.rollback(second) == second
    assert registry.rollback() == first


def test_what_was_rolled_back_from_is_not_on_the_way_back(registry):
    first, _ = publish(registry, "1"), publish(registry, "2")
    registry.rollback()
    publish(registry, "3")
    assert registry.rollback() == first


def test_rollback_without_versions_says_so(registry):
    with pytest.raises(NoModelError, match="none to go back to"):
        registry.rollback()


def test_rollback_to_a_damaged_version_is_refused_and_changes_nothing(registry):
    first, second = publish(registry, "1"), publish(registry, "2")
    (registry.open(first) / "text").write_text("x")
    with pytest.raises(CorruptBundleError):
        registry.rollback()
    assert registry.current() == second


def test_a_version_published_after_a_rollback_has_a_new_number(registry):
    publish(registry, "1")
    publish(registry, "2")
    registry.rollback()
    assert publish(registry, "3").startswith("v0003-")


def test_prune_keeps_the_newest_and_the_current(registry, tmp_path):
    first, second, third, fourth = (publish(registry, str(number)) for number in range(4))
    registry.rollback(second)
    assert registry.prune(1) == [first, third]
    assert registry.versions() == [second, fourth]
    assert registry.current() == second
    assert registry.prune(5) == []
    assert names_in(tmp_path / "models" / ".staging") == []


def test_prune_must_keep_one(registry):
    with pytest.raises(BadInputError, match="at least 1 version must be kept, got keep=0"):
        registry.prune(0)


def test_the_job_lock_is_held_once_and_free_again_afterwards(registry, tmp_path):
    with registry.lock():
        again = Registry(tmp_path / "models").lock()
        with pytest.raises(BusyError, match="another training or consolidation run"), again:
            pass
        # the holder itself publishes under it
        publish(registry)
    with registry.lock():
        pass


def test_an_error_inside_the_lock_comes_out_as_it_is(registry):
    with pytest.raises(BlockingIOError), registry.lock():
        raise BlockingIOError
