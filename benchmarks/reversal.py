"""`python -m benchmarks.reversal [USERS]`: how soon the lists follow a taste that turns round.

Prints a line of JSON for each way in which events come in, with the fast memory and without.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from model.workspace import Workspace
from pipelines.console import Console
from pipelines.evaluation.reversal import Plan, reversal, until_the_turn
from pipelines.simulate import Size

SEED = 0


def main(users: int) -> None:
    """Trains on a world of the protocol's size and turns so many users round."""
    size, console = Size(), Console(quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        trained = Path(folder, "trained")
        until_the_turn(trained, size, seed=SEED, console=console)
        for plan in (Plan(users, 15, "clicks"), Plan(users, 30, "everything shown")):
            begun = time.process_time()
            home = Path(shutil.copytree(trained, Path(folder, plan.told)))
            found = reversal(Workspace(home), size, plan, seed=SEED, console=console)
            rng = np.random.default_rng(SEED)
            turns = {arm: turn.as_json(rng) for arm, turn in found.items()}
            line: dict[str, Any] = {"told": plan.told} | turns
            line["cpu_seconds"] = round(time.process_time() - begun)
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
