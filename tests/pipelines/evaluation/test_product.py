import dataclasses

import numpy as np
import pytest

from model.errors import BadInputError
from model.fast.config import MemoryConfig
from model.interactions import Event, EventRules
from model.recommender import Recommender
from model.request import Query
from model.slow.bundle import write_bundle
from model.storage.event_log import open_log
from pipelines.evaluation.arm import Question
from pipelines.evaluation.audit import audit, random_future
from pipelines.evaluation.chain import Chain
from pipelines.evaluation.product import Ensemble, Product
from pipelines.evaluation.replay import replay
from pipelines.evaluation.sealed_log import SealedLog, write_log
from tests.pipelines.evaluation.streams import world_stream
from tests.tiny_model import tiny_model

STREAM = world_stream()
TINY = tiny_model()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The stream's log, and a chain of one untrained version."""
    return made_in(tmp_path_factory.mktemp("product"), STREAM)


def made_in(folder, stream):
    write_log(stream, folder / "log.db")
    chain = Chain(folder / "chain")
    with chain.registry.stage() as staged:
        write_bundle(TINY.bundle, staged)
        version = chain.registry.publish(staged, {"trained_through_seq": 0}, created_ms=0)
    chain.add({"version": version, "seconds": 0.0, "row": stream.bootstrap})
    return folder / "log.db", chain


@pytest.fixture
def product(made):
    return on(made, STREAM)


def on(made, stream, memory=MemoryConfig()):  # noqa: B008 - frozen
    log, chain = made
    return Product(stream, log, chain, memory)


def played(arm, stream=STREAM, **more):
    return replay(stream, arm, name="arm", seed=0, **more)


def test_the_arms_list_is_the_list_that_the_service_would_give(made, product):
    """Each moment by itself: a new log with what had happened by then, asked as a client would."""
    record = played(product)
    full = open_log(made[0])
    before = full.head() - len(STREAM)
    for place in (0, len(record.asked.row) // 2, len(record.asked.row) - 1):
        row = int(record.asked.row[place])
        known = int(np.flatnonzero(STREAM.group == STREAM.group[row])[0])
        sealed = SealedLog(full, STREAM)
        sealed.show(known)
        assert sealed.head() == before + known
        version, registry = made[1].version(0), made[1].registry
        fresh = Recommender.open(
            registry.open(version), registry.manifest(version), sealed, EventRules(), MemoryConfig()
        )
        reply = fresh.recommend(
            Query(
                user_id=STREAM.actors[STREAM.events.actor[row]],
                now_ms=int(STREAM.events.timestamp_ms[row]),
            )
        )
        top = [STREAM.items[number] for number in record.top[place] if number >= 0]
        assert top == reply.item_ids[: len(top)]
    full.close()


def test_answering_together_gives_what_answering_one_by_one_does(made):
    one, many = played(on(made, STREAM), batch=1), played(on(made, STREAM), batch=256)
    for name, values in one.metrics.items():
        np.testing.assert_array_equal(values, many.metrics[name])
    np.testing.assert_array_equal(one.top, many.top)
    np.testing.assert_allclose(one.judged.probability, many.judged.probability, atol=1e-6)


def test_an_arm_with_a_random_future_is_at_chance(tmp_path):
    stream = random_future(STREAM, np.random.default_rng(3))
    findings = audit([played(on(made_in(tmp_path, stream), stream), stream)])
    assert [f.what for f in findings] == ["hr@10", "auc of outcome"]
    assert not any(f.peeks for f in findings)


def test_a_log_that_shows_too_much_is_caught_by_the_audit(tmp_path):
    """The harness is broken on purpose: the log ends one event too late."""
    stream = random_future(STREAM, np.random.default_rng(3))
    # fast weights that one event can lead, so that an event seen early shows
    memory = MemoryConfig(fast_weight=20.0, step=1.0)
    made = made_in(tmp_path, stream)
    honest, leaking = on(made, stream, memory), on(made, stream, memory)
    leaking.recommender._log._before += 1  # noqa: SLF001 - what is broken is inside
    everything = dataclasses.replace(stream, candidates="all")
    assert not audit([played(honest, everything)])[0].peeks
    assert audit([played(leaking, everything)])[0].peeks


def test_a_sealed_log_shows_nothing_from_after_its_end(made):
    log = open_log(made[0])
    sealed = SealedLog(log, STREAM)
    assert sealed.tail(sealed.head()) == []
    described = sealed.head()
    sealed.show(10)
    assert sealed.head() == described + 10
    assert len(sealed.tail(described, through_seq=described + 50)) == 10
    assert sealed.event("e9") is not None
    assert sealed.event("e10") is None
    actor = STREAM.actors[STREAM.events.actor[0]]
    seen = (STREAM.events.actor[:10] == STREAM.events.actor[0]).sum()
    assert len(sealed.actor_rows(actor, 10**9)) == seen
    assert sealed.catalogue().seq == described + 10
    assert len(sealed.catalogue().items) == len(STREAM.item_attributes)
    assert len(list(sealed.users())) == len(STREAM.user_attributes)
    assert sealed.user(actor) == STREAM.user_attributes[actor]
    with pytest.raises(BadInputError, match="a sealed log takes no entries, got 1"):
        sealed.append([Event("x", "click", 0, user_id="u", item_id="i")], 0)
    sealed.close()


def test_a_log_of_another_stream_is_refused(made):
    other = dataclasses.replace(STREAM, item_attributes={})
    with pytest.raises(BadInputError, match="expected the log of tiny with 1,200 events"):
        SealedLog(open_log(made[0]), other)


def test_writing_a_log_twice_leaves_it_as_it_is(tmp_path):
    path = tmp_path / "log.db"
    (tmp_path / "log.unfinished").write_text("a writer was killed")
    write_log(STREAM, path)
    before = path.stat().st_mtime_ns
    write_log(STREAM, path)
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in tmp_path.glob("*unfinished*")] == []


def test_an_ensemble_averages_scores_and_log_odds(made, product):
    parts = [product, on(made, STREAM, MemoryConfig(trending_weight=3.0))]
    both = Ensemble(parts)
    both.start(STREAM.events.take(slice(0, STREAM.bootstrap)))
    question = Question(3, int(STREAM.events.timestamp_ms[STREAM.bootstrap]), {})
    ticket = both.ask(question)
    each = [arm.answer([own]) for arm, own in zip(parts, ticket, strict=True)]
    np.testing.assert_allclose(both.answer([ticket]), np.mean(each, axis=0), rtol=1e-6)
    items = np.array([5])
    p = np.array([arm.probabilities([own], items) for arm, own in zip(parts, ticket, strict=True)])
    odds = np.log(p / (1 - p)).mean()
    assert both.probabilities([ticket], items) == pytest.approx(1 / (1 + np.exp(-odds)))


def test_an_arm_says_how_many_wide_weights_its_model_has_in_the_end(made, product):
    weights = [TINY.bundle.parameters[name] for name in ("wide_weights", "repeat_weights")]
    expected = sum(int((each != 0).sum()) for each in weights)
    assert product.sizes == {"wide_weights": expected}
    assert expected > 0
    assert Ensemble([product, on(made, STREAM)]).sizes == {"wide_weights": 2 * expected}


def test_a_chain_does_not_know_the_nights_it_has_not_made(made):
    with pytest.raises(BadInputError, match="expected night 1 in the chain, it has 1"):
        made[1].version(1)
