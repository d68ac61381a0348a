import dataclasses

import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.evaluation.record import read_record, write_record
from pipelines.evaluation.replay import replay
from tests.pipelines.evaluation.streams import Counting, small_stream


def played(stream, arm=None, **more):
    return replay(stream, arm or Counting(len(stream.items)), name="counting", seed=0, **more)


def by_hand(stream):
    """Rank of each asked row under live popularity: the protocol spelt out, a row at a time."""
    events = stream.events
    rows = {}
    for row in np.flatnonzero(stream.asked):
        known = np.flatnonzero(stream.group < stream.group[row])
        counts = np.zeros(len(stream.items))
        for k in known:
            counts[events.item[k]] += events.outcome[k] > 0
        own = {int(events.item[k]) for k in known if events.actor[k] == events.actor[row]}
        met = {int(events.item[k]) for k in known}
        candidates = {
            "unseen": met - own,
            "seen": met & own,
            "all": met,
        }[stream.candidates]
        target = int(events.item[row])
        if target not in candidates:
            rows[int(row)] = len(stream.items) + 1
            continue
        rows[int(row)] = sum(counts[c] >= counts[target] for c in candidates)
    return rows


@pytest.mark.parametrize("candidates", ["unseen", "seen", "all"])
def test_ranks_are_those_of_the_protocol_done_by_hand(candidates):
    stream = small_stream(candidates=candidates)
    record = played(stream)
    ranks = by_hand(stream)
    assert record.asked.row.tolist() == sorted(ranks)
    expected = [1 / np.log2(1 + ranks[row]) if ranks[row] <= 10 else 0 for row in sorted(ranks)]
    np.testing.assert_allclose(record.metrics["ndcg@10"], expected, rtol=1e-6)
    assert record.metrics["hr@10"].sum() == sum(rank <= 10 for rank in ranks.values())


def test_answering_together_gives_what_answering_one_by_one_does():
    stream = small_stream()
    one, many = played(stream, batch=1), played(stream, batch=256)
    for name, values in one.metrics.items():
        np.testing.assert_array_equal(values, many.metrics[name])
    np.testing.assert_array_equal(one.top, many.top)


def test_the_order_of_a_file_within_one_moment_changes_nothing():
    stream = small_stream()
    before = played(stream)
    rng = np.random.default_rng(5)
    # every group in another order
    order = np.lexsort((rng.random(len(stream)), stream.group))
    shuffled = dataclasses.replace(
        stream, events=stream.events.take(order), asked=stream.asked[order]
    )
    after = played(shuffled)
    key = np.lexsort((stream.events.item[before.asked.row], before.asked.row))
    assert sorted(before.metrics["ndcg@10"][key]) == sorted(after.metrics["ndcg@10"])
    assert before.metrics["ndcg@10"].sum() == pytest.approx(after.metrics["ndcg@10"].sum())


def test_an_arm_that_scores_everything_alike_earns_nothing():
    class Flat(Counting):
        def ask(self, question):
            return np.zeros(40, np.float32)

    stream = small_stream(n_actors=60)
    assert played(stream, Flat(40)).metrics["hr@10"].sum() == 0


def test_a_score_that_is_no_number_earns_nothing():
    class Broken(Counting):
        def ask(self, question):
            return np.full(40, np.nan, np.float32)

    record = played(small_stream(n_actors=60), Broken(40))
    assert record.metrics["hr@10"].sum() == 0
    assert (record.top == -1).all()


def test_nights_fall_where_the_stream_says_and_are_told_of():
    class Watching(Counting):
        learned = 0
        nights: tuple[int, ...] = ()

        def learn(self, events):
            super().learn(events)
            self.learned += len(events)

        def night(self):
            self.nights += (self.learned,)

    stream = small_stream()
    arm = Watching(40)
    record = played(stream, arm)
    assert arm.nights == tuple(stream.nights.tolist())
    assert [night["row"] for night in record.nights] == stream.nights.tolist()
    assert played(stream).nights[0]["said"] == "good night"


def test_what_is_known_before_each_question_is_recorded():
    stream = small_stream()
    record = played(stream)
    events, group = stream.events, stream.group
    for place in (0, 17, len(record.asked.row) - 1):
        row = record.asked.row[place]
        before = group < group[row]
        of_item = before & (events.item == events.item[row])
        assert record.asked.actor_events[place] == (events.actor[before] == events.actor[row]).sum()
        assert record.asked.item_events[place] == of_item.sum()
        if of_item.any():
            age_ms = events.timestamp_ms[row] - events.timestamp_ms[of_item].min()
            assert record.asked.item_age_s[place] == age_ms / 1000


def test_top_lists_hold_the_best_candidates_only():
    stream = small_stream()
    record = played(stream)
    for place, row in enumerate(record.asked.row):
        own = stream.events.item[
            (stream.group < stream.group[row]) & (stream.events.actor == stream.events.actor[row])
        ]
        assert not set(record.top[place].tolist()) & set(own.tolist())


def test_outcome_questions_get_the_arms_probability():
    class Sure(Counting):
        def probabilities(self, tickets, items):
            return np.full(len(items), 0.25)

    stream = small_stream()
    record = played(stream, Sure(40))
    assert record.judged.row.tolist() == np.flatnonzero(stream.judged).tolist()
    assert (record.judged.probability == 0.25).all()
    labels = (stream.events.outcome[record.judged.row] > 0).astype(float)
    np.testing.assert_array_equal(record.judged.label, labels)
    assert played(stream).judged is None


def test_a_stream_without_a_question_and_scores_of_another_shape_are_refused():
    stream = small_stream()
    none = np.zeros(len(stream), bool)
    with pytest.raises(BadInputError, match="expected questions in the replay part of small"):
        played(dataclasses.replace(stream, asked=none, judged=none))
    with pytest.raises(BadInputError, match=r"expected scores of shape .*, 40\).*got .*, 39\)"):
        played(stream, Counting(39))


def shown_stream():
    """Twenty lists of five of which one item is clicked."""
    n = 200
    stream = small_stream(n_events=n)
    group = np.repeat(np.arange(n // 5), 5)
    clicked = np.arange(n) % 5 == np.arange(n) // 5 % 5
    events = dataclasses.replace(
        stream.events,
        actor=(group % 12).astype(np.int32),
        item=((np.arange(n) * 7) % 40).astype(np.int32),
        timestamp_ms=group * 1000 + 10**12,
        outcome=np.where(clicked, 1, -1).astype(np.int8),
    )
    asked = np.arange(n) >= 100
    return dataclasses.replace(
        stream,
        events=events,
        group=group,
        bootstrap=100,
        nights=np.array([150]),
        asked=asked,
        judged=asked,
        candidates="shown",
        metrics=("auc", "mrr", "ndcg@5"),
    )


def test_a_shown_list_is_one_question_and_its_order_tells_nothing():
    asked = []

    class Knowing(Counting):
        def __init__(self, sign):
            super().__init__(40)
            self._sign = sign

        def ask(self, question):
            asked.append(question.shown.tolist())
            clicked = {3: 1.0}
            return np.array([clicked.get(n, 0.0) for n in range(40)], np.float32) * self._sign

    stream = shown_stream()
    record = played(stream, Knowing(1.0))
    assert len(record.asked.row) == 20
    assert all(shown == sorted(shown) for shown in asked)
    assert record.top.shape == (20, 0)
    # all items score alike but one: ties are half in AUC and last in MRR
    lists = [shown for shown in asked if 3 not in shown]
    assert lists
    flat = [3 not in shown for shown in asked]
    np.testing.assert_array_equal(record.metrics["auc"][flat], 0.5)
    np.testing.assert_allclose(record.metrics["mrr"][flat], 1 / 5)


def test_list_metrics_equal_those_worked_out_by_hand():
    class ByNumber(Counting):
        def ask(self, question):
            return np.arange(40, dtype=np.float32)

    stream = shown_stream()
    record = played(stream, ByNumber(40))
    for place, row in enumerate(range(100, 200, 5)):
        items = stream.events.item[row : row + 5]
        target = items[stream.events.outcome[row : row + 5] > 0][0]
        rank = 1 + (items > target).sum()
        assert record.metrics["auc"][place] == pytest.approx((items < target).sum() / 4)
        assert record.metrics["mrr"][place] == pytest.approx(1 / rank)
        assert record.metrics["ndcg@5"][place] == pytest.approx(1 / np.log2(1 + rank))


def test_regret_is_what_the_best_list_is_worth_more():
    worth = np.linspace(0, 1, 40)
    stream = small_stream(metrics=("regret@10",), truth=lambda row: worth, candidates="all")

    class Best(Counting):
        def ask(self, question):
            return np.arange(40, dtype=np.float32)

    class Silent(Counting):
        def ask(self, question):
            return np.full(40, -np.inf, np.float32)

    assert played(stream, Best(40)).metrics["regret@10"].max() == pytest.approx(0, abs=1e-6)
    # who names nothing is held against all candidates, and gets the worst of them
    known = played(stream, Silent(40)).metrics["regret@10"]
    assert known.max() == pytest.approx(worth[-10:].mean() - worth[0])
    assert played(stream).metrics["regret@10"].min() > 0
    with pytest.raises(BadInputError, match="regret needs the planted truth"):
        played(dataclasses.replace(stream, truth=None))


def test_a_record_reads_back_as_it_was_written(tmp_path):
    class Sure(Counting):
        def probabilities(self, tickets, items):
            return np.full(len(items), 0.25)

    record = played(small_stream(), Sure(40))
    write_record(record, tmp_path / "r.npz")
    again = read_record(tmp_path / "r.npz")
    assert (again.arm, again.protocol, again.nights) == ("counting", "small", record.nights)
    for part in ("asked", "judged"):
        for name, values in vars(getattr(record, part)).items():
            np.testing.assert_array_equal(getattr(getattr(again, part), name), values)
    np.testing.assert_array_equal(again.metrics["hr@10"], record.metrics["hr@10"])


def test_a_file_that_is_no_record_is_refused(tmp_path):
    path = tmp_path / "r.npz"
    path.write_bytes(b"no")
    with pytest.raises(BadInputError, match="is not the record of a replay"):
        read_record(path)
