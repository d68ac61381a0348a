"""`python -m pipelines.benchmark.plain_tensorflow HOME N PORT`: what one would build instead.

The same published model as a `tf.function` behind a FastAPI route. It is spared a lot: what
the model reads of each user lies ready in memory, item vectors are computed once, nothing is
logged, counted, checked or remembered.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from model.slow.batches import NO_CANDIDATE, Batches, rows_of
from model.slow.bundle import Bundle, load_bundle
from model.slow.config import SlowConfig
from model.slow.engine import tf
from model.slow.examples import Examples
from model.slow.wide_deep import WideDeep
from model.storage.event_log import open_log
from model.storage.registry import Registry
from model.workspace import Workspace, load_config
from pipelines.benchmark.constant import serve
from pipelines.learning import read_log

_READ: Final = ("user", "liked", "disliked", "last", "attributes", "goal", "pairs", "logits")


class Asked(BaseModel):
    """Whom to recommend to."""

    user_id: str
    n: int = 10


class Ready(NamedTuple):
    """What the model reads of each user, as of the newest event.

    Attributes:
      features: By user id: the arrays of one request, and the items to leave out.
    """

    features: dict[str, dict[str, Any]]
    ids: list[str]


def ready(bundle: Bundle, workspace: Workspace) -> Ready:
    """Looks everything up beforehand, as a feature store would hold it."""
    config = load_config(workspace.config_path)
    log = open_log(workspace.log_path)
    try:
        read = read_log(log, config, None)
    finally:
        log.close()
    examples = Examples(read.columns, bundle.space, read.metadata)
    order = read.columns.by_time()
    newest = dict(zip(read.columns.actor.codes[order].tolist(), range(len(order)), strict=True))
    sizes = SlowConfig(full_softmax_items=len(bundle.parameters["item_bias"]))
    batches = Batches(examples, np.arange(len(examples)), bundle.parameters, sizes)
    features = {
        read.columns.actor.terms[code]: _features(batches, examples, place)
        for code, place in newest.items()
    }
    space = bundle.space.items
    return Ready(features, [str(space.term(number)) for number in range(space.size)])


def _features(batches: Batches, examples: Examples, place: int) -> dict[str, Any]:
    which = np.array([place])
    arrays = batches.batch(rows_of(which), rows_of(which[:0]), np.random.default_rng(0))
    seen = np.unique(examples.seen(which)[1])
    return {name: tf.constant(arrays[name]) for name in _READ} | {
        "seen": tf.constant(np.append(seen[seen > 0], 0).astype(np.int32))
    }


def recommending(bundle: Bundle, n: int) -> Callable[[dict[str, Any]], Any]:
    """A compiled function from the features of one request to its best items."""
    parameters = bundle.parameters
    model = WideDeep(parameters, SlowConfig(full_softmax_items=len(parameters["item_bias"])))
    vectors = tf.constant(model.deep.item_vectors())

    @tf.function(reduce_retracing=True)
    def answer(features: dict[str, Any]) -> Any:
        hidden = model.deep.hidden(features, vectors)
        query = model.deep.queries(hidden)
        scores = tf.matmul(query, vectors, transpose_b=True) + model.deep.p["item_bias"]
        scores = model.wide(scores, features["pairs"], features["logits"])
        seen = features["seen"]
        gone = tf.fill([tf.size(seen)], -NO_CANDIDATE)
        scores = tf.tensor_scatter_nd_add(scores[0], seen[:, None], gone)
        best = tf.math.top_k(scores, n)
        rows = tf.repeat(hidden, n, axis=0)
        odds = model.deep.outcome_logits(rows, vectors, best.indices)
        return best.values, best.indices, tf.sigmoid(odds)

    compiled: Callable[[dict[str, Any]], Any] = answer
    return compiled


def application(home: Path, n: int) -> FastAPI:
    """The route."""
    workspace = Workspace(home)
    registry = Registry(workspace.models)
    version = registry.current()
    if version is None:
        raise click.ClickException(f"no model is published in {home}")
    bundle = load_bundle(registry.open(version))
    known = ready(bundle, workspace)
    answer = recommending(bundle, n)
    for features in list(known.features.values())[:50]:
        answer(features)
    app = FastAPI()

    @app.post("/recommend")
    async def recommend(asked: Asked) -> dict[str, Any]:
        scores, numbers, chances = answer(known.features[asked.user_id])
        columns = zip(
            numbers.numpy().tolist(), scores.numpy().tolist(), chances.numpy().tolist(), strict=True
        )
        items = [
            {"item_id": known.ids[number], "rank": rank, "score": score, "probability": chance}
            for rank, (number, score, chance) in enumerate(columns, 1)
        ]
        return {"user_id": asked.user_id, "model_version": version, "items": items}

    return app


@click.command()
@click.argument("home", type=click.Path(file_okay=False, path_type=Path))
@click.argument("n", type=int)
@click.argument("port", type=int)
def main(home: Path, n: int, port: int) -> None:
    """Recommend N items from the model of HOME at PORT."""
    serve(application(home, n), port)


if __name__ == "__main__":
    main()
