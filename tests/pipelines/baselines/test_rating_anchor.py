import gzip
from pathlib import Path

import numpy as np
import pytest

from pipelines.baselines.rating_anchor import PUBLISHED, TOLERANCE, rating_anchor

RATINGS = Path(__file__).parents[4] / "shared/data/ml-100k/u.data.gz"


def test_the_first_rating_is_predicted_before_it_is_learned_and_clipped():
    found = rating_anchor(np.array([1]), np.array([2]), np.array([3.0]))

    # nothing is known, so the model says about 0, which no rating is
    assert found == {"mae": 2.0, "rmse": 2.0}


def test_the_second_rating_is_predicted_by_the_first():
    found = rating_anchor(np.array([1, 8]), np.array([2, 9]), np.array([3.0, 3.0]))

    assert found["mae"] == pytest.approx(1.0, abs=0.1)


@pytest.mark.slow
@pytest.mark.skipif(not RATINGS.exists(), reason=f"needs {RATINGS.name} of MovieLens-100K")
def test_the_anchor_holds():
    with gzip.open(RATINGS, "rt") as file:
        actor, item, rating, second = np.loadtxt(file, dtype=np.int64).T
    order = np.lexsort((item, actor, second))
    found = rating_anchor(actor[order], item[order], rating[order].astype(np.float64))

    assert found == pytest.approx(PUBLISHED, abs=TOLERANCE)
