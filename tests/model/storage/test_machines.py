"""The log and the registry against plain models of them, in any order of calls."""

import itertools
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from model.errors import NotFoundError
from model.interactions import Event, ItemChange, Kind, UserChange, actor_of
from model.storage.event_log import open_log, user_digest
from model.storage.registry import Registry
from tests.model.storage.entries import (
    ENTRIES,
    FEW_IDS,
    NOW_MS,
    entry_of,
    items_after,
    users_after,
)
from tests.model.storage.publishing import CREATED_MS, MANIFEST, fill, publish

# Nothing here is about the disk, and waiting for one takes most of the time.
MEMORY_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (quick, and gone)


class LogMachine(RuleBasedStateMachine):
    """Two handles on one log, and a list of what must be in it."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY_DISK))
        self.log = open_log(self.folder / "events.db")
        self.other = open_log(self.folder / "events.db")
        self.rows = {}  # seq to entry; None for an erasure
        self.head = 0
        self.erased = {}

    def entries(self):
        return [entry for _, entry in sorted(self.rows.items()) if entry is not None]

    def items(self):
        return items_after(list(self.log.tail(0)))

    @rule(entries=ENTRIES)
    def append(self, entries):
        known = {entry.event_id for entry in self.entries() if isinstance(entry, Event)}
        appended = self.log.append(entries, NOW_MS)
        for place, entry in enumerate(entries):
            if isinstance(entry, Event):
                assert (place in appended.duplicates) == (entry.event_id in known)
                known.add(entry.event_id)
        written = [e for place, e in enumerate(entries) if place not in appended.duplicates]
        assert appended.accepted == len(written)
        self.note(written, appended.first_seq)

    def note(self, written, first_seq):
        if written:
            assert first_seq == self.head + 1
            self.rows.update(zip(itertools.count(first_seq), written, strict=False))
            self.head += len(written)

    @rule(name=FEW_IDS, hidden=st.booleans())
    def amend_an_item(self, name, hidden):
        def amend(present):
            return replace(present or ItemChange(name, {"made": True}), hidden=hidden)

        before = self.other.item(name)
        appended = self.log.amend_item(name, amend, NOW_MS)
        if appended.accepted:
            self.note([amend(before)], appended.first_seq)

    @rule(name=FEW_IDS, age=st.floats(0, 9))
    def amend_a_user(self, name, age):
        appended = self.log.amend_user(name, lambda _: UserChange(name, {"age": age}), NOW_MS)
        if appended.accepted:
            self.note([UserChange(name, {"age": age})], appended.first_seq)

    @rule(name=FEW_IDS)
    def erase(self, name):
        gone = {
            seq
            for seq, entry in self.rows.items()
            if isinstance(entry, (Event, UserChange)) and entry.user_id == name
        }
        erased = self.log.erase_user(name, NOW_MS)
        assert erased.events + erased.changes == len(gone)
        for seq in gone:
            del self.rows[seq]
        assert (erased.seq is None) == (not gone)
        if gone:
            self.head += 1
            assert erased.seq == self.head
            self.rows[self.head] = None
            self.erased[user_digest(name)] = self.head

    @rule()
    def open_again(self):
        self.log.close()
        self.log = open_log(self.folder / "events.db")

    @invariant()
    def every_handle_says_the_same(self):
        for log in (self.log, self.other):
            assert log.head() == self.head
            rows = log.tail(0, limit=10**6)
            assert [row.seq for row in rows] == sorted(self.rows)
            for row in rows:
                entry = self.rows[row.seq]
                assert row.kind == Kind.ERASURE if entry is None else entry_of(row) == entry
            assert log.erasures() == self.erased
            users = users_after(rows)
            assert {user.user_id: user for user in log.users()} == users

    @invariant()
    def what_is_looked_up_is_what_the_rows_say(self):
        rows = self.other.tail(0, limit=10**6)
        events = [row for row in rows if row.kind == Kind.EVENT]
        for actor in {actor_of(row) for row in events}:
            if actor is not None:
                mine = [row for row in events if actor_of(row) == actor]
                assert self.other.actor_rows(actor, self.head) == mine
        assert all(self.other.event(row.event_id or "") == row for row in events)
        # nothing that the rows say is missing; an item may be known whose deletion was
        # written before events of an erased user had named it
        expected = items_after(rows)
        assert {item.item_id: item for item in self.other.catalogue().items} == expected

    def teardown(self):
        self.log.close()
        self.other.close()
        shutil.rmtree(self.folder)


class RegistryMachine(RuleBasedStateMachine):
    """A registry, and the versions that must be in it."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY_DISK))
        self.registry = Registry(self.folder / "models")
        self.numbers = itertools.count()
        self.versions, self.way_back, self.current = [], [], None

    def serve(self, version):
        if version in self.way_back:
            del self.way_back[self.way_back.index(version) :]
        elif self.current not in (None, version):
            self.way_back.append(self.current)
        self.current = version

    @rule()
    def publish(self):
        version = publish(self.registry, f"{next(self.numbers)}")
        self.versions.append(version)
        self.serve(version)

    @rule()
    def publish_and_be_killed_before_it_is_served(self):
        current = self.folder / "models" / "CURRENT"
        served = self.folder / "models" / "SERVED"
        before = [path.read_bytes() if path.exists() else None for path in (current, served)]
        self.versions.append(publish(self.registry, f"{next(self.numbers)}"))
        for path, content in zip((current, served), before, strict=True):
            path.unlink() if content is None else path.write_bytes(content)

    @rule()
    def refuse(self):
        with self.registry.stage() as staged:
            fill(staged, {"text": f"{next(self.numbers)}".encode()})
            name = self.registry.keep_refused(staged, MANIFEST, created_ms=CREATED_MS)
        assert self.registry.refused()[-1] == name
        assert self.registry.manifest(name)["version"] == name

    @precondition(lambda self: self.current is not None)
    @rule()
    def roll_back(self):
        if self.way_back:
            assert self.registry.rollback() == self.way_back[-1]
            self.serve(self.way_back[-1])
        else:
            try:
                self.registry.rollback()
            except NotFoundError:
                return
            raise AssertionError("there was nothing to go back to")

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def roll_to(self, data):
        version = data.draw(st.sampled_from(self.versions))
        assert self.registry.rollback(version) == version
        self.serve(version)

    @precondition(lambda self: self.current is not None)
    @rule(keep=st.integers(1, 4))
    def prune(self, keep):
        gone = [v for v in self.versions[:-keep] if v != self.current]
        assert self.registry.prune(keep) == gone
        self.versions = [version for version in self.versions if version not in gone]
        self.way_back = [version for version in self.way_back if version not in gone]

    @rule()
    def open_again(self):
        self.registry = Registry(self.folder / "models")

    @invariant()
    def current_is_complete_and_the_versions_are_those_published(self):
        assert self.registry.current() == self.current
        assert self.registry.versions() == self.versions
        if self.current is not None:
            self.registry.open(self.current)

    def teardown(self):
        shutil.rmtree(self.folder)


some = settings(
    max_examples=(settings.default or settings()).max_examples // 2, stateful_step_count=20
)
TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = some
TestRegistryMachine = RegistryMachine.TestCase
TestRegistryMachine.settings = some
