"""A tree without the inside of flat pieces finds what the whole one finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from spd_bench.evaluation.nearest_tree import indices_of, thinned_tree_distances, tree_distances

SPACINGS = [(5.0, 0.8, 0.7), (1.0, 1.0, 1.0), (0.4, 3.0, 1.5), (2.0, 0.8), (0.3, 5.0)]


def _blob(seed: int, shape: tuple[int, ...], share: float) -> Any:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return noise > np.quantile(noise, 1 - share)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(3))
def test_both_are_brute_force(seed: int, spacing: tuple[float, ...]) -> None:
    shape = (8, 20, 18)[-len(spacing) :]
    goal, start = _blob(seed, shape, 0.3), np.nonzero(_blob(seed + 10, shape, 0.3))
    expected = cdist(np.transpose(start) * spacing, np.argwhere(goal) * spacing).min(axis=1)
    for distances in (tree_distances, thinned_tree_distances):
        np.testing.assert_allclose(distances(start, goal, spacing), expected, rtol=0, atol=1e-9)


def test_the_inside_of_a_plate_is_found_from_its_own_column() -> None:
    goal = np.zeros((7, 9, 9), bool)
    goal[3, 1:8, 1:8] = True
    start = np.nonzero(np.ones_like(goal))
    distances = thinned_tree_distances(start, goal, (5.0, 1.0, 1.0)).reshape(goal.shape)
    assert distances[:, 4, 4].tolist() == [15, 10, 5, 0, 5, 10, 15]
    np.testing.assert_array_equal(distances.ravel(), tree_distances(start, goal, (5.0, 1.0, 1.0)))


def test_plates_on_the_first_and_last_column_are_not_taken_for_neighbours() -> None:
    goal = np.zeros((3, 4, 4), bool)
    goal[2, :3, :3] = goal[0, 1:, 1:] = True
    start = np.nonzero(np.ones_like(goal))
    np.testing.assert_array_equal(
        thinned_tree_distances(start, goal, (1.0, 9.0, 9.0)), tree_distances(start, goal, (1.0, 9.0, 9.0))
    )


def test_indices_are_those_of_numpy() -> None:
    mask = _blob(0, (5, 6, 7), 0.4)
    np.testing.assert_array_equal(indices_of(mask), np.nonzero(mask))
