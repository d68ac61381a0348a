"""What every event log promises of changes to what is there: amending it, and erasing a user."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import NotFoundError
from model.interactions import Event, ItemChange, Kind, UserChange
from model.storage.event_log import user_digest
from tests.contracts import in_a_contract
from tests.model.storage.entries import EVENTS, ITEM_CHANGES, NOW_MS, USER_CHANGES, click

# To delete an item that only the erased user named is news, or not: all others commute.
DESCRIBED_ITEMS = ITEM_CHANGES.filter(lambda item: item.attributes is not None)


def everything(log: Any) -> tuple[Any, ...]:
    """All that a log says, apart from positions and erasures."""
    rows = [row._replace(seq=0) for row in log.tail(0) if row.kind != Kind.ERASURE]
    return rows, log.catalogue().items, list(log.users())


class ErasingContract:
    """A subclass provides the fixtures of `EventLogContract`."""

    def test_an_amendment_starts_from_the_present_state(self, log):
        item = ItemChange("i1", {"title": "One"}, hidden=True)
        log.append([item], NOW_MS)
        appended = log.amend_item("i1", lambda present: replace(present, hidden=False), NOW_MS)
        assert (appended.accepted, appended.first_seq) == (1, 2)
        assert log.item("i1") == replace(item, hidden=False)
        log.amend_user("u1", lambda present: present or UserChange("u1", {"age": 3.0}), NOW_MS)
        log.amend_user("u1", lambda present: UserChange("u1", {**present.attributes, "b": 1.0}), 0)
        assert log.user("u1") == {"age": 3.0, "b": 1.0}

    def test_an_amendment_that_changes_nothing_is_not_written(self, log):
        log.append([ItemChange("i1", {"title": "One"})], NOW_MS)
        appended = log.amend_item("i1", lambda present: present, NOW_MS)
        assert (appended.accepted, appended.duplicates, log.head()) == (0, (0,), 1)

    def test_an_amendment_that_refuses_changes_nothing(self, log):
        def refuse(present):
            assert present is None
            raise NotFoundError("no such item")

        log.append([ItemChange("gone", {}), ItemChange("gone", None)], NOW_MS)
        for name in ("never", "gone"):
            with pytest.raises(NotFoundError):
                log.amend_item(name, refuse, NOW_MS)
        with pytest.raises(NotFoundError):
            log.amend_user("never", refuse, NOW_MS)
        assert log.head() == 2
        assert log.append([click("e1")], NOW_MS).accepted == 1

    def test_an_erased_user_is_gone_but_for_a_digest(self, log):
        log.append([UserChange("u1", {"age": 3.0}), click("e1", "i1", "u1")], NOW_MS)
        log.append([click("e2", "i2", "u2"), UserChange("u1", {"age": 4.0})], NOW_MS)
        erased = log.erase_user("u1", NOW_MS + 1)
        assert (erased.events, erased.changes, erased.items, erased.seq) == (1, 2, 1, 5)
        assert erased.digest == user_digest("u1")
        assert log.head() == 5
        other, erasure = log.tail(0)
        assert (other.event_id, erasure.kind, erasure.seq) == ("e2", Kind.ERASURE, 5)
        assert "u1" not in str(erasure)
        assert log.actor_rows("u1", 9) == []
        assert (log.user("u1"), list(log.users()), log.event("e1")) == (None, [], None)
        assert log.catalogue().items == (ItemChange("i2", {}),)
        assert log.erasures() == {user_digest("u1"): 5}

    def test_erasing_somebody_unknown_writes_nothing(self, log):
        log.append([click("e1")], NOW_MS)
        erased = log.erase_user("nobody", NOW_MS)
        assert (erased.events, erased.changes, erased.items, erased.seq) == (0, 0, 0, None)
        assert (log.head(), log.erasures()) == (1, {})

    def test_sessions_and_namesakes_stay(self, log):
        log.append([click("e1", user_id=None, session_id="u1"), ItemChange("u1", {})], NOW_MS)
        log.append([click("e2", user_id="u1", session_id="s1")], NOW_MS)
        assert log.erase_user("u1", NOW_MS).events == 1
        assert [row.event_id for row in log.tail(0)[:2]] == ["e1", None]
        assert log.item("u1") is not None

    def test_an_erased_user_may_come_back_and_be_erased_again(self, log):
        log.append([click("e1", user_id="u1")], NOW_MS)
        log.erase_user("u1", NOW_MS)
        assert log.append([click("e1", user_id="u1")], NOW_MS).accepted == 1
        again = log.erase_user("u1", NOW_MS)
        assert (again.events, again.seq) == (1, 4)
        assert log.erasures() == {user_digest("u1"): 4}

    @in_a_contract
    @given(entries=st.lists(EVENTS | DESCRIBED_ITEMS | USER_CHANGES, max_size=25))
    def test_a_log_after_an_erasure_says_what_one_says_in_which_the_user_never_was(
        self, new_log, entries
    ):
        # an id of its own each: what is a duplicate must not depend on the erased user
        entries = [
            replace(entry, event_id=str(number)) if isinstance(entry, Event) else entry
            for number, entry in enumerate(entries)
        ]
        whole, without = new_log()(), new_log()()
        whole.append(entries, NOW_MS)
        without.append([e for e in entries if getattr(e, "user_id", None) != "a"], NOW_MS)
        whole.erase_user("a", NOW_MS)
        assert everything(whole) == everything(without)
        whole.close()
        without.close()
