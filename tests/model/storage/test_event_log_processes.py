"""The event log under real processes: many at once, and killed at any moment."""

import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing

import numpy as np

from model.interactions import Kind, LogRow
from model.storage.event_log import item_of, open_log
from tests.model.storage.entries import NOW_MS, click

SIZE = 20


def start_writer(path, writer, batches, shared=0):
    command = [sys.executable, "-m", "tests.model.storage.appending"]
    command += [str(path), writer, str(batches), str(SIZE), str(shared)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def acknowledged(output):
    # a line that the kill cut short was not read as an acknowledgement
    lines = output[: output.rfind("\n") + 1].splitlines()
    return [tuple(int(part) for part in line.split()) for line in lines]


def ids_of(rows):
    return [row.event_id for row in rows if row.kind == Kind.EVENT]


def test_a_writer_killed_at_any_moment_loses_no_acknowledged_event_and_writes_no_half_batch(
    tmp_path,
):
    path, rng, after = tmp_path / "events.db", np.random.default_rng(), 0
    n_acknowledged = 0
    for life in range(8):
        writer = start_writer(path, f"w{life}", 100_000)
        first = writer.stdout.readline()  # alive and appending
        delay_s = rng.uniform(0, 0.15)
        try:
            writer.wait(delay_s)
        except subprocess.TimeoutExpired:
            writer.kill()
        output = first + writer.communicate()[0]
        assert writer.returncode == -9, f"killed {delay_s} s after the first append"
        acks = acknowledged(output)
        n_acknowledged += len(acks)

        with closing(open_log(path)) as log:
            rows = log.tail(after, limit=10**9)
            head, catalogue = log.head(), log.catalogue()
            assert log.append([click(f"after life {life}")], NOW_MS).accepted == 1
        # positions run on without a gap, and batches are whole, in order, each once
        assert [row.seq for row in rows] == list(range(after + 1, head + 1))
        n_batches = len(rows) // (SIZE + 1)
        assert ids_of(rows) == [f"w{life}:{b}:{n}" for b in range(n_batches) for n in range(SIZE)]
        # at most the one batch that was under way is there without its acknowledgement
        assert len(acks) <= n_batches <= len(acks) + 1
        assert [ack[:2] for ack in acks] == [
            (after + 1 + b * (SIZE + 1), after + (b + 1) * (SIZE + 1)) for b in range(len(acks))
        ]
        # the catalogue stands where the rows stand
        states = {item.item_id: item for item in catalogue.items}
        assert catalogue.seq == head
        assert states[f"of w{life}"] == item_of(rows[-1])
        after = head + 1
    assert n_acknowledged > 8


def create_and_append(barrier, path):
    barrier.wait()
    with closing(open_log(path)) as log:
        log.append([click(str(os.getpid()))], NOW_MS)


def test_a_log_created_by_many_processes_at_once_is_one_log(tmp_path):
    fork = multiprocessing.get_context("fork")
    for attempt in range(10):
        path, barrier = tmp_path / f"{attempt}.db", fork.Barrier(4)
        creators = [fork.Process(target=create_and_append, args=(barrier, path)) for _ in range(4)]
        for creator in creators:
            creator.start()
        for creator in creators:
            creator.join()
        assert [creator.exitcode for creator in creators] == [0] * 4
        with closing(open_log(path)) as log:
            assert set(ids_of(log.tail(0))) == {str(creator.pid) for creator in creators}


def test_several_writers_and_a_reader_share_one_order_and_each_event_once(tmp_path):
    path, n_batches, shared = tmp_path / "events.db", 40, 5
    open_log(path).close()
    writers = {f"w{n}": start_writer(path, f"w{n}", n_batches, shared) for n in range(3)}
    seen: list[LogRow] = []
    with closing(open_log(path)) as log:
        while any(writer.poll() is None for writer in writers.values()) or log.head() > len(seen):
            if log.head() > len(seen):
                seen += log.tail(len(seen), limit=50)
        assert seen == log.tail(0)
    outputs = {name: acknowledged(writer.communicate()[0]) for name, writer in writers.items()}
    assert all(writer.returncode == 0 for writer in writers.values())

    assert [row.seq for row in seen] == list(range(1, len(seen) + 1))
    times = Counter(ids_of(seen))
    assert set(times.values()) == {1}
    expected = {f"{w}:{b}:{n}" for w in writers for b in range(n_batches) for n in range(15)}
    assert set(times) == expected | {f"shared:{b}:{n}" for b in range(n_batches) for n in range(5)}
    # of every shared id, one writer's was accepted and the others' were duplicates
    assert sum(ack[2] for acks in outputs.values() for ack in acks) == 2 * n_batches * shared
    for name, acks in outputs.items():
        own = [row for row in seen if row.event_id is not None and row.event_id.startswith(name)]
        assert [row.event_id for row in own] == [
            f"{name}:{b}:{n}" for b in range(n_batches) for n in range(15)
        ]
        # each append lies where its acknowledgement says, unmixed with the others'
        for number, (first, last, _) in enumerate(acks):
            inside = [row for row in own if first <= row.seq <= last]
            assert ids_of(inside) == [f"{name}:{number}:{n}" for n in range(15)]
