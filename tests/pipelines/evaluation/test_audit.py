import numpy as np
import pytest

from pipelines.evaluation.audit import audit, random_future
from pipelines.evaluation.replay import replay
from tests.pipelines.evaluation.streams import Counting, small_stream
from tests.pipelines.evaluation.test_replay import shown_stream


class Peeking(Counting):
    """Looks the answer up in the stream that the harness replays."""

    def __init__(self, stream, *, share=1.0):
        super().__init__(len(stream.items))
        self._targets = iter(stream.events.item[np.flatnonzero(stream.asked)].tolist())
        self._share = share
        self._rng = np.random.default_rng(0)

    def ask(self, question):
        scores = self._rng.random(len(self._counts)).astype(np.float32)
        target = next(self._targets)
        if self._rng.random() < self._share:
            scores[target] = 2.0
        return scores


def audited(stream, make_arm):
    future = random_future(stream, np.random.default_rng(0))
    return audit([replay(future, make_arm(future), name="arm", seed=0)])


def long_stream(**more):
    return small_stream(n_events=4_000, n_actors=400, n_items=150, **more)


@pytest.mark.parametrize("candidates", ["unseen", "seen", "all"])
def test_an_honest_arm_is_at_chance_where_the_future_is_random(candidates):
    [finding] = audited(long_stream(candidates=candidates), lambda s: Counting(len(s.items)))
    assert abs(finding.z) < 4
    assert not finding.peeks


@pytest.mark.parametrize("share", [1.0, 0.15])
def test_an_arm_that_peeks_is_caught_even_if_it_peeks_seldom(share):
    [finding] = audited(long_stream(), lambda s: Peeking(s, share=share))
    assert finding.peeks


def test_an_outcome_that_was_looked_up_is_caught():
    class Knowing(Counting):
        def __init__(self, stream):
            super().__init__(len(stream.items))
            self._labels = iter((stream.events.outcome[stream.judged] > 0).tolist())

        def probabilities(self, tickets, items):
            return np.array([0.9 if next(self._labels) else 0.1 for _ in items])

    class Guessing(Counting):
        def probabilities(self, tickets, items):
            return np.random.default_rng(1).random(len(items))

    def outcome(make_arm):
        findings = audited(long_stream(), make_arm)
        return next(f for f in findings if f.what == "auc of outcome")

    assert outcome(Knowing).peeks
    assert not outcome(lambda s: Guessing(len(s.items))).peeks


def test_a_shown_list_is_audited_by_its_clicks():
    class Clairvoyant(Counting):
        def __init__(self, stream):
            super().__init__(len(stream.items))
            self._stream = stream
            self._row = stream.bootstrap

        def ask(self, question):
            scores = np.zeros(len(self._counts), np.float32)
            rows = np.arange(self._row, self._row + 5)
            scores[self._stream.events.item[rows]] = self._stream.events.outcome[rows]
            self._row += 5
            return scores

    [honest] = audited(shown_stream(), lambda s: Counting(len(s.items)))
    [peeking] = audited(shown_stream(), Clairvoyant)
    assert not honest.peeks
    assert peeking.value == 1.0
    assert peeking.peeks


def test_a_random_future_keeps_the_past_and_draws_every_candidate_alike():
    stream = long_stream()
    future = random_future(stream, np.random.default_rng(1))
    n = stream.bootstrap
    np.testing.assert_array_equal(future.events.item[:n], stream.events.item[:n])
    np.testing.assert_array_equal(future.events.outcome[:n], stream.events.outcome[:n])
    counts = np.bincount(future.events.item[n:], minlength=150)
    known = np.unique(stream.events.item[:n])
    assert set(np.flatnonzero(counts)) <= set(known.tolist())
    expected = len(future.events.item[n:]) / len(known)
    assert ((counts[known] - expected) ** 2 / expected).sum() < 2 * len(known)
    # the ratings are the same ones, dealt out anew
    assert sorted(future.events.value[n:]) == sorted(stream.events.value[n : len(future)])
