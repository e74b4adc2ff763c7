from __future__ import annotations

import numpy as np

from spd_bench.phantoms.grid import Grid

GRID = Grid.centred(shape=(4, 5, 6), spacing=(5.0, 2.0, 2.0))


def test_axes_are_the_lps_positions_of_the_geometry() -> None:
    z, y, x = GRID.axes()
    indices = np.argwhere(np.ones(GRID.shape))
    expected = GRID.geometry.voxel_to_lps(indices)
    built = np.stack([np.broadcast_to(axis, GRID.shape).ravel() for axis in (x, y, z)], axis=1)
    np.testing.assert_allclose(built, expected, atol=1e-5)


def test_field_of_view_is_centred_on_the_origin() -> None:
    corners = GRID.geometry.voxel_to_lps(np.array([[0, 0, 0], [3, 4, 5]]))
    np.testing.assert_allclose(corners.sum(axis=0), 0, atol=1e-9)


def test_box_holds_exactly_the_voxels_between_its_corners() -> None:
    low, high = np.array([-3.2, -2.0, -3.0]), np.array([1.5, 4.1, 8.0])
    positions = GRID.geometry.voxel_to_lps(np.argwhere(np.ones(GRID.shape)))
    expected = ((positions >= low) & (positions <= high)).all(axis=1).reshape(GRID.shape)
    chosen = np.zeros(GRID.shape, dtype=bool)
    chosen[GRID.box(low, high)] = True
    np.testing.assert_array_equal(chosen, expected)


def test_box_outside_the_grid_is_empty() -> None:
    assert np.zeros(GRID.shape)[GRID.box((50, 50, 50), (60, 60, 60))].size == 0
