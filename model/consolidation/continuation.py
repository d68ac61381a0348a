"""One night: the served model, taught what the log holds since, and measured beside it.

The new events are cut in log order. The head is learned, the tail is held out: the
candidate is judged on it, and the next night learns it. Old events are replayed beside
the head, except a sample of the newest that is kept to see what was forgotten.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.consolidation.config import NightConfig
from model.consolidation.gates import Measured, paired_change
from model.consolidation.replay import draw
from model.slow.bundle import Bundle, Calibration, make_bundle
from model.slow.calibration import fit_calibration
from model.slow.config import SlowConfig
from model.slow.crosses import CrossTable, without_zeros
from model.slow.evaluation import Evaluation, evaluate
from model.slow.examples import EventColumns, Examples, Metadata
from model.slow.extension import described, grown, grown_space, with_crosses
from model.slow.parameters import Parameters, log_share, share
from model.slow.scorer import SlowScorer
from model.slow.space import admitted, success_counts
from model.slow.training import OnProgress, Plan, fit
from model.slow.bootstrap import pruned

# Outcomes that the calibration remembers: a night moves it by its own share of these.
CALIBRATION_MEMORY: Final = 8_000

_PROBE_SHARE: Final = 0.2
_MOST_PROBED: Final = 4_000
_MOST_LISTS: Final = 512
_LIST_LENGTH: Final = 10


@dataclass(frozen=True)
class Cut:
    """Where the log is cut tonight.

    Attributes:
      trained_through_seq: The served model has learned everything up to here.
      held_out_from_seq: The candidate learns everything before here.
    """

    trained_through_seq: int
    held_out_from_seq: int


def cut(new_seq: NDArray[np.int64], trained_through_seq: int, held_out_share: float) -> Cut:
    """Cuts new events, in log order, into a head to learn and a tail to judge on.

    Args:
      new_seq: [events] rising log positions of the new events, at least two.
      trained_through_seq: What the served model has learned.
      held_out_share: The tail's share of the events; each part gets one event at least.
    """
    n = len(new_seq)
    n_tail = min(max(round(n * held_out_share), 1), n - 1)
    return Cut(trained_through_seq, int(new_seq[n - n_tail]))
