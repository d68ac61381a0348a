"""`python -m benchmarks.index_libraries [ITEMS]`: the best hundred of many products, by index.

`model.shortlist` beside an inverted file of faiss and the graph of hnswlib (`pip install faiss-cpu
hnswlib`, which nothing else needs), on vectors in clouds and with popularity as one more
dimension: recall against all products, processor time of a question and of building.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

import faiss
import hnswlib
import numpy as np
from numpy.typing import NDArray

from benchmarks.clouds import Clouds
from model.prepared import best
from model.shortlist import Shortlist, products

_QUESTIONS: Final = 100
_BEST: Final = 100
_LIKED: Final = 5

_Array: TypeAlias = NDArray[np.float32]
_Ask: TypeAlias = Callable[[_Array], NDArray[np.integer[Any]]]


def asked(ask: _Ask, questions: _Array) -> tuple[list[set[int]], dict[str, float]]:
    """What each question found, and the processor time that it took, in milliseconds."""
    found, spent = [], []
    for question in questions:
        begun = time.process_time()
        found.append(set(ask(question).tolist()))
        spent.append((time.process_time() - begun) * 1_000)
    p50, p99 = np.percentile(spent, [50, 99]).round(2).tolist()
    return found, {"p50_cpu_ms": p50, "p99_cpu_ms": p99}


def indexes(points: _Array) -> dict[str, Callable[[], dict[str, _Ask]]]:
    """By name what builds an index, which then answers in one or several ways."""
    d, lists = points.shape[1], 2 * int(len(points) ** 0.5)
    vectors, bias = np.ascontiguousarray(points[:, :-1]), points[:, -1].copy()

    def own() -> dict[str, _Ask]:
        shortlist = Shortlist(vectors, bias, np.random.default_rng(0))

        def ask(question: _Array) -> NDArray[np.integer[Any]]:
            few = np.unique(shortlist.of(question[:-1], bias))
            scores = products(vectors, few, question[:-1]) + bias[few]
            return few[best(scores, _BEST)]

        return {"": ask}

    def inverted_file() -> dict[str, _Ask]:
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, lists, faiss.METRIC_INNER_PRODUCT)
        index.train(points[:: max(len(points) // (64 * lists), 1)])
        index.add(points)

        def ask(question: _Array, probes: int) -> NDArray[np.integer[Any]]:
            index.nprobe = probes
            return np.asarray(index.search(question[None], _BEST)[1][0])

        shares = (100, 25, 10)
        return {f", {lists // n} probed": partial(ask, probes=lists // n) for n in shares}

    def graph() -> dict[str, _Ask]:
        index = hnswlib.Index(space="ip", dim=d)
        index.init_index(max_elements=len(points), M=16, ef_construction=100, random_seed=0)
        index.set_num_threads(1)
        index.add_items(points, num_threads=1)

        def ask(question: _Array, width: int) -> NDArray[np.integer[Any]]:
            index.set_ef(width)
            return np.asarray(index.knn_query(question[None], k=_BEST, num_threads=1)[0][0])

        return {f", width {n}": partial(ask, width=n) for n in (200, 800, 3_200)}

    return {"shortlist": own, "faiss inverted file": inverted_file, "hnswlib graph": graph}


def measured(n_items: int, clouded: float) -> list[dict[str, Any]]:
    """Everything, on one thread, for vectors of which clouds decide so much."""
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    world = Clouds.drawn(n_items, 1, clouded, rng)
    bias = np.log(world.counts[1:] / world.counts.sum()).astype(np.float32)
    bias -= bias.mean()  # a constant changes no order, but the lists of an inverted file
    points = np.concatenate([world.vectors, bias[:, None]], axis=1)
    # what was liked, of which the last counts once more: see `Clouds.bundle`
    liked = world.vectors[rng.integers(n_items, size=(_QUESTIONS, _LIKED))]
    directions = 2.0 * (liked.mean(axis=1) + liked[:, 0])
    questions = np.concatenate([directions, np.ones((_QUESTIONS, 1))], axis=1, dtype=np.float32)

    truth, times = asked(lambda question: best(points @ question, _BEST), questions)
    rows: list[dict[str, Any]] = [{"index": "all products", "clouds": clouded, **times}]
    for name, build in indexes(points).items():
        begun = time.process_time()
        ways = build()
        built = round(time.process_time() - begun, 1)
        for way, ask in ways.items():
            found, times = asked(ask, questions)
            hits = sum(len(a & b) for a, b in zip(found, truth, strict=True))
            recall = round(hits / (_BEST * _QUESTIONS), 4)
            rows.append(
                {"index": name + way, "clouds": clouded, "build_cpu_s": built, "recall": recall}
                | times
            )
    return rows


if __name__ == "__main__":
    n_items = int((sys.argv[1:] or ["200000"])[0])
    for clouded in (0.64, 0.0):
        for row in measured(n_items, clouded):
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
