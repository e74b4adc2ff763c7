from __future__ import annotations

import numpy as np
import pytest
from medpy.metric import assd, hd95
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from spd_bench.evaluation.surface import surface_scores

SPACINGS = [(1.0, 1.0), (0.7, 2.3), (5.0, 0.4)]


def _blobs(seed: int, shape: tuple[int, ...], quantile: float) -> NDArray[np.bool_]:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return noise > np.quantile(noise, quantile)


def _assert_equals_medpy(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], spacing: tuple[float, ...]
) -> None:
    ours = surface_scores(reference, prediction, spacing)
    assert ours.hd95_mm == pytest.approx(hd95(prediction, reference, voxelspacing=spacing), abs=1e-6)
    assert ours.asd_mm == pytest.approx(assd(prediction, reference, voxelspacing=spacing), abs=1e-6)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(6))
def test_random_blobs_equal_medpy(seed: int, spacing: tuple[float, float]) -> None:
    _assert_equals_medpy(_blobs(seed, (40, 55), 0.9), _blobs(seed + 100, (40, 55), 0.8), spacing)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_one_pixel_masks_equal_medpy(spacing: tuple[float, float]) -> None:
    reference, prediction = np.zeros((2, 20, 30), dtype=bool)
    reference[3, 4] = prediction[12, 27] = True
    _assert_equals_medpy(reference, prediction, spacing)
    _assert_equals_medpy(reference, _blobs(1, (20, 30), 0.7), spacing)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_masks_touching_every_border_equal_medpy(spacing: tuple[float, float]) -> None:
    reference, prediction = np.zeros((2, 16, 18), dtype=bool)
    reference[:6, :9] = True
    prediction[9:, 5:] = True
    _assert_equals_medpy(reference, prediction, spacing)
    _assert_equals_medpy(reference, np.ones_like(reference), spacing)


def test_volumes_equal_medpy() -> None:
    _assert_equals_medpy(_blobs(3, (12, 20, 17), 0.9), _blobs(4, (12, 20, 17), 0.8), (5.0, 0.8, 1.1))


def test_equal_masks_have_no_distance() -> None:
    mask = _blobs(0, (30, 30), 0.8)
    assert surface_scores(mask, mask, (1.0, 2.0)) == (0.0, 0.0)


def test_distances_are_pooled_not_the_mean_of_the_two_directions() -> None:
    # One pixel against that pixel and two others 10 and 20 pixels off: directed sets {0} and {0, 10, 20}.
    reference, prediction = np.zeros((2, 1, 21), dtype=bool)
    reference[0, 0] = True
    prediction[0, [0, 10, 20]] = True
    scores = surface_scores(reference, prediction, (1.0, 1.0))
    assert scores.asd_mm == pytest.approx(30 / 4)
    assert scores.hd95_mm == pytest.approx(np.percentile([0, 0, 10, 20], 95))


def test_one_or_both_masks_empty_gives_nan() -> None:
    empty, full = np.zeros((4, 4), dtype=bool), np.ones((4, 4), dtype=bool)
    for pair in ((empty, full), (full, empty), (empty, empty)):
        assert np.isnan(surface_scores(*pair, (1.0, 1.0))).all()


def test_unfitting_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        surface_scores(np.ones((3, 4), dtype=bool), np.ones((4, 3), dtype=bool), (1.0, 1.0))
    with pytest.raises(ValueError, match="do not fit"):
        surface_scores(np.ones((3, 4), dtype=bool), np.ones((3, 4), dtype=bool), (1.0, 1.0, 1.0))
