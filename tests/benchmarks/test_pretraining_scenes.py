from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter
from scipy.spatial import cKDTree

from benchmarks.pretraining_batches import fixed_scenes
from benchmarks.pretraining_scenes.curves import branches, coil_path, curve_distance, wandering_path
from benchmarks.pretraining_scenes.families import SHAPES
from benchmarks.pretraining_scenes.fields import blurred, smooth_noise
from benchmarks.pretraining_scenes.scene import HELD_OUT_FAMILIES, TRAINING_FAMILIES, Scene, make_scene
from benchmarks.pretraining_scenes.shapes import Placement

FAMILIES = (*TRAINING_FAMILIES, *HELD_OUT_FAMILIES)


def scenes(family: str, *, count: int = 12, side: int = 96, seed: int = 3) -> list[Scene]:
    return [make_scene(seed=seed, index=index, side=side, families=(family,)) for index in range(count)]


def test_a_scene_follows_from_its_seed_and_index_alone() -> None:
    first, other = (make_scene(seed=5, index=7, side=64) for _ in range(2))
    np.testing.assert_array_equal(first.image, other.image)
    assert len(first.masks) == len(other.masks)
    assert all((one == two).all() for one, two in zip(first.masks, other.masks, strict=True))
    for seed, index in ((5, 8), (6, 7)):
        assert not np.array_equal(first.image, make_scene(seed=seed, index=index, side=64).image)


def test_making_a_scene_leaves_numpy_s_global_state_alone() -> None:
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    make_scene(seed=1, index=1, side=64)
    assert np.random.rand() == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_images_and_masks_keep_what_is_promised(family: str) -> None:
    for scene in scenes(family):
        assert scene.family == family
        assert scene.image.shape == (96, 96)
        assert scene.image.dtype == np.float32
        assert np.isfinite(scene.image).all()
        assert scene.image.min() >= -1
        assert scene.image.max() <= 1
        assert scene.image.std() > 0.05
        assert scene.masks
        for mask in scene.masks:
            assert mask.dtype == bool
            assert 12 <= mask.sum() <= 96 * 96 / 3
        assert np.sum(scene.masks, axis=0).max() <= 1, "targets must not overlap"


@pytest.mark.parametrize("side", [32, 64, 160])
def test_scenes_come_at_any_side(side: int) -> None:
    assert make_scene(seed=0, index=0, side=side).image.shape == (side, side)


@pytest.mark.parametrize("family", ["blobs", "tubes", "rings", "islands", "sheets", "trees"])
def test_targets_differ_in_grey_value_from_what_surrounds_them(family: str) -> None:
    contrasts = []
    for scene in scenes(family, count=20, side=128):
        mask = scene.masks[0]
        around = binary_dilation(mask, iterations=4) & ~binary_dilation(mask, iterations=1)
        contrasts.append(abs(scene.image[mask].mean() - scene.image[around].mean()))
    assert np.median(contrasts) > 0.2


def test_textured_targets_differ_in_texture_rather_than_in_grey_value() -> None:
    means, deviations = [], []
    for scene in scenes("textures", count=60, side=128):
        mask = scene.masks[0]
        around = binary_dilation(mask, iterations=4) & ~binary_dilation(mask, iterations=1)
        means.append(abs(scene.image[mask].mean() - scene.image[around].mean()))
        deviations.append(scene.image[mask].std() / scene.image[around].std())
    assert np.median(means) < 0.2
    assert np.median(deviations) > 1.2


def test_many_scenes_have_something_else_to_point_at() -> None:
    counts = [len(make_scene(seed=4, index=index, side=96).masks) for index in range(60)]
    assert np.mean(np.array(counts) > 1) > 0.7


def test_target_sizes_range_from_a_dozen_pixels_to_a_good_part_of_the_image() -> None:
    areas = np.array([make_scene(seed=8, index=index, side=128).masks[0].sum() for index in range(200)])
    assert np.percentile(areas, 5) < 60
    assert np.percentile(areas, 95) > 1500


def test_small_targets_are_trained_on_and_not_measured_on() -> None:
    trained = [make_scene(seed=8, index=index, side=96) for index in range(60)]
    measured = fixed_scenes(8, count=60, side=96)
    assert min(mask.sum() for scene in trained for mask in scene.masks) < 96**2 / 400
    assert min(mask.sum() for scene in measured for mask in scene.masks) >= 96**2 / 400


def test_held_out_families_are_not_trained_on() -> None:
    assert set(HELD_OUT_FAMILIES).isdisjoint(TRAINING_FAMILIES)
    assert set(HELD_OUT_FAMILIES) <= set(SHAPES)
    seen = {make_scene(seed=0, index=index, side=32).family for index in range(150)}
    assert seen == set(TRAINING_FAMILIES)


def test_no_phantom_takes_part() -> None:
    code = "import sys, benchmarks.pretraining_scenes.scene; sys.exit(any('phantom' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("family", list(SHAPES))
def test_a_shape_has_about_the_size_asked_for(family: str) -> None:
    random = np.random.default_rng(0)
    place = Placement(side=128, x=64.0, y=64.0, size=14.0)
    areas = [(SHAPES[family](random, place) < 0).sum() for _ in range(12)]
    assert 0.4 < np.median(areas) / (np.pi * 14**2) < 2.5


@pytest.mark.parametrize("reach", [3.0, 20.0])
def test_the_distance_to_a_curve_is_the_euclidean_one(reach: float) -> None:
    random = np.random.default_rng(2)
    paths = [wandering_path(random, 30, 20, length=40, radius=2), coil_path(random, 20, 30, size=10, radius=2)]
    paths += [path for path, _ in branches(random, 24, 24, size=12)]
    rows, columns = np.mgrid[:48, :48]
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    for path in paths:
        expected = cKDTree(path).query(pixels)[0].reshape(48, 48)
        near = expected < reach
        np.testing.assert_allclose(curve_distance(path, 48, reach=reach)[near], expected[near], atol=1e-3)


def test_a_curve_outside_the_picture_is_far_from_it() -> None:
    path = np.full((5, 2), -50, dtype=np.float32)
    assert curve_distance(path, 16, reach=4).min() > 100


def test_a_wandering_path_has_its_length_and_middle() -> None:
    path = wandering_path(np.random.default_rng(0), 40, 50, length=60, radius=2)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert steps.sum() == pytest.approx(60, rel=0.05)
    np.testing.assert_allclose(path[len(path) // 2], [40, 50], atol=1e-4)


@pytest.mark.parametrize("sigma", [0.7, 1.5])
def test_the_blur_is_scipy_s(sigma: float) -> None:
    field = np.random.default_rng(0).random((40, 40), dtype=np.float32)
    np.testing.assert_allclose(blurred(field, sigma), gaussian_filter(field, sigma, truncate=8), atol=2e-3)


@pytest.mark.parametrize("scale", [2.0, 8.0, 32.0])
def test_noise_has_unit_deviation_and_the_scale_asked_for(scale: float) -> None:
    random = np.random.default_rng(0)
    fields = np.stack([smooth_noise(random, 64, scale) for _ in range(200)])
    assert fields.std() == pytest.approx(1, rel=0.1)
    near = np.mean(fields[:, :, 1:] * fields[:, :, :-1])
    far = np.mean(fields[:, :, : 64 - int(scale)] * fields[:, :, int(scale) :])
    assert near > far
    if scale > 2:
        assert near > 0.9
