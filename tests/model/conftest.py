"""A log of the test world."""

import pytest

from model.storage.event_log import open_log
from tests.recommending import EVENTS, NOW_MS
from tests.worlds import metadata


@pytest.fixture
def log(tmp_path):
    log = open_log(tmp_path / "events.db")
    log.append(metadata(), received_ms=NOW_MS)
    log.append(EVENTS, received_ms=NOW_MS)
    yield log
    log.close()


@pytest.fixture
def every_cause(monkeypatch):
    """Replies that name all causes, however many and small."""
    monkeypatch.setattr("model.explanation._MOST_CAUSES", 10_000)
    monkeypatch.setattr("model.explanation._LEAST_SAID", 0.0)
