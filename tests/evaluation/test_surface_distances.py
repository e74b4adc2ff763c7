from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, find_objects, gaussian_filter

from spd_bench.evaluation import surface_distances as module
from spd_bench.evaluation.surface import scores_of, surface_dice, surface_scores
from spd_bench.evaluation.surface_distances import SurfaceDistances, bounding_box, surface, surface_distances

SPACING = (2.5, 0.7, 1.1)


def _blob(seed: int, quantile: float = 0.8) -> Any:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(9, 20, 18)), 1.5)
    return noise > np.quantile(noise, quantile)


@pytest.mark.parametrize("seed", range(4))
def test_tree_and_transform_give_the_same_distances(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for price in (0, 10**9):
        monkeypatch.setattr(module, "VOXELS_PER_LOOKUP", price)
        distances = surface_distances(_blob(seed), _blob(seed + 10, 0.9), SPACING)
        assert distances is not None
        found.append([np.sort(directed) for directed in distances])
    for tree, transform in zip(*found, strict=True):
        np.testing.assert_allclose(tree, transform, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("density", "way"), [(0.5, "_by_transform"), (0.01, "_by_tree")])
def test_the_cheaper_way_is_taken(density: float, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def watched(name: str) -> Callable[..., Any]:
        body = getattr(module, name)

        def call(*arguments: Any) -> Any:
            calls.append(name)
            return body(*arguments)

        return call

    for name in ("_by_tree", "_by_transform"):
        monkeypatch.setattr(module, name, watched(name))
    rng = np.random.default_rng(0)
    surface_distances(*(rng.random((2, 10, 40, 40)) < density), SPACING)
    assert calls == [way, way]


def test_surface_is_the_mask_without_its_erosion() -> None:
    for seed in range(5):
        mask = _blob(seed, 0.4)
        np.testing.assert_array_equal(surface(mask), mask & ~binary_erosion(mask))
    np.testing.assert_array_equal(surface(np.ones((5, 5), bool)).sum(), 16)


def test_bounding_box_is_that_of_scipy() -> None:
    mask = np.zeros((7, 8, 9), bool)
    mask[2, 3:5, 8] = mask[4, 1, 0] = True
    assert bounding_box(mask) == find_objects(mask.astype(np.uint8))[0]


def test_empty_masks_have_no_distances() -> None:
    assert surface_distances(np.zeros((3, 3), bool), np.ones((3, 3), bool), (1.0, 1.0)) is None
    assert np.isnan(scores_of(None)).all()


def test_equal_masks_are_at_distance_zero_everywhere() -> None:
    mask = _blob(0)
    distances = surface_distances(mask, mask, SPACING)
    assert distances is not None
    assert distances.pooled.tolist() == [0.0] * (2 * surface(mask).sum())
    assert surface_dice(distances, 0.0) == 1.0


def test_the_larger_direction_is_not_the_pooled_one() -> None:
    reference, prediction = np.zeros((2, 1, 21), dtype=bool)
    reference[0, 0] = True
    prediction[0, [0, 10, 20]] = True
    assert surface_scores(reference, prediction, (1.0, 1.0), hd95="max").hd95_mm == pytest.approx(19)
    assert surface_scores(reference, prediction, (1.0, 1.0)).hd95_mm == pytest.approx(18.5)


def test_a_tolerance_survives_the_rounding_of_spacings() -> None:
    spacing = float(np.float32(0.1))
    reference, prediction = np.zeros((2, 1, 11), dtype=bool)
    reference[0, 0] = prediction[0, 10] = True
    distances = surface_distances(reference, prediction, (1.0, spacing))
    assert distances is not None
    assert distances.pooled.min() > 1
    assert surface_dice(distances, 1.0) == 1.0
    assert surface_dice(SurfaceDistances(np.array([1.001]), np.array([0.5])), 1.0) == 0.5
