"""A memory in a file: worth as much as the log it stands for, and never trusted blindly."""

import io
import json

import numpy as np
import pytest

from model import snapshot
from model.fast.config import MemoryConfig
from model.interactions import EventRules, ItemChange
from model.recommender import Recommender
from model.request import Query
from model.slow.scorer import SlowScorer
from model.storage.event_log import open_log
from tests.recommending import MODEL, NOW_MS, event, recommender_on

RULES, CONFIG = EventRules(), MemoryConfig()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "memory" / "snapshot.npz"


def made_of(log, version="v", rules=RULES, config=CONFIG):
    return snapshot.stamp(version, rules, config, log)


def keep(log, path):
    recommender = recommender_on(log)
    snapshot.save(path, recommender.snapshot(), made_of(log), log)
    return recommender


def restored(log, path):
    kept = snapshot.load(path, made_of(log), log)
    assert kept is not None
    return Recommender(SlowScorer(MODEL.bundle), "v", log, RULES, CONFIG, snapshot=kept)


def lists(recommender):
    users = ["u1", "u2", "u7", "new"]
    queries = [Query(user_id=user, now_ms=NOW_MS + 60_000) for user in users]
    return recommender.scores([recommender.prepare(query) for query in queries])


def grown(log):
    """News of every kind: items new, changed, hidden and deleted, an event taken back."""
    log.append(
        [
            ItemChange("fresh", {"genres": ("odd",), "year": 1999.0}),
            ItemChange("i3", {"genres": ("even", "odd")}, available_until_ms=NOW_MS + 10_000_000),
            ItemChange("i4", None),
            ItemChange("i5", {"genres": ("even",)}, hidden=True),
            *(event(f"g{n}", user=f"u{n}", item="fresh", at=NOW_MS + n) for n in range(9)),
            *(event(f"n{n}", user=f"u{n}", item="unheard-of", at=NOW_MS + n) for n in range(4)),
            event("back", user="u1", item="fresh", kind="retract", at=NOW_MS + 50, retracts="g1"),
        ],
        NOW_MS + 1_000,
    )


def test_a_snapshot_and_the_rows_behind_it_recommend_to_the_bit_as_the_whole_log(log, path):
    grown(log)
    before = keep(log, path)
    log.append(
        [
            ItemChange("i4", {"genres": ("odd",)}),
            event("l1", user="u2", item="fresh", at=NOW_MS + 2_000),
            event("l2", user="new", item="unheard-of", at=NOW_MS + 3_000),
        ],
        NOW_MS + 4_000,
    )
    found, whole = restored(log, path), recommender_on(log)
    assert found.catalogue.ids == whole.catalogue.ids == before.catalogue.ids
    assert found.as_of == whole.as_of == log.head()
    np.testing.assert_array_equal(lists(found), lists(whole))
    for number in range(1, len(whole.catalogue)):
        assert found.catalogue.title(number) == whole.catalogue.title(number)
        assert found.catalogue.attribute_slots(number) == whole.catalogue.attribute_slots(number)


def test_a_snapshot_is_a_snapshot_of_the_snapshot(log, path):
    grown(log)
    keep(log, path)
    again = path.with_name("again.npz")
    snapshot.save(again, restored(log, path).snapshot(), made_of(log), log)
    one, other = (snapshot.load(each, made_of(log), log) for each in (path, again))
    assert one is not None
    assert other is not None
    assert one.items == other.items
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])


def test_what_was_made_of_something_else_is_passed_over_and_stays(log, path):
    keep(log, path)
    for other in (
        made_of(log, version="w"),
        made_of(log, rules=EventRules({})),
        made_of(log, config=MemoryConfig(cross_prior=3.0)),
    ):
        assert snapshot.load(path, other, log) is None
    assert snapshot.load(path, made_of(log), log) is not None


def test_another_log_is_noticed(log, path, tmp_path):
    keep(log, path)
    shorter = open_log(tmp_path / "shorter.db")
    assert snapshot.load(path, made_of(shorter), shorter) is None
    rows = [event(f"x{n}", user="u1", item="i1", at=NOW_MS) for n in range(log.head() + 5)]
    shorter.append(rows, NOW_MS)
    assert snapshot.load(path, made_of(shorter), shorter) is None
    shorter.close()


def test_an_erased_user_takes_the_snapshot_along(log, path):
    keep(log, path)
    assert b"u1" in path.read_bytes()
    log.erase_user("u1", NOW_MS)
    assert snapshot.load(path, made_of(log), log) is None
    assert not path.exists()


def test_a_snapshot_of_before_an_erasure_does_not_outlive_its_writing(log, path):
    recommender, stamp = recommender_on(log), made_of(log)
    log.erase_user("u1", NOW_MS)
    snapshot.save(path, recommender.snapshot(), stamp, log)
    assert not path.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
def test_a_damaged_snapshot_is_dropped(log, path, share):
    keep(log, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert snapshot.load(path, made_of(log), log) is None
    assert not path.exists()


def test_a_snapshot_with_a_wrong_byte_anywhere_is_dropped(log, path):
    keep(log, path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    places = np.concatenate([rng.integers(0, len(whole), 100), len(whole) - 1 - np.arange(1_500)])
    for place in places.tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        assert snapshot.load(path, made_of(log), log) is None
        assert not path.exists()


def test_a_snapshot_holds_no_pickles(log, path):
    keep(log, path)
    content = io.BytesIO(path.read_bytes()[32:])
    with np.load(content, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
        header = json.loads(file["header.bytes"].tobytes())
    assert header["format"] == snapshot.FORMAT


def test_without_a_snapshot_there_is_none(log, path):
    assert snapshot.load(path, made_of(log), log) is None
