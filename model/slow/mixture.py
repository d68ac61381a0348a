"""Fits how far the trained halves are trusted and how much chances of nearby items say."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.slow.bundle import Bundle
from model.slow.evaluation import shown, thinned
from model.slow.examples import Examples
from model.slow.nearby import PLACES
from model.slow.scorer import SlowScorer

MIXTURE: Final = ("trust", "nearby_weights", "return_weights")
"""The arrays that are fitted here."""

# Share of successes with an item of before from which on people are said to come back; where
# they hardly do, what they have met is left out, as it is in their lists.
_RETURNS: Final = 0.05
_TRUSTS: Final = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
_PARAMETERS: Final = 1 + 2 * PLACES
_MOST_QUESTIONS: Final = 4_000
_LEAST_QUESTIONS: Final = 100
_CELLS: Final = 2**20
_ROUNDS: Final = 500
_FIRST_WEIGHT: Final = 0.02
_LEAST_WEIGHT: Final = 1e-6


class Odds(NamedTuple):
    """Choices, each among what could have been shown, at one trust.

    All of a question are divided by the odds of its target.

    Attributes:
      all: [questions] odds of everything together, by the halves alone.
      lifted: [questions, chances] the same, each multiplied by its lift.
      target: [questions, chances] lifts of the target.
    """

    all: NDArray[np.float64]
    lifted: NDArray[np.float64]
    target: NDArray[np.float64]

    def loss(self, weights: NDArray[np.float64]) -> float:
        """Mean surprise at what was chosen, in nats."""
        total = self.all + self.lifted @ weights
        return float(np.mean(np.log(total) - np.log1p(self.target @ weights)))


def fit_mixture(
    bundle: Bundle, examples: Examples, which: NDArray[np.intp]
) -> dict[str, NDArray[np.float32]]:
    """Trust and weights under which the successes at these positions were least surprising.

    For each trust of a short list the weights of the mixture are found; its loss falls at
    every round, for the update is exact expectation-maximisation on what was chosen and a
    tangent on the sum over what was not (minorise-maximise, Hunter and Lange 2004).

    Args:
      bundle: The model with its counts, which hold none of these events.
      examples: Events.
      which: Positions; at most 4,000 of the successes are asked, evenly spread.

    Returns:
      The arrays `MIXTURE` as the bundle has them: trust 1 and no weight where questions are
      too few, nothing was counted, or no more is gained than fitting always gains (Akaike
      1974).
    """
    known = which[examples.success[which] & (examples.item[which] > 0)]
    known = thinned(known, _MOST_QUESTIONS)
    if len(known) < _LEAST_QUESTIONS or not len(bundle.parameters["nearby_items"]):
        return no_mixture()
    scorer, trusts = SlowScorer(bundle), np.array(_TRUSTS)
    at_once = max(_CELLS // len(scorer.bias), 16)
    batches = [known[start : start + at_once] for start in range(0, len(known), at_once)]
    with_met = _returns(examples, known) >= _RETURNS
    asked = [_asked(scorer, examples, batch, trusts, with_met=with_met) for batch in batches]
    every, lifted, target = (np.concatenate(parts, axis=-2) for parts in zip(*asked, strict=True))
    fitted = [_weights(Odds(a[:, 0], b, target)) for a, b in zip(every, lifted, strict=True)]
    best = min(range(len(trusts)), key=lambda place: fitted[place][0])
    alone = float(np.log(every[_TRUSTS.index(1.0)]).mean())
    if alone - fitted[best][0] < _PARAMETERS / len(known):  # by chance alone as much is gained
        return no_mixture()
    weights = fitted[best][1].astype(np.float32)
    trust = trusts[best : best + 1].astype(np.float32)
    return dict(zip(MIXTURE, (trust, weights[:PLACES], weights[PLACES:]), strict=True))


def _returns(examples: Examples, which: NDArray[np.intp]) -> float:
    """Share of these successes whose user had come across the item before."""
    row, item = examples.seen(which)
    met = np.zeros(len(which), bool)
    met[row[item == examples.item[which][row]]] = True
    return float(met.mean())


def mixture_of(parameters: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of a model that are fitted here."""
    return {name: parameters[name] for name in MIXTURE}


def no_mixture() -> dict[str, NDArray[np.float32]]:
    """What stands where no mixture has been fitted: the halves alone."""
    none = np.zeros(PLACES, np.float32)
    return dict(zip(MIXTURE, (np.ones(1, np.float32), none, none.copy()), strict=True))


def _weights(odds: Odds) -> tuple[float, NDArray[np.float64]]:
    """The loss at the best weights, and these."""
    weights = np.full(odds.target.shape[1], _FIRST_WEIGHT)
    for _ in range(_ROUNDS):
        found = (odds.target / (1.0 + odds.target @ weights)[:, None]).sum(axis=0)
        expected = (odds.lifted / (odds.all + odds.lifted @ weights)[:, None]).sum(axis=0)
        weights = weights * found / np.maximum(expected, _LEAST_WEIGHT)
    weights[weights < _LEAST_WEIGHT] = 0.0
    return odds.loss(weights), weights


def _asked(
    scorer: SlowScorer,
    examples: Examples,
    batch: NDArray[np.intp],
    trusts: NDArray[np.float64],
    *,
    with_met: bool,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """[trusts, questions, 1], [trusts, questions, chances] and [questions, chances] of `Odds`."""
    queries, targets, questions = examples.queries(batch), examples.item[batch], len(batch)
    slow = scorer.score(queries)
    scores = (slow.wide + slow.deep + scorer.bias).astype(np.float64)
    competing = shown(examples, batch, with_met=with_met)
    competing[np.arange(questions), targets] = True
    scores -= scores[np.arange(questions), targets][:, None]
    scores[~competing] = -np.inf
    cells = scorer.chances(queries.liked)
    near, its = scores[cells.row, cells.item], cells.item == targets[cells.row]
    size = (questions, 2 * PLACES)
    at = cells.row * size[1] + cells.chance
    target = np.bincount(at[its], cells.lift[its], questions * size[1]).reshape(size)
    every = np.stack([np.exp(trust * scores).sum(axis=1, keepdims=True) for trust in trusts])
    lifted = np.stack(
        [
            np.bincount(at, cells.lift * np.exp(trust * near), questions * size[1]).reshape(size)
            for trust in trusts
        ]
    )
    return every, lifted, target
