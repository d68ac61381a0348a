"""`python -m benchmarks.large_catalogue [ITEMS]`: the best hundred of a million vectors.

The exact product with every vector beside an inverted file of the library faiss (`pip install
faiss-cpu`, which nothing else needs): recall against exact, processor time of a question and of
building, memory. The vectors lie in 2,000 clouds, as tastes do.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

_DIMENSIONS: Final = 64
_CLOUDS: Final = 2_000
_QUESTIONS: Final = 200
_BEST: Final = 100
_PROBES: Final = (8, 32, 128)
_TRAINED_ON: Final = 160_000

_Array = NDArray[np.float32]


def vectors(rng: np.random.Generator, centres: _Array, n: int) -> _Array:
    """[n, d] points around centres."""
    around = centres[rng.integers(len(centres), size=n)]
    return 0.8 * around + 0.6 * rng.standard_normal((n, _DIMENSIONS), dtype=np.float32)


def timed(ask: Callable[[_Array], NDArray[np.integer[Any]]], questions: _Array) -> dict[str, Any]:
    """What each question found, and the processor time that it took, in milliseconds."""
    found, spent = [], []
    for question in questions:
        begun = time.process_time()
        found.append(set(ask(question).tolist()))
        spent.append((time.process_time() - begun) * 1_000)
    p50, p99 = np.percentile(spent, [50, 99]).round(2).tolist()
    return {"found": found, "p50_ms": p50, "p99_ms": p99}


def measured(n_items: int) -> dict[str, Any]:
    """Everything, for a catalogue of this size, on one thread."""
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((_CLOUDS, _DIMENSIONS), dtype=np.float32)
    items, questions = vectors(rng, centres, n_items), vectors(rng, centres, _QUESTIONS)
    scores = np.empty(n_items, np.float32)

    def exactly(question: _Array) -> NDArray[np.integer[Any]]:
        np.dot(items, question, out=scores)
        return np.argpartition(scores, n_items - _BEST)[n_items - _BEST :]

    exact = timed(exactly, questions)
    begun = time.process_time()
    lists = 4 * int(n_items**0.5)
    coarse = faiss.IndexFlatIP(_DIMENSIONS)
    index = faiss.IndexIVFFlat(coarse, _DIMENSIONS, lists, faiss.METRIC_INNER_PRODUCT)
    index.train(items[rng.choice(n_items, min(n_items, _TRAINED_ON), replace=False)])
    index.add(items)
    report: dict[str, Any] = {
        "items": n_items,
        "exact": {name: exact[name] for name in ("p50_ms", "p99_ms")},
        "lists": lists,
        "build_cpu_s": round(time.process_time() - begun, 1),
        "inverted_file": [],
    }
    for probes in _PROBES:
        index.nprobe = probes
        told = timed(lambda question: index.search(question[None], _BEST)[1][0], questions)
        hits = sum(len(a & b) for a, b in zip(told["found"], exact["found"], strict=True))
        recall = round(hits / (_BEST * _QUESTIONS), 4)
        times = {name: told[name] for name in ("p50_ms", "p99_ms")}
        report["inverted_file"].append({"probes": probes, "recall": recall, **times})
    report["most_resident_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return report


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(int((sys.argv[1:] or ["1000000"])[0])), indent=1) + "\n")
