"""Row by row, what is settled is exact; what is not is said to be open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from spd_bench.evaluation.nearest_rows import row_distances

SPACINGS = [(5.0, 0.8, 0.7), (1.0, 1.0, 1.0), (0.4, 3.0, 1.5), (0.7, 0.9, 40.0), (2.0, 0.8), (0.3, 5.0)]


def _brute_force(start: Any, goal: Any, spacing: tuple[float, ...]) -> Any:
    return cdist(np.transpose(start) * spacing, np.argwhere(goal) * spacing).min(axis=1)


@pytest.mark.parametrize("density", [0.3, 0.01, 0.0005])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_settled_distances_are_those_of_brute_force(spacing: tuple[float, ...], density: float) -> None:
    rng = np.random.default_rng(7)
    shape = (9, 25, 33)[-len(spacing) :]
    goal = rng.random(shape) < density
    goal[tuple(rng.integers(0, shape))] = True
    start = np.nonzero(rng.random(shape) < 0.3)
    found = row_distances(start, goal, spacing)
    settled = ~np.isnan(found)
    np.testing.assert_allclose(found[settled], _brute_force(start, goal, spacing)[settled], rtol=0, atol=1e-9)
    assert settled.all() or density < 0.3


def test_the_end_of_a_row_is_not_beside_the_beginning_of_the_next() -> None:
    for shape in ((4, 5, 3), (1, 2, 1), (3, 1, 16), (2, 20, 9)):
        start = np.nonzero(np.ones(shape, bool))
        for corner in np.ndindex(2, 2, 2):
            goal = np.zeros(shape, bool)
            goal[tuple(-at for at in corner)] = True
            found = row_distances(start, goal, (1.0, 1.0, 1.0))
            settled = ~np.isnan(found)
            assert settled.any()
            np.testing.assert_allclose(found[settled], _brute_force(start, goal, (1.0, 1.0, 1.0))[settled], atol=1e-12)


def test_what_is_far_stays_open() -> None:
    goal = np.zeros((2, 3, 60), bool)
    goal[0, 0, 0] = True
    found = row_distances(np.nonzero(np.ones_like(goal)), goal, (1.0, 1.0, 1.0)).reshape(goal.shape)
    assert found[0, 0, :3].tolist() == [0, 1, 2]
    assert np.isnan(found[:, :, 16:]).all()
    assert np.isnan(row_distances(np.nonzero(goal), np.zeros_like(goal), (1.0, 1.0, 1.0))).all()
