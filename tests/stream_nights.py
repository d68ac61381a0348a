"""Nights on the days of a protocol, honest ones and sabotaged ones: how often the gates err.

`python -m tests.stream_nights ml-100k --data FOLDER` trains on the history and goes through
the days of the replay as the product would. At some of the longer days, evenly spread, it also
tries on a copy what every kind of sabotage makes of the day. A candidate's true quality is the
change of NDCG@10 and log-loss, from the served model, on the honest events that come next.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.workspace import Config
from pipelines.console import Console
from pipelines.evaluation.protocols.registry import open_streams
from pipelines.evaluation.sealed_log import events_between, metadata_of
from pipelines.evaluation.stream import Stream
from pipelines.evaluation.trial import train_on
from tests.nights import append
from tests.sabotage import KINDS, entries_of, made, night_of, table, tell

FUTURE: Final = 3_000
LEAST_FUTURE: Final = 300


class Truth:
    """The honest events of a stream, to judge a candidate on those that come next."""

    def __init__(self, stream: Stream) -> None:
        """Reads all of them into columns."""
        from tests.tiny_model import columns_of

        events = events_between(stream, 0, len(stream))
        self._columns, self._described = columns_of(events, metadata_of(stream))

    def quality(self, folder: Path, row: int) -> tuple[float, float]:
        """NDCG@10 and outcome log-loss of a bundle on the events from this row on."""
        from model.slow.bundle import load_bundle
        from model.slow.evaluation import evaluate
        from model.slow.examples import Examples

        stop, bundle = min(row + FUTURE, len(self._columns)), load_bundle(folder)
        examples = Examples(self._columns.take(np.arange(stop)), bundle.space, self._described)
        found = evaluate(bundle, examples, np.arange(row, stop))
        return float(found.ndcg.mean()), float(found.losses.mean())

    def harm(self, home: Path, report: dict[str, Any], row: int) -> tuple[float, float] | None:
        """The candidate's true relative change of NDCG@10 and of log-loss."""
        if report["verdict"] == "nothing_new" or len(self._columns) - row < LEAST_FUTURE:
            return None
        before, after = (self.quality(folder, row) for folder in made(home, report))
        return after[0] / before[0] - 1.0, after[1] / before[1] - 1.0


def make_home(home: Path, stream: Stream, seed: int) -> None:
    """A workspace with the history of a stream, and a model trained on it."""
    if stream.config != Config():
        raise ValueError(f"{stream.name} has settings of its own")
    train_on(stream, stream.bootstrap, home, seed=seed, console=Console(quiet=True))


def nights(
    stream: Stream, folder: Path, seed: int, each: int, kinds: list[str]
) -> Iterator[dict[str, Any]]:
    """Goes through the days of the replay; what became of every night."""
    home, truth = folder / "home", Truth(stream)
    items = {item: stream.item_attributes.get(item, {}) for item in stream.items}
    make_home(home, stream, seed)
    ends = stream.nights.tolist()
    starts = [stream.bootstrap, *ends[:-1]]
    median = np.median(np.subtract(ends, starts))
    full = [
        day
        for day, (start, end) in enumerate(zip(starts, ends, strict=True))
        if end - start >= median and len(stream) - end >= LEAST_FUTURE
    ]
    tried = {full[at] for at in np.linspace(0, len(full) - 1, each).astype(int).tolist()}
    for day, (start, end) in enumerate(zip(starts, ends, strict=True)):
        honest = events_between(stream, start, end)
        for kind in kinds if day in tried else ["honest"]:
            here = home if kind == "honest" else Path(shutil.copytree(home, folder / "copy"))
            append(here, entries_of(kind, honest, items, day))
            begun = time.process_time()
            report = night_of(here, kind, day, int(stream.events.timestamp_ms[end - 1]))
            cpu_s = time.process_time() - begun
            which = {"kind": kind, "seed": seed, "night": day, "events": end - start}
            yield tell(which, report, truth.harm(here, report, end), cpu_s)
            if here is not home:
                shutil.rmtree(here)


def main() -> None:
    """Prints refusals and harm, kind by kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=("ml-100k", "world"))
    parser.add_argument("--data", type=Path, help="Folder of the data set.")
    parser.add_argument("--seeds", type=int, default=1, help="Of the model, and of the world.")
    parser.add_argument("--each", type=int, default=5, help="Sabotaged nights of a kind and seed.")
    parser.add_argument("--kinds", default=",".join(KINDS))
    asked = parser.parse_args()
    # the honest night last: what follows stands on it
    kinds = [*(kind for kind in asked.kinds.split(",") if kind != "honest"), "honest"]
    told = []
    for seed in range(asked.seeds):
        [stream] = open_streams(asked.protocol, asked.data, quick=False, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            told += list(nights(stream, Path(folder), seed, asked.each, kinds))
    sys.stdout.write(table(told))


if __name__ == "__main__":
    main()
