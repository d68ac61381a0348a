"""Small data sets on the disk, and what the log makes of them."""

import gzip
from contextlib import closing

import pyarrow.parquet as pq

from model.interactions import Kind
from model.storage.event_log import event_of, open_log
from model.workspace import Workspace
from pipelines.console import Console
from pipelines.importing import import_path

NOW_MS = 1_750_000_000_000
T0 = 1_704_067_200  # 2024-01-01, in seconds
SILENT = Console(quiet=True)
HEADER = "user_id,item_id,event_type,value,timestamp"


def write_files(folder, files):
    """Writes text, bytes or Parquet tables under their names; a name in .gz is gzipped."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if name.endswith(".parquet") and not isinstance(content, bytes):
            pq.write_table(content, folder / name)
            continue
        raw = content.encode() if isinstance(content, str) else content
        zipped = name.endswith(".gz") and isinstance(content, str)
        (folder / name).write_bytes(gzip.compress(raw) if zipped else raw)
    return folder


def interactions(*rows, header=HEADER):
    return "\n".join([header, *rows]) + "\n"


def click(user, item, at_s=T0):
    return f"{user},{item},click,,{at_s}"


def run_import(home, folder, **options):
    options = {"format": None, "strict": False, "now_ms": NOW_MS, "console": SILENT} | options
    return import_path(Workspace(home), folder, **options)


def events_in(home):
    """All events of a workspace's log, in its order."""
    with closing(open_log(Workspace(home).log_path)) as log:
        return [event_of(row) for row in log.tail(0, limit=1_000_000) if row.kind == Kind.EVENT]


def items_in(home):
    with closing(open_log(Workspace(home).log_path)) as log:
        return {item.item_id: item for item in log.catalogue().items}


def users_in(home):
    with closing(open_log(Workspace(home).log_path)) as log:
        return {user.user_id: dict(user.attributes or {}) for user in log.users()}
