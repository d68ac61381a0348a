"""Collections visit what is new; what a model held is freed without them."""

import asyncio
import gc
import weakref
from contextlib import contextmanager

from model.workspace import Workspace, load_config
from pipelines.benchmark.swap import publish_again
from service.garbage import freeze_what_stays
from service.model_holder import ModelHolder
from service.settings import load_settings
from service.telemetry import Metrics
from tests.service.conftest import wait_until


@contextmanager
def frozen_after_collections():
    before, thresholds = list(gc.callbacks), gc.get_threshold()
    freeze_what_stays()
    try:
        yield
    finally:
        gc.callbacks[:] = before
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def test_what_outlived_a_full_collection_is_not_visited_again():
    kept = [[number] for number in range(10_000)]
    with frozen_after_collections():
        gc.collect()
        assert gc.get_freeze_count() >= len(kept)
        assert len(gc.get_objects()) < len(kept)


def test_a_small_collection_freezes_nothing():
    with frozen_after_collections():
        gc.collect(0)
        assert gc.get_freeze_count() == 0


def test_being_asked_for_twice_changes_nothing():
    with frozen_after_collections():
        callbacks = list(gc.callbacks)
        freeze_what_stays()
        assert gc.callbacks == callbacks


def test_a_replaced_model_is_freed_without_a_collection(tiny_home):
    """What is frozen is never collected: a cycle in a model would keep it for ever."""
    settings = load_settings(home=tiny_home, model_poll_s=0.02)
    holder = ModelHolder(settings, load_config(settings.workspace.config_path), Metrics())

    async def swap():
        await holder.start()
        assert holder.serving is not None
        replaced = weakref.ref(holder.serving.recommender)
        second = publish_again(Workspace(tiny_home))
        await asyncio.to_thread(wait_until, lambda: holder.version == second)
        await holder.stop()
        return replaced

    gc.collect()
    gc.disable()
    try:
        replaced = asyncio.run(swap())
        assert replaced() is None
    finally:
        gc.enable()
