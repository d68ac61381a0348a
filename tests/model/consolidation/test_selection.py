"""Which new events a night learns."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.consolidation.config import NightConfig
from model.consolidation.selection import (
    LEAST_CAP,
    Candidates,
    budget,
    select,
    surprises,
    within_caps,
)
from model.slow.scorer import SlowScorer
from tests.tiny_model import tiny_model

CONFIG = NightConfig()


def candidates(rng, n, n_users=30, n_items=20):
    return Candidates(
        users=rng.integers(n_users, size=n),
        items=rng.integers(n_items, size=n),
        success=rng.random(n) < 0.3,
        surprise=rng.exponential(size=n),
    )


def test_a_share_of_the_new_events_is_learned_and_never_more_than_the_bound():
    assert budget(1_000, replace(CONFIG, select_share=0.25)) == 250
    assert budget(1_000, replace(CONFIG, max_events=300)) == 300


def test_a_bot_keeps_its_newest_events_up_to_ten_times_the_median_and_nobody_else_loses_any():
    # 100 people with 10 events each, then one bot with 9,000
    users = np.concatenate([np.repeat(np.arange(100), 10), np.full(9_000, 100)])
    items = np.arange(len(users))
    kept, over = within_caps(users, items, CONFIG)
    bound = 100
    assert over == {"over_user_cap": 9_000 - bound, "over_item_cap": 0}
    assert kept.tolist() == [*range(1_000), *range(10_000 - bound, 10_000)]


def test_a_pushed_item_is_capped():
    items = np.concatenate([np.arange(900) % 300, np.full(5_000, 300)])
    kept, over = within_caps(np.arange(len(items)), items, CONFIG)
    bound = int(np.ceil(50 * 5_900 / 301))
    assert (items[kept] == 300).sum() == bound
    assert over["over_item_cap"] == 5_000 - bound


def test_small_days_are_not_capped():
    users = np.zeros(LEAST_CAP, int)
    assert len(within_caps(users, users, CONFIG)[0]) == LEAST_CAP


@given(n=st.integers(1, 300), share=st.floats(0.01, 1.0), seed=st.integers(0, 1_000))
def test_what_is_taken_keeps_number_order_and_base_rate(n, share, seed):
    rng = np.random.default_rng(seed)
    events = candidates(rng, n)
    wanted = budget(n, replace(CONFIG, select_share=share))
    taken, why = select(events, wanted, CONFIG, rng)
    assert len(taken) == wanted == sum(why.values())
    assert (np.diff(taken) > 0).all()
    assert abs(events.success[taken].sum() - wanted * events.success.mean()) <= 0.5


def test_the_most_surprising_of_each_outcome_are_taken():
    rng = np.random.default_rng(0)
    events = candidates(rng, 1_000)
    taken, why = select(events, 200, CONFIG, rng)
    for outcome in (True, False):
        mine = np.flatnonzero(events.success == outcome)
        places = int((events.success[taken] == outcome).sum())
        most = mine[np.argsort(-events.surprise[mine])[: places // 2]]
        assert np.isin(most, taken).all()
    assert why["surprising"] in (99, 100)
    assert why["repeated"] > 0
    assert why["by_lot"] > 0


def test_what_several_users_met_comes_before_what_one_met_often():
    n = 400
    users, items = np.arange(n), np.arange(n)
    items[100:110] = 5  # ten users
    users[200:230], items[200:230] = 7, 6  # one user, thirty times
    even = Candidates(users, items, np.zeros(n, bool), np.zeros(n))
    taken, _ = select(even, 100, CONFIG, np.random.default_rng(1))
    shared = np.isin(np.arange(100, 110), taken).mean()
    assert shared == 1.0
    assert np.isin(np.arange(200, 230), taken).mean() < 1.0


def test_by_lot_nothing_is_preferred():
    rng = np.random.default_rng(0)
    events = candidates(rng, 2_000)
    taken, why = select(events, 500, replace(CONFIG, selection="lot"), rng)
    assert why == {"by_lot": 500}
    assert abs(events.surprise[taken].mean() - events.surprise.mean()) < 0.15


def test_surprise_is_the_served_models_own_probability_of_what_happened():
    bundle, examples = tiny_model()
    which = np.arange(200, 260)
    found = surprises(bundle, examples, which, np.random.default_rng(0))
    scorer = SlowScorer(bundle)
    queries = examples.queries(which)
    scores = scorer.scores(queries)[:, 1:].astype(np.float64)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    own = -log_p[np.arange(len(which)), examples.item[which] - 1]
    success = examples.success[which]
    assert np.allclose(found[success], own[success], atol=1e-5)
    hidden = scorer.score(queries).hidden
    odds = scorer.outcome_logits(hidden, scorer.vectors, examples.item[which][:, None])[:, 0]
    assert np.allclose(found[~success], np.log1p(np.exp(odds))[~success], atol=1e-5)
