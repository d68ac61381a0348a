"""What every back end promises. A subclass provides the fixture and inherits the tests."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.errors import BadInputError
from model.interactions import Event, ItemChange, LogRow, UserChange, session_actor
from model.storage.event_log import EventLog, event_of, item_of, user_of
from tests.model.storage.entries import (
    ENTRIES,
    EVENTS,
    NOW_MS,
    append_in_pieces,
    click,
    clicks,
    entry_of,
    items_after,
    users_after,
)

Opener: TypeAlias = Callable[[], EventLog]

# A fresh log is made inside each example, and several back ends may inherit one test.
in_a_contract = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
)


class EventLogContract:
    """What every event log promises.

    A subclass provides the fixture `new_log`. Each call of it makes a new, empty log and
    gives a function that opens it, as often as wanted.
    """

    @pytest.fixture
    def new_log(self) -> Callable[[], Opener]:
        raise NotImplementedError

    @pytest.fixture
    def log(self, new_log):
        log = new_log()()
        yield log
        log.close()

    def test_an_empty_log_has_head_0_and_nothing_in_it(self, log):
        assert log.head() == 0
        assert log.tail(0) == []
        assert log.actor_rows("u1", 10) == []
        assert log.event("e1") is None
        assert log.item("i1") is None
        assert log.user("u1") is None
        assert list(log.users()) == []
        assert log.erasures() == {}
        assert (log.catalogue().seq, log.catalogue().items) == (0, ())

    def test_an_append_of_nothing_writes_nothing(self, log):
        appended = log.append([], NOW_MS)
        assert (appended.accepted, appended.duplicates) == (0, ())
        assert (appended.first_seq, appended.last_seq) == (None, None)

    def test_an_append_says_which_positions_it_wrote(self, log):
        first = log.append(clicks(3), NOW_MS)
        second = log.append(clicks(2, start=3), NOW_MS)
        assert (first.accepted, first.first_seq, first.last_seq) == (3, 1, 3)
        assert (second.accepted, second.first_seq, second.last_seq) == (2, 4, 5)
        assert [row.seq for row in log.tail(0)] == [1, 2, 3, 4, 5]

    def test_positions_are_right_for_appends_of_any_size(self, log):
        for size in (1, 99, 100, 101, 250):
            head = log.head()
            appended = log.append(clicks(size, start=head), NOW_MS)
            assert (appended.first_seq, appended.last_seq) == (head + 1, head + size)
            assert [row.event_id for row in log.tail(head)] == [
                f"e{number}" for number in range(head, head + size)
            ]

    def test_head_follows_every_append(self, log):
        for number in range(1, 6):
            log.append([click(f"e{number}")], NOW_MS)
            assert log.head() == number
            assert log.head() == number

    def test_head_follows_the_appends_of_another_handle(self, new_log):
        open_again = new_log()
        mine, other = open_again(), open_again()
        assert mine.head() == 0
        other.append(clicks(4), NOW_MS)
        assert mine.head() == 4
        assert mine.tail(0) == other.tail(0)
        mine.close()
        other.close()

    def test_what_was_appended_is_there_after_closing_and_opening(self, new_log):
        open_again = new_log()
        log = open_again()
        log.append([*clicks(3), ItemChange("i9", {"title": "Nine"})], NOW_MS)
        rows, catalogue = log.tail(0), log.catalogue()
        log.close()
        log = open_again()
        assert (log.tail(0), log.catalogue(), log.head()) == (rows, catalogue, 4)
        log.close()

    def test_every_field_of_an_event_comes_back(self, log):
        event = Event(
            "e1",
            "impression",
            NOW_MS - 5,
            user_id="u1",
            item_id=None,
            value=0.1,
            session_id="s1",
            request_id="r1",
            shown_items=("i2", "i1"),
            retracts="e0",
            properties={"device": "phone", "hour": 13.0, "tags": ("a", "b"), "new": True},
        )
        log.append([event], NOW_MS)
        row = log.event("e1")
        assert row == log.tail(0)[0]
        assert event_of(row) == event
        assert (row.timestamp_ms, row.received_ms) == (NOW_MS - 5, NOW_MS)

    def test_metadata_rows_carry_the_moment_they_were_received(self, log):
        log.append([ItemChange("i1", {"title": "One"}), UserChange("u1", {"age": 7.0})], NOW_MS)
        assert [(row.timestamp_ms, row.received_ms) for row in log.tail(0)] == [
            (NOW_MS, NOW_MS),
            (NOW_MS, NOW_MS),
        ]

    def test_a_known_event_id_is_a_duplicate_and_the_first_stays(self, log):
        log.append([click("e1", "i1")], NOW_MS)
        appended = log.append([click("e2"), click("e1", "i2"), click("e3")], NOW_MS)
        assert (appended.accepted, appended.duplicates) == (2, (1,))
        assert log.event("e1").item_id == "i1"
        assert [row.event_id for row in log.tail(0)] == ["e1", "e2", "e3"]

    def test_the_same_event_id_twice_in_one_call_counts_once(self, log):
        appended = log.append([click("e1", "i1"), click("e1", "i2"), click("e2")], NOW_MS)
        assert (appended.accepted, appended.duplicates) == (2, (1,))
        assert log.event("e1").item_id == "i1"

    def test_a_duplicate_leaves_the_catalogue_alone(self, log):
        log.append([click("e1", "i1"), ItemChange("i1", None)], NOW_MS)
        log.append([click("e1", "i1"), click("e1", "i2")], NOW_MS)
        assert log.catalogue().items == ()

    def test_an_entry_that_cannot_be_stored_refuses_the_whole_call(self, log):
        for bad in (
            Event("bad", "rating", NOW_MS, "u1", "i1", value=float("nan")),
            Event("bad", "click", NOW_MS, "u1", "i1", properties={"hour": float("inf")}),
            Event("bad", "click", 2**70, "u1", "i1"),
            Event("bad", "click", NOW_MS, "u\0", "i1"),
            Event("bad", "click", NOW_MS, "u1", ""),
            UserChange("", {}),
            Event("b\ud800d", "click", NOW_MS, "u1", "i1"),
            Event("bad", "click", NOW_MS, "u1", "i1", session_id="\ud800"),
        ):
            with pytest.raises(BadInputError):
                log.append([click("good"), bad], NOW_MS)
            assert log.head() == 0
            assert log.catalogue().items == ()
        log.append([click("good")], NOW_MS)
        assert log.head() == 1

    def test_tail_stops_at_its_limit_and_at_through_seq(self, log):
        log.append(clicks(10), NOW_MS)
        assert [row.seq for row in log.tail(3, limit=4)] == [4, 5, 6, 7]
        assert [row.seq for row in log.tail(3, through_seq=5)] == [4, 5]
        assert log.tail(10) == []
        with pytest.raises(BadInputError, match="limit must be at least 1, got 0"):
            log.tail(0, limit=0)

    def test_actor_rows_are_the_actors_events_and_nothing_else(self, log):
        log.append(
            [
                click("e1", user_id="u1"),
                click("e2", user_id="u2"),
                UserChange("u1", {"age": 3.0}),
                click("e3", user_id="u1"),
                click("e4", user_id=None),
                click("e5", user_id="u1"),
            ],
            NOW_MS,
        )
        assert [row.event_id for row in log.actor_rows("u1", 4)] == ["e1", "e3"]
        assert [row.event_id for row in log.actor_rows("u1", log.head())] == ["e1", "e3", "e5"]
        assert log.actor_rows("u9", 9) == []

    def test_a_session_is_an_actor_where_nobody_signed_in(self, log):
        log.append(
            [
                click("e1", user_id=None, session_id="s"),
                click("e2", user_id="u1", session_id="s"),
                click("e3", user_id="s"),
            ],
            NOW_MS,
        )
        assert [row.event_id for row in log.actor_rows(session_actor("s"), 3)] == ["e1"]
        assert [row.event_id for row in log.actor_rows("u1", 3)] == ["e2"]
        assert [row.event_id for row in log.actor_rows("s", 3)] == ["e3"]

    def test_an_event_puts_an_unknown_item_into_the_catalogue(self, log):
        log.append([click("e1", "i1")], NOW_MS)
        assert log.catalogue().items == (ItemChange("i1", {}),)
        assert log.head() == 1

    def test_an_event_changes_nothing_of_a_known_item(self, log):
        item = ItemChange("i1", {"title": "One"}, hidden=True, available_until_ms=5)
        log.append([item, click("e1", "i1")], NOW_MS)
        log.append([click("e2", "i1")], NOW_MS)
        assert log.catalogue().items == (item,)

    def test_an_event_after_a_deletion_does_not_put_the_item_back(self, log):
        item, deletion = ItemChange("i1", {"title": "One"}), ItemChange("i1", None)
        log.append([item, deletion, click("e1", "i1")], NOW_MS)
        assert log.append([click("e2", "i1")], NOW_MS).accepted == 1
        assert log.catalogue().items == ()
        assert log.item("i1") is None
        log.append([item, click("e3", "i1")], NOW_MS)
        assert log.catalogue().items == (item,)

    def test_metadata_equal_to_the_present_state_are_not_written(self, log):
        item = ItemChange("i1", {"year": 1995.0, "genres": ("a", "b")}, available_from_ms=3)
        user = UserChange("u1", {"age": 24.0, "new": False})
        assert log.append([item, user], NOW_MS).accepted == 2
        reordered = ItemChange("i1", {"genres": ("a", "b"), "year": 1995}, available_from_ms=3)
        appended = log.append([reordered, user, ItemChange("i2", None)], NOW_MS)
        assert (appended.accepted, appended.duplicates) == (0, (0, 1, 2))
        assert log.head() == 2

    def test_metadata_that_change_there_and_back_are_written_each_time(self, log):
        old, new = ItemChange("i1", {"price": 1.0}), ItemChange("i1", {"price": 2.0})
        appended = log.append([old, new, old, old], NOW_MS)
        assert (appended.accepted, appended.duplicates) == (3, (3,))
        assert log.catalogue().items == (old,)

    def test_true_and_1_are_different_attributes(self, log):
        log.append([UserChange("u1", {"flag": True})], NOW_MS)
        assert log.append([UserChange("u1", {"flag": 1.0})], NOW_MS).accepted == 1
        assert log.user("u1")["flag"] is not True

    def test_deleted_items_and_users_are_gone_but_their_rows_stay(self, log):
        log.append([ItemChange("i1", {}), UserChange("u1", {})], NOW_MS)
        log.append([ItemChange("i1", None), UserChange("u1", None)], NOW_MS)
        assert log.catalogue().items == ()
        assert log.user("u1") is None
        assert list(log.users()) == []
        assert item_of(log.tail(2)[0]) == ItemChange("i1", None)
        assert user_of(log.tail(2)[1]) == UserChange("u1", None)

    def test_users_are_listed_by_id_however_many_there_are(self, log):
        names = [f"u{number:04d}" for number in range(2_500)]
        changes = [UserChange(name, {"age": 1.0}) for name in names]
        log.append(changes[::-1], NOW_MS)
        assert list(log.users()) == changes

    def test_a_half_read_list_of_users_does_not_hide_new_events(self, log):
        log.append([UserChange(f"u{number}", {}) for number in range(5)], NOW_MS)
        users = log.users()
        next(users)
        log.append([click("e1")], NOW_MS)
        assert log.head() == 6
        assert len(list(users)) == 4

    def test_rows_of_another_kind_are_not_decoded_as_one(self, log):
        log.append([click("e1"), ItemChange("i1", {"a": 1.0}), UserChange("u1", {})], NOW_MS)
        event, item, user = log.tail(0)
        for decoder, row in ((event_of, item), (item_of, user), (user_of, event)):
            with pytest.raises(BadInputError, match=f"got row {row.seq} of kind {row.kind}"):
                decoder(row)

    def test_one_thread_appends_while_another_reads(self, log):
        done = threading.Event()

        def append():
            for start in range(0, 600, 20):
                log.append(clicks(20, start=start), NOW_MS)
            done.set()

        with ThreadPoolExecutor(1) as writer:
            appending = writer.submit(append)
            read: list[LogRow] = []
            while not done.is_set() or log.head() > len(read):
                read += log.tail(len(read))
                assert log.catalogue().seq >= len(read)
            appending.result()
        assert [row.event_id for row in read] == [f"e{number}" for number in range(600)]

    @in_a_contract
    @given(entries=ENTRIES)
    def test_rows_decode_to_the_entries_they_store(self, new_log, entries):
        log = new_log()()
        appended = log.append(entries, NOW_MS)
        kept = [e for index, e in enumerate(entries) if index not in appended.duplicates]
        assert [entry_of(row) for row in log.tail(0)] == kept
        log.close()

    @in_a_contract
    @given(entries=ENTRIES, cuts=st.lists(st.integers(0, 100), max_size=4))
    def test_appends_in_any_batching_give_the_same_log(self, new_log, entries, cuts):
        at_once, in_pieces = new_log()(), new_log()()
        at_once.append(entries, NOW_MS)
        append_in_pieces(in_pieces, entries, cuts)
        assert in_pieces.tail(0) == at_once.tail(0)
        assert in_pieces.catalogue() == at_once.catalogue()
        assert list(in_pieces.users()) == list(at_once.users())
        at_once.close()
        in_pieces.close()

    @in_a_contract
    @given(entries=ENTRIES)
    def test_catalogue_and_users_are_what_the_rows_say(self, new_log, entries):
        log = new_log()()
        append_in_pieces(log, entries, [len(entries) // 2])
        rows, snapshot = log.tail(0), log.catalogue()
        assert snapshot.seq == len(rows) == log.head()
        expected = items_after(rows)
        assert {item.item_id: item for item in snapshot.items} == expected
        assert [item.item_id for item in snapshot.items] == sorted(expected)
        assert all(log.item(name) == item for name, item in expected.items())
        users = users_after(rows)
        assert {user.user_id: user for user in log.users()} == users
        assert all(log.user(name) == user.attributes for name, user in users.items())
        log.close()

    @in_a_contract
    @given(events=st.lists(EVENTS, max_size=20), again=st.randoms(use_true_random=False))
    def test_events_sent_again_in_any_order_never_change_the_log(self, new_log, events, again):
        log = new_log()()
        log.append(events, NOW_MS)
        rows, catalogue = log.tail(0), log.catalogue()
        repeated = again.sample(events, len(events))
        appended = log.append(repeated, NOW_MS + 1)
        assert appended.duplicates == tuple(range(len(events)))
        assert (log.tail(0), log.catalogue()) == (rows, catalogue)
        log.close()

    @in_a_contract
    @given(entries=ENTRIES, limit=st.integers(1, 9))
    def test_tail_page_by_page_equals_one_read(self, new_log, entries, limit):
        log = new_log()()
        log.append(entries, NOW_MS)
        pages, after = [], 0
        while page := log.tail(after, limit=limit):
            pages += page
            after = page[-1].seq
        assert pages == log.tail(0)
        log.close()
