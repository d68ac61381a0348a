"""A process that appends to a log and says so: `python -m ... PATH WRITER BATCHES SIZE SHARED`.

Prints a line with first position, last position and duplicates after each append that
came back. Of each batch, the last SHARED events have ids that every writer uses.
"""

import sys
from pathlib import Path

from model.interactions import Event, ItemChange
from model.storage.event_log import open_log

NOW_MS = 1_700_000_000_000


def batch(writer, number, size, shared):
    ids = [f"{writer}:{number}:{n}" for n in range(size - shared)]
    ids += [f"shared:{number}:{n}" for n in range(shared)]
    events = [Event(name, "click", NOW_MS, writer, f"i{n}") for n, name in enumerate(ids)]
    # a metadata change in each transaction: it must go or come with its events
    return [*events, ItemChange(f"of {writer}", {"batch": float(number)})]


def main(path, writer, batches, size, shared):
    log = open_log(Path(path))
    for number in range(int(batches)):
        appended = log.append(batch(writer, number, int(size), int(shared)), NOW_MS)
        duplicates = len(appended.duplicates)
        sys.stdout.write(f"{appended.first_seq} {appended.last_seq} {duplicates}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
