"""Settings chosen on the tail of the history, by a prequential pass like the real one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.metrics import ndcg_of_ranks, target_ranks
from pipelines.evaluation.arm import Arm, FloatArray, Question, Setting, Ticket
from pipelines.evaluation.stream import Events

Options: TypeAlias = Mapping[str, Any]
Make: TypeAlias = Callable[[Setting, Options], Arm]

_BATCH: Final = 128
_SEED: Final = 20_240


@dataclass(frozen=True)
class Trial:
    """How a setting is tried. It never sees anything but the history an arm starts from.

    Attributes:
      recent: Only so many of the last events are used, so that trials stay affordable.
      tail: Share of them that is replayed, the rest is what the arm starts from.
      nights: Nights that fall into the tail, at equal distances.
      questions: Successes of the tail that are asked about, drawn by lot.
    """

    recent: int = 200_000
    tail: float = 0.2
    nights: int = 2
    questions: int = 2_000


def choose(
    make: Make, grid: Sequence[Options], setting: Setting, events: Events, trial: Trial
) -> Options:
    """The options with the highest NDCG@10 on the tail; the first of equals.

    NDCG@20 decides where the actor's own items compete again: sessions are judged by the
    first twenty. A history too short to ask anything leaves the first options.
    """
    if len(grid) == 1:
        return grid[0]
    values = [prequential(make(setting, options), setting, events, trial) for options in grid]
    return grid[int(np.argmax(values))]


def prequential(arm: Arm, setting: Setting, events: Events, trial: Trial) -> float:
    """Mean NDCG of an arm over the successes of the tail, 0 where there is none."""
    events = events.take(slice(max(len(events) - trial.recent, 0), len(events)))
    start = int(len(events) * (1.0 - trial.tail))
    arm.start(events.take(slice(0, start)))
    run = _Pass(arm, setting, events, start)
    asked = run.draw(trial.questions)
    nights = np.linspace(start, len(events), trial.nights + 2)[1:-1].astype(int)
    for stop in [*nights.tolist(), len(events)]:
        run.play(stop, asked)
        if stop < len(events):
            arm.night()
    return float(np.mean(run.gains)) if run.gains else 0.0


class _Asked(NamedTuple):
    ticket: Ticket
    target: int
    excluded: NDArray[np.bool_]


class _Pass:
    """A replay of the tail with the candidates of the protocol: known and, mostly, unseen."""

    def __init__(self, arm: Arm, setting: Setting, events: Events, start: int) -> None:
        self._arm, self._events, self._row = arm, events, start
        self._repeats = setting.repeats
        self._known = np.zeros(setting.n_items, np.bool_)
        self._own: dict[int, set[int]] = {}
        self._pending: list[_Asked] = []
        self.gains: list[float] = []
        self._meet(0, start)

    def draw(self, questions: int) -> set[int]:
        """Rows that are asked about."""
        rows = self._row + np.flatnonzero(self._events.outcome[self._row :] > 0)
        rng = np.random.default_rng(_SEED)
        return set(rng.permutation(rows)[:questions].tolist())

    def play(self, stop: int, asked: set[int]) -> None:
        """Asks and learns up to a row, and answers what was asked."""
        for row in sorted(each for each in asked if self._row <= each < stop):
            # events of the same moment are not known to each other
            moment = int(np.searchsorted(self._events.timestamp_ms, self._events.timestamp_ms[row]))
            self._learn(moment)
            self._ask(row)
            if len(self._pending) == _BATCH:
                self._answer()
        self._learn(stop)
        self._answer()

    def _learn(self, stop: int) -> None:
        if stop > self._row:
            self._arm.learn(self._events.take(slice(self._row, stop)))
            self._meet(self._row, stop)
            self._row = stop

    def _meet(self, start: int, stop: int) -> None:
        actors, items = self._events.actor[start:stop], self._events.item[start:stop]
        self._known[items] = True
        if not self._repeats:
            for actor, item in zip(actors.tolist(), items.tolist(), strict=True):
                self._own.setdefault(actor, set()).add(item)

    def _ask(self, row: int) -> None:
        events, actor = self._events, int(self._events.actor[row])
        excluded = ~self._known
        excluded[list(self._own.get(actor, ()))] = True
        target = int(events.item[row])
        if excluded[target]:
            return  # no method can name it, so it does not tell settings apart
        context = {name: int(column[row]) for name, column in events.context.items()}
        question = Question(actor, int(events.timestamp_ms[row]), context)
        self._pending.append(_Asked(self._arm.ask(question), target, excluded))

    def _answer(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            scores = self._arm.answer([each.ticket for each in pending])
            targets = np.array([each.target for each in pending])
            ranks = target_ranks(scores, targets, np.stack([each.excluded for each in pending]))
            self.gains += ndcg_of_ranks(ranks, 20 if self._repeats else 10).tolist()


class Tuned:
    """An arm whose options are chosen on the tail of the history when it starts.

    Attributes:
      trials: Settings that were tried.
      chosen: The options in use.
    """

    def __init__(
        self,
        setting: Setting,
        make: Make,
        grid: Sequence[Options],
        trial: Trial = Trial(),
        tried: Make | None = None,
    ) -> None:
        """Takes the grid of options; `tried`, a cheaper relative of `make`, stands the trials."""
        self.trials = 1
        self.chosen: dict[str, Any] = {}
        self._setting, self._make, self._grid = setting, make, grid
        self._trial, self._tried = trial, tried or make
        self._arm = make(setting, grid[0])

    def start(self, events: Events) -> None:
        """Chooses, then starts the chosen arm on the whole history."""
        self.trials = len(self._grid)
        chosen = choose(self._tried, self._grid, self._setting, events, self._trial)
        self.chosen = dict(chosen)
        self._arm = self._make(self._setting, chosen)
        self._arm.start(events)

    def learn(self, events: Events) -> None:
        """Hands on."""
        self._arm.learn(events)

    def night(self) -> None:
        """Hands on."""
        self._arm.night()

    def ask(self, question: Question) -> Ticket:
        """Hands on."""
        return self._arm.ask(question)

    def answer(self, tickets: Sequence[Ticket]) -> FloatArray:
        """Hands on."""
        return self._arm.answer(tickets)
