"""`python -m benchmarks.sleep RUN`: what skipped nights cost, and whether the next one repairs it.

RUN is the folder of `slowwave evaluate PROTOCOL --arms
ours,ours-sleepless,ours-memory,ours-memory-sleepless`. The deprived arms skip five nights of six;
questions are grouped by how many nights in a row were skipped before them, and the deprived arm is
held against the one that sleeps every night: NDCG@10 and the loss of outcomes, paired.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.metrics import log_losses
from pipelines.evaluation.arms import SLEEPS_EVERY
from pipelines.evaluation.intervals import Plan, means
from pipelines.evaluation.record import Asked, Judged, Record, read_record

PAIRS = (("ours", "ours-sleepless"), ("ours-memory", "ours-memory-sleepless"))


def skipped(record: Record, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """[rows] nights in a row that were skipped before each; -1 before the first night."""
    fallen = np.searchsorted([night["row"] for night in record.nights], rows, side="right")
    return np.where(fallen == 0, -1, fallen % SLEEPS_EVERY)


# a metric, each question's value for one arm and the other, and the questions
_Line = tuple[str, NDArray[np.float64], NDArray[np.float64], Asked | Judged]


def apart(
    one: NDArray[np.float64], other: NDArray[np.float64], asked: Asked | Judged, number: Any
) -> Iterator[dict[str, Any]]:
    """The paired difference of two arms, the second less the first, by skipped nights."""
    for nights in range(SLEEPS_EVERY):
        which = number == nights
        values = np.stack([one, other])[:, which]
        found = means(("one", "other"), values, (asked.block[which], asked.actor[which]), Plan())
        yield {
            "skipped": nights,
            "questions": int(which.sum()),
            "every_night": round(float(found.of("one").mean), 4),
            "apart": found.difference("other", "one").as_json(),
        }


def losses(record: Record) -> NDArray[np.float64]:
    """[outcome questions] log-loss of each."""
    if record.judged is None:
        return np.zeros(0)
    judged = record.judged
    return log_losses(judged.probability.astype(np.float64), judged.label.astype(np.float64))


def main(folder: Path) -> None:
    """Prints a line of JSON for each arm, metric and number of skipped nights."""
    for path in sorted((folder / "records").iterdir()):
        for arms in PAIRS:
            files = [path / f"{arm}-0.npz" for arm in arms]
            if not all(file.exists() for file in files):
                continue
            one, other = map(read_record, files)
            first, second = (r.metrics["ndcg@10"].astype(np.float64) for r in (one, other))
            lines: list[_Line] = [("ndcg@10", first, second, one.asked)]
            if one.judged is not None:
                lines.append(("logloss", losses(one), losses(other), one.judged))
            for metric, mine, its, asked in lines:
                for line in apart(mine, its, asked, skipped(one, asked.row)):
                    told = {"protocol": path.name, "arm": arms[1], "metric": metric} | line
                    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
