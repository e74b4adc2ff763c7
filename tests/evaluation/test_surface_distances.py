from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, distance_transform_edt, find_objects, gaussian_filter

from spd_bench.evaluation import surface_distances as module
from spd_bench.evaluation.surface import scores_of, surface_dice, surface_scores
from spd_bench.evaluation.surface_distances import SurfaceDistances, bounding_box, surface, surface_distances

SPACING = (2.5, 0.7, 1.1)


def _blob(seed: int, quantile: float = 0.8) -> Any:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(9, 20, 18)), 1.5)
    return noise > np.quantile(noise, quantile)


@pytest.mark.parametrize("spacing", [SPACING, (0.5, 2.0, 6.0), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("seed", range(4))
def test_both_ways_give_the_distances_of_a_transform(
    seed: int, spacing: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = _blob(seed), _blob(seed + 10, 0.95)
    borders = [mask & ~binary_erosion(mask) for mask in pair]
    expected = [
        np.sort(distance_transform_edt(~other, sampling=spacing)[own]) for own, other in (borders, borders[::-1])
    ]
    for many in (0, 10**9):
        monkeypatch.setattr(module, "MANY", many)
        found = surface_distances(*pair, spacing)
        assert found is not None
        for directed, exact in zip(found, expected, strict=True):
            np.testing.assert_allclose(np.sort(directed), exact, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "density", "ways"),
    [
        ((10, 40, 40), 0.5, {"row_distances"}),  # all are near
        ((10, 40, 40), 0.01, {"tree_distances"}),  # few
        ((30, 150, 150), 0.002, {"tree_distances"}),  # many, but scattered over a large box
    ],
)
def test_the_cheaper_way_is_taken(
    shape: tuple[int, ...], density: float, ways: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _ways_taken(np.random.default_rng(0).random((2, *shape)) < density, monkeypatch) == ways


def test_what_is_far_goes_to_the_thinned_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = np.zeros((2, 12, 60, 90), bool)
    pair[0, :, :, :30] = pair[1, :, :, 60:] = True
    assert _ways_taken(pair, monkeypatch) == {"row_distances", "thinned_tree_distances"}


def _ways_taken(pair: Any, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    calls: set[str] = set()

    def watched(name: str) -> Callable[..., Any]:
        body = getattr(module, name)

        def call(*arguments: Any) -> Any:
            calls.add(name)
            return body(*arguments)

        return call

    for name in ("row_distances", "tree_distances", "thinned_tree_distances"):
        monkeypatch.setattr(module, name, watched(name))
    surface_distances(*pair, SPACING)
    return calls


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
