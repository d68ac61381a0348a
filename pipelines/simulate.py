"""A world that is made up, so that the truth about every user and item is known.

Users and items. Items have a brand (one of 24) and a category (one of 12); the category
is the centre of their place y in a space of 8 tastes, |y| = 1, and they have a general
appeal b ~ N(0, 0.7²). Users belong to one of 12 segments and have a taste x, drawn from
N(0, I). Segment, brand and category are visible; b, x and y are not.

Truth. A user who looks at an item at time t clicks it with probability

    p = 1 / (1 + exp(-z)),   z = -1.5 + b_item + 1.2 · x_user(t)·y_item + e[segment, brand]

- Slow drift: at each midnight x ← 0.98·x + √(1 - 0.98²)·N(0, I), so tastes of d days apart
  correlate by 0.98^d and the spread of tastes stays what it is.
- Reversal: from the start of day 22 on, the sign of x is turned for 5 % of the users.
- Exceptions: for each segment there is one brand that fails (e = -2.5) and one that works
  (e = +2.5), and no brand is named twice; everywhere else e is 0. All 12 singular values of
  e are equal: of these rules the best matrix of rank r explains the share r / 12.
- New items: the number of items grows by 2 % at each midnight. An item that is not out yet
  has the truth 0.

What is shown. Half of the users are there from the start, the others begin at a moment
drawn evenly from the days; how often a user comes varies as exp(N(0, 0.8²)). A visit shows
6 items which the user was not shown before, drawn one after the other without replacement
with weights exp(b + 0.5 · x·y + 1.5·[new in the last 2 days]), the greatest weight on top.
So what is shown depends on appeal and taste, and every item has a chance. A user who was
shown nearly everything (fewer than 6 items are left) stays away.

Position bias. The user looks at position k = 0, 1, … with probability 0.85^k, and a click
needs the look: P(click) = 0.85^k · p. Not clicked is a `skip`, looked at or not.

Delayed labels. A visit's events arrive together, later than they happened: by a time drawn
from the exponential distribution, with a mean of 20 minutes for 90 % of the visits and of
12 hours for the others. The events stand in the order of their arrival, with the time of
their arrival; clicks tell the taste of the moment at which they happened.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import require

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DAY_MS: Final = 86_400_000
START_MS: Final = 1_704_067_200_000  # 2024-01-01

TASTES: Final = 8
SEGMENTS: Final = 12
BRANDS: Final = 2 * SEGMENTS
CATEGORIES: Final = 12
INTERCEPT: Final = -1.5
APPEAL_SPREAD: Final = 0.7
TASTE_STRENGTH: Final = 1.2
CATEGORY_SPREAD: Final = 0.6
EXCEPTION: Final = 2.5
DRIFT: Final = 0.98
TURNED_SHARE: Final = 0.05
REVERSAL_DAY: Final = 22
GROWTH: Final = 1.02
LIST_LENGTH: Final = 6
EXAMINATION: Final = 0.85
LATECOMERS: Final = 0.5
ACTIVITY_SPREAD: Final = 0.8
POLICY_TASTE: Final = 0.5
POLICY_FRESHNESS: Final = 1.5
FRESH_MS: Final = 2 * DAY_MS
PROMPT_SHARE: Final = 0.9
PROMPT_MEAN_MS: Final = 20 * 60_000
LATE_MEAN_MS: Final = 12 * 3_600_000


@dataclass(frozen=True)
class Size:
    """How large a world is.

    Attributes:
      users: At least 20.
      items: Out by the last day, at least 50.
      days: At least 24, so that the reversal has an aftermath.
      visits: Each makes 6 events; at least 1.
    """

    users: int = 1_000
    items: int = 800
    days: int = 30
    visits: int = 10_000

    def __post_init__(self) -> None:
        require(
            self,
            "size",
            {
                "users": (lambda n: n >= 20, "be at least 20"),
                "items": (lambda n: n >= 50, "be at least 50"),
                "days": (lambda n: n > REVERSAL_DAY + 1, f"be above {REVERSAL_DAY + 1}"),
                "visits": (lambda n: n >= 1, "be at least 1"),
            },
        )


QUICK: Final = Size(users=150, items=200, visits=1_000)


@dataclass(frozen=True)
class World:
    """What is visible and what is true.

    Attributes:
      segment: [users] visible.
      brand: [items] visible.
      category: [items] visible.
      out_ms: [items] the moment from which an item can be shown, never falling.
      taste: [days, users, tastes] x, the reversal included.
      place: [items, tastes] y.
      appeal: [items] b.
      exceptions: [segments, brands] e.
      turned: [users] whether the taste is turned on day 22.
    """

    segment: IntArray
    brand: IntArray
    category: IntArray
    out_ms: IntArray
    taste: FloatArray
    place: FloatArray
    appeal: FloatArray
    exceptions: FloatArray
    turned: NDArray[np.bool_]

    def liking(self, user: int, time_ms: int) -> FloatArray:
        """[items] x·y at this moment; the last day goes on for whatever comes after it."""
        day = min((time_ms - START_MS) // DAY_MS, len(self.taste) - 1)
        return np.asarray(self.place @ self.taste[day, user])

    def truth(self, user: int, time_ms: int) -> FloatArray:
        """[items] chance that the user, looking at each item at this moment, clicks it."""
        logit = (
            INTERCEPT
            + self.appeal
            + TASTE_STRENGTH * self.liking(user, time_ms)
            + self.exceptions[self.segment[user], self.brand]
        )
        return np.where(self.out_ms <= time_ms, 1.0 / (1.0 + np.exp(-logit)), 0.0)


class Visits(NamedTuple):
    """What was shown and what came of it, in the order of arrival.

    Attributes:
      user: [visits] numbers.
      happened_ms: [visits] when the list was shown.
      arrived_ms: [visits] when that became known, never falling.
      shown: [visits, 6] item numbers, top position first.
      clicked: [visits, 6] whether each was clicked.
    """

    user: IntArray
    happened_ms: IntArray
    arrived_ms: IntArray
    shown: IntArray
    clicked: NDArray[np.bool_]


def simulate(size: Size, seed: int) -> tuple[World, Visits]:
    """Makes a world; the same size and seed make the same one."""
    # a generator for each part, so that a change of one leaves the others as they are
    items, users, visits = (np.random.default_rng([seed, part]) for part in range(3))
    world = _world(size, items, users)
    return world, _visits(world, size, visits)


def _world(size: Size, items: np.random.Generator, users: np.random.Generator) -> World:
    category = items.integers(CATEGORIES, size=size.items)
    centres = items.standard_normal((CATEGORIES, TASTES))
    place = centres[category] + CATEGORY_SPREAD * items.standard_normal((size.items, TASTES))
    turned = np.zeros(size.users, np.bool_)
    turned[users.choice(size.users, round(TURNED_SHARE * size.users), replace=False)] = True
    return World(
        segment=users.integers(SEGMENTS, size=size.users),
        brand=items.integers(BRANDS, size=size.items),
        category=category,
        out_ms=_out_ms(size),
        taste=_tastes(size, turned, users),
        place=place / np.linalg.norm(place, axis=1, keepdims=True),
        appeal=APPEAL_SPREAD * items.standard_normal(size.items),
        exceptions=_exceptions(items),
        turned=turned,
    )


def _out_ms(size: Size) -> IntArray:
    """[items] midnights; the number of those out grows by 2 % a day to the number of items."""
    days = np.arange(size.days)
    out = np.round(size.items * GROWTH ** (days - days[-1])).astype(np.int64)
    return np.asarray(START_MS + DAY_MS * np.searchsorted(out, np.arange(size.items), "right"))


def _tastes(size: Size, turned: NDArray[np.bool_], rng: np.random.Generator) -> FloatArray:
    taste = rng.standard_normal((size.days, size.users, TASTES))
    for day in range(1, size.days):
        taste[day] = DRIFT * taste[day - 1] + np.sqrt(1.0 - DRIFT**2) * taste[day]
    taste[REVERSAL_DAY:, turned] *= -1.0
    return taste


def _exceptions(rng: np.random.Generator) -> FloatArray:
    fails, works = np.split(rng.permutation(BRANDS), 2)
    table = np.zeros((SEGMENTS, BRANDS))
    table[np.arange(SEGMENTS), fails] = -EXCEPTION
    table[np.arange(SEGMENTS), works] = EXCEPTION
    return table


def _visits(world: World, size: Size, rng: np.random.Generator) -> Visits:
    user, happened_ms = _comings(size, rng)
    shown = np.empty((size.visits, LIST_LENGTH), np.int64)
    chance = np.empty((size.visits, LIST_LENGTH))
    came = np.zeros(size.visits, np.bool_)
    free = np.ones((size.users, size.items), np.bool_)
    for visit, (who, now_ms) in enumerate(zip(user.tolist(), happened_ms.tolist(), strict=True)):
        left = np.flatnonzero(free[who] & (world.out_ms <= now_ms))
        if len(left) < LIST_LENGTH:
            continue
        came[visit] = True
        shown[visit] = _shown(world, who, now_ms, (left, rng))
        free[who, shown[visit]] = False
        chance[visit] = world.truth(who, now_ms)[shown[visit]]
    looked = rng.random(shown.shape) < EXAMINATION ** np.arange(LIST_LENGTH)
    clicked = looked & (rng.random(shown.shape) < chance)
    arrived_ms = happened_ms + _delays(size.visits, rng)
    order = np.argsort(arrived_ms, kind="stable")
    order = order[came[order]]
    return Visits(user[order], happened_ms[order], arrived_ms[order], shown[order], clicked[order])


def _comings(size: Size, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """[visits] who comes and [visits] when, never falling."""
    begins = np.where(rng.random(size.users) < LATECOMERS, rng.random(size.users), 0.0)
    activity = np.exp(ACTIVITY_SPREAD * rng.standard_normal(size.users)) * (1.0 - begins)
    user = rng.choice(size.users, size.visits, p=activity / activity.sum())
    moment = begins[user] + (1.0 - begins[user]) * rng.random(size.visits)
    order = np.argsort(moment, kind="stable")
    return user[order], START_MS + (moment[order] * size.days * DAY_MS).astype(np.int64)


def _shown(
    world: World, user: int, now_ms: int, choice: tuple[IntArray, np.random.Generator]
) -> IntArray:
    """[6] the drawn items; Gumbel noise on log-weights draws without replacement."""
    left, rng = choice
    weight = world.appeal + POLICY_TASTE * world.liking(user, now_ms)
    weight += POLICY_FRESHNESS * ((now_ms - world.out_ms < FRESH_MS) & (world.out_ms > START_MS))
    drawn = left[np.argsort(-(weight[left] + rng.gumbel(size=len(left))))[:LIST_LENGTH]]
    return np.asarray(drawn[np.argsort(-weight[drawn])])


def visit(
    world: World, user: int, now_ms: int, choice: tuple[IntArray, np.random.Generator]
) -> tuple[IntArray, NDArray[np.bool_]]:
    """[6] what a single visit shows of the items that are left, and [6] whether it is clicked."""
    items, rng = _shown(world, user, now_ms, choice), choice[1]
    looked = rng.random(LIST_LENGTH) < EXAMINATION ** np.arange(LIST_LENGTH)
    return items, looked & (rng.random(LIST_LENGTH) < world.truth(user, now_ms)[items])


def _delays(visits: int, rng: np.random.Generator) -> IntArray:
    mean_ms = np.where(rng.random(visits) < PROMPT_SHARE, PROMPT_MEAN_MS, LATE_MEAN_MS)
    return np.asarray(np.rint(mean_ms * rng.standard_exponential(visits)), np.int64)
