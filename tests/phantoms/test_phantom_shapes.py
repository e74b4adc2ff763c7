from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spd_bench.phantoms.canvas import Canvas
from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.shapes import capsules, ellipsoid, elliptic_column, tube

GRID = Grid.centred(shape=(30, 60, 64), spacing=(3.0, 1.5, 1.5))
VOXEL_ML = 3.0 * 1.5 * 1.5 / 1000


def _positions() -> np.ndarray:
    return GRID.geometry.voxel_to_lps(np.argwhere(np.ones(GRID.shape)))


@pytest.mark.parametrize("rotation", [None, Rotation.from_euler("xyz", [20, -35, 50], degrees=True)])
def test_ellipsoid_has_its_volume_and_centre(rotation: Rotation | None) -> None:
    region = ellipsoid(GRID, centre=(4, -3, 2), radii=(22, 14, 17), rotation=rotation)
    inside = region.spread_over(GRID) < 0
    assert inside.sum() * VOXEL_ML == pytest.approx(4 / 3 * np.pi * 22 * 14 * 17 / 1000, rel=0.03)
    centre = GRID.geometry.voxel_to_lps(np.argwhere(inside)).mean(axis=0)
    np.testing.assert_allclose(centre, (4, -3, 2), atol=0.5)


def test_rotated_ellipsoid_holds_the_rotated_points() -> None:
    rotation = Rotation.from_euler("z", 30, degrees=True)
    region = ellipsoid(GRID, centre=(0, 0, 0), radii=(24, 8, 8), rotation=rotation)
    tip = rotation.apply((22.0, 0, 0))
    voxel = np.rint(GRID.geometry.lps_to_voxel(tip)[0]).astype(int)
    assert region.spread_over(GRID)[tuple(voxel)] < 0
    mirrored = np.rint(GRID.geometry.lps_to_voxel(tip * (1, -1, 1))[0]).astype(int)
    assert region.spread_over(GRID)[tuple(mirrored)] > 0


def test_distance_to_a_sphere_is_exact() -> None:
    region = ellipsoid(GRID, centre=(0, 0, 0), radii=(12, 12, 12))
    z, y, x = GRID.axes(region.box)
    np.testing.assert_allclose(region.distance, np.sqrt(x**2 + y**2 + z**2) - 12, atol=1e-3)


def test_column_is_the_same_ellipse_in_every_slice() -> None:
    inside = elliptic_column(GRID, centre=(0, 0), radii=(25, 15)).spread_over(GRID) < 0
    areas = inside.sum(axis=(1, 2)) * 1.5**2
    np.testing.assert_allclose(areas, np.pi * 25 * 15, rtol=0.02)


def test_tube_distance_equals_brute_force_over_dense_points() -> None:
    course = np.array([[-20.0, -10, -20], [0, 12, 0], [18, 5, 25]])
    radii = np.array([5.0, 3.0, 6.0])
    dense = np.concatenate(
        [np.linspace(a, b, 4000) for a, b in zip(np.c_[course, radii], np.c_[course, radii][1:], strict=False)]
    )
    region = tube(GRID, course, radii)
    distance = region.spread_over(GRID, far=6.0).ravel()
    sample = np.random.default_rng(0).choice(distance.size, 1500, replace=False)
    expected = np.array(
        [(np.linalg.norm(dense[:, :3] - point, axis=1) - dense[:, 3]).min() for point in _positions()[sample]]
    )
    near = expected < 4
    assert near.sum() > 20
    # A capsule's radius is read at the nearest point of its axis, which on a taper is not quite the minimum.
    np.testing.assert_allclose(distance[sample][near], expected[near], atol=0.25)
    assert (distance[sample][~near] > 3.5).all()


def test_no_capsules_make_an_empty_region() -> None:
    region = capsules(
        GRID, starts=np.zeros((0, 3)), ends=np.zeros((0, 3)), start_radii=np.zeros(0), end_radii=np.zeros(0)
    )
    assert not (region.spread_over(GRID) < 0).any()


def test_painting_keeps_the_volume_of_a_body_and_leaves_the_rest() -> None:
    canvas = Canvas(GRID, background=0.0)
    canvas.paint(ellipsoid(GRID, centre=(0, 0, 0), radii=(20, 15, 18)), 1.0)
    assert canvas.voxels.sum() * VOXEL_ML == pytest.approx(4 / 3 * np.pi * 20 * 15 * 18 / 1000, rel=0.03)
    assert canvas.voxels.max() == 1
    assert canvas.voxels[0, 0, 0] == 0
