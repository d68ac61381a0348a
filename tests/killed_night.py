"""`python -m tests.killed_night HOME STAGE`: a night that dies as soon as a stage is done."""

import os
import signal
import sys
from pathlib import Path

from model.workspace import Workspace, load_config
from pipelines.console import Console
from pipelines.consolidate import run_night
from pipelines.night_run import NightRun
from tests.nights import NOW_MS

STAGES = (
    "verified",
    "read",
    "opened",
    "taught",
    "staged",
    "judged",
    "settled",
    "pruned",
    "reported",
)


def main(home: Path, last: str) -> None:
    """The night, up to this stage."""

    def heard(stage: str) -> None:
        if stage == last:
            os.kill(os.getpid(), signal.SIGKILL)

    workspace = Workspace(home)
    config = load_config(workspace.config_path)
    run = NightRun(config, 0, NOW_MS, dry_run=False, console=Console(quiet=True), on_stage=heard)
    run_night(workspace, run, None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
