"""How far a candidate has moved from the served model, in nats and in lists.

Measured on requests that neither was taught, over the items that the served model knew:
that something new enters a list is learning and not drift (reverse Kullback-Leibler as in
the KL-regularised policies of Schulman et al. 2017).
"""

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.slow.bundle import Bundle
from model.slow.evaluation import thinned
from model.slow.examples import Examples
from model.slow.reference import log_softmax
from model.slow.scorer import SlowScorer

_MOST_REQUESTS: Final = 500
_CELLS: Final = 2**21
_LIST_LENGTH: Final = 10


@dataclass(frozen=True)
class Drift:
    """How far apart two models are, as means over requests.

    Attributes:
      nats: KL divergence of the candidate's list from the served model's.
      backward: KL divergence of the served model's list from the candidate's.
      symmetric: Jensen-Shannon divergence, at most log 2.
      churn: Share of the top 10 that is not in the other's.
      requests: How many requests were compared.
    """

    nats: float
    backward: float
    symmetric: float
    churn: float
    requests: int

    def as_json(self) -> dict[str, float]:
        """Plain JSON values."""
        return asdict(self)


def drift(
    served: Bundle, candidate: Bundle, examples: Examples, which: NDArray[np.intp], n_known: int
) -> Drift | None:
    """The drift of a candidate on these requests, at most 500, evenly spread.

    Args:
      served: The served model, in the candidate's feature space.
      candidate: The candidate.
      examples: Events in that space.
      which: Positions of the requests.
      n_known: Items below this number were known to the served model.

    Returns:
      The drift; None without requests or without items to choose from.
    """
    if not len(which) or n_known < 2:
        return None
    which = thinned(which, _MOST_REQUESTS)
    scorers = [SlowScorer(bundle) for bundle in (candidate, served)]
    at_once = max(_CELLS // n_known, 16)
    rows = [
        _distances(*(_log_chances(scorer, examples, batch, n_known) for scorer in scorers))
        for batch in np.array_split(which, -(-len(which) // at_once))
    ]
    nats, backward, symmetric, churn = np.concatenate(rows, axis=1).mean(axis=1).tolist()
    return Drift(nats, backward, symmetric, churn, len(which))


def _log_chances(
    scorer: SlowScorer, examples: Examples, which: NDArray[np.intp], n_known: int
) -> NDArray[np.float64]:
    scores = scorer.scores(examples.queries(which))[:, 1:n_known]
    return log_softmax(scores.astype(np.float64))


def _distances(own: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """[4, rows] nats, backward, symmetric and churn of each row."""
    p, q = np.exp(own), np.exp(other)
    middle = np.logaddexp(own, other) - np.log(2.0)
    symmetric = (p * (own - middle) + q * (other - middle)).sum(axis=1) / 2.0
    length = min(_LIST_LENGTH, own.shape[1])
    lists = [np.argpartition(-scores, length - 1, axis=1)[:, :length] for scores in (own, other)]
    shared = [len(np.intersect1d(*pair)) for pair in zip(*lists, strict=True)]
    return np.stack(
        [
            (p * (own - other)).sum(axis=1),
            (q * (other - own)).sum(axis=1),
            symmetric,
            1.0 - np.array(shared) / length,
        ]
    )
