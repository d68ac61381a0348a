"""A synthetic world of any size: items in clouds as tastes are, a slow model of them and a log."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.interactions import Entry, Event, ItemChange, UserChange
from model.slow.bundle import Bundle, Calibration, make_bundle
from model.slow.config import SlowConfig
from model.slow.crosses import CrossTable
from model.slow.features import (
    CONTEXT,
    HOUR,
    USER,
    AttributeEncoder,
    AttributeSpace,
    FeatureSpace,
    hour_name,
)
from model.slow.mixture import no_mixture
from model.slow.nearby import PLACES, Nearby
from model.slow.parameters import initial_parameters
from model.slow.schema import AttributeType
from model.slow.vocabulary import Vocabulary
from model.storage.event_log import EventLog

START_MS: Final = 1_700_000_000_000
DAY_MS: Final = 86_400_000
DAYS: Final = 30
_CLOUDS: Final = 2_000
_GENRES: Final = 50
_GROUPS: Final = ("student", "baker", "writer", "pilot")
_CROSSED: Final = 20_000
_PER_ROW: Final = 20
_AT_ONCE: Final = 20_000
# lengths and shares as those of the model of MovieLens-100K
_LENGTH: Final = 1.5
_POPULARITY_EXPONENT: Final = 0.8


@dataclass(frozen=True)
class Clouds:
    """The world.

    Attributes:
      n_items: Items that the model knows.
      n_users: Users with events.
      cloud: [n_items] each item's cloud.
      vectors: [n_items, d] item vectors.
      counts: [n_items + 1] successes by which items are popular, the unknown item's first.
    """

    n_items: int
    n_users: int
    cloud: NDArray[np.int64]
    vectors: NDArray[np.float32]
    counts: NDArray[np.float64]

    @classmethod
    def drawn(
        cls, n_items: int, n_users: int, clouded: float, rng: np.random.Generator
    ) -> "Clouds":
        """A world by lot.

        Args:
          n_items: Items.
          n_users: Users.
          clouded: Share of a vector's variance that its cloud decides; 0 for no clouds.
          rng: The lots.
        """
        d = SlowConfig().dimensions
        centres = rng.standard_normal((_CLOUDS, d), dtype=np.float32)
        cloud = rng.integers(_CLOUDS, size=n_items)
        own = rng.standard_normal((n_items, d), dtype=np.float32)
        vectors = np.float32(clouded**0.5) * centres[cloud] + np.float32((1 - clouded) ** 0.5) * own
        vectors *= np.float32(_LENGTH / d**0.5)
        rank = rng.permutation(n_items) + 1.0
        counts = np.concatenate([[0.0], 1e6 * rank**-_POPULARITY_EXPONENT])
        return cls(n_items, n_users, cloud, vectors, counts)

    def bundle(self, rng: np.random.Generator) -> Bundle:
        """A slow model as before training: a query is what was liked and what came last."""
        space, config = self.space(), SlowConfig()
        table = self.crosses(space, rng)
        parameters = initial_parameters(
            space, lambda item: {"genre": genre(item)}, self.counts, table, config, rng
        )
        indptr, counts = table.indptr[: space.items.size + 1], table.weights
        rows = np.repeat(np.arange(space.items.size), np.diff(indptr))
        totals = np.bincount(rows, counts, space.items.size).astype(np.float32)
        parameters |= Nearby(indptr, table.items, counts, totals).arrays() | no_mixture()
        parameters["nearby_weights"] = np.geomspace(0.02, 0.002, PLACES).astype(np.float32)
        parameters["item_embedding"][1:] = self.vectors
        return make_bundle(space, parameters, Calibration(1.0, 0.0))

    def space(self) -> FeatureSpace:
        """What the numbers of this world mean."""
        genres = Vocabulary([f"genre{n}" for n in range(_GENRES)])
        hours = Vocabulary([hour_name(hour * 3_600_000) for hour in range(24)])
        category = AttributeType.CATEGORY
        return FeatureSpace(
            items=Vocabulary([f"i{n}" for n in range(self.n_items)]),
            users=Vocabulary([f"u{n}" for n in range(self.n_users)]),
            item_attributes=AttributeSpace([AttributeEncoder("genre", category, genres)]),
            query_attributes=AttributeSpace(
                [
                    AttributeEncoder(USER + "group", category, Vocabulary(_GROUPS)),
                    AttributeEncoder(CONTEXT + HOUR, category, hours),
                ]
            ),
            history=SlowConfig().history,
            wide_history=SlowConfig().wide_history,
        )

    def crosses(self, space: FeatureSpace, rng: np.random.Generator) -> CrossTable:
        """Crosses of those who liked the most popular items with items by lot."""
        rows = np.sort(np.argsort(-self.counts)[: min(_CROSSED, self.n_items)])
        lengths = np.zeros(space.n_rows, np.int64)
        lengths[rows] = _PER_ROW
        n_pairs = int(lengths.sum())
        items = np.sort(rng.integers(1, space.items.size, (len(rows), _PER_ROW)), axis=1)
        weights = rng.gamma(2.0, 0.3, n_pairs).astype(np.float32)
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        return CrossTable(indptr, items.ravel().astype(np.int32), weights)

    def fill(self, log: EventLog, rng: np.random.Generator, per_user: int) -> None:
        """Writes metadata, and events of users who each like two clouds, over a month."""
        items = (ItemChange(f"i{n}", {"genre": genre(f"i{n}")}) for n in range(self.n_items))
        users = (
            UserChange(f"u{n}", {"group": _GROUPS[n % len(_GROUPS)]}) for n in range(self.n_users)
        )
        for entries in (items, users, iter(self.events(rng, self.n_users * per_user))):
            _append(log, entries)

    def events(self, rng: np.random.Generator, n: int) -> list[Event]:
        """[n] events in order of time: clicks and skips on popular items of one's clouds."""
        # a fixed share of the most popular items stands for what users come across
        met = np.argsort(-self.counts[1:])[: max(self.n_items // 20, 1_000)]
        order = met[np.argsort(self.cloud[met], kind="stable")]
        starts = np.searchsorted(self.cloud[order], np.arange(_CLOUDS + 1))
        users = rng.integers(self.n_users, size=n)
        clouds = (users[:, None] * np.array([7, 13]) % _CLOUDS)[
            np.arange(n), rng.integers(2, size=n)
        ]
        lengths = np.maximum(starts[clouds + 1] - starts[clouds], 1)
        places = starts[clouds] + (rng.random(n) ** 2 * lengths).astype(np.int64)
        chosen = order[np.minimum(places, len(order) - 1)]
        times = START_MS + np.sort(rng.integers(DAYS * DAY_MS, size=n))
        kinds = np.where(rng.random(n) < 0.85, "click", "skip")
        columns = (users.tolist(), chosen.tolist(), times.tolist(), kinds.tolist())
        return [
            Event(f"e{place}", kind, at_ms, user_id=f"u{user}", item_id=f"i{item}")
            for place, (user, item, at_ms, kind) in enumerate(zip(*columns, strict=True))
        ]


def genre(item: str) -> str:
    """An item's genre."""
    return f"genre{int(item[1:]) % _GENRES}"


def _append(log: EventLog, entries: Iterator[Entry]) -> None:
    while chunk := list(islice(entries, _AT_ONCE)):
        log.append(chunk, received_ms=START_MS)
