from __future__ import annotations

import numpy as np

from spd_bench.phantoms.bowel import pack_tubes
from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.shapes import tube

GRID = Grid.centred(shape=(12, 40, 40), spacing=(3.0, 2.0, 2.0))
COURSES = [
    np.array([[-30.0, -10, 0], [30, 5, 0]]),
    np.array([[-30.0, 10, 0], [30, -5, 4]]),
    np.array([[0.0, -30, -10], [0, 30, 10]]),
]


def test_overlap_goes_to_the_nearer_tube() -> None:
    regions = [tube(GRID, course, 9.0) for course in COURSES]
    packed = pack_tubes(GRID, regions)
    distances = np.stack([region.spread_over(GRID, far=6.0) for region in regions])
    inside = distances.min(axis=0) < 0
    np.testing.assert_array_equal(packed.owner[inside], distances.argmin(axis=0)[inside])
    np.testing.assert_allclose(packed.distance, distances.min(axis=0))
    overlap = (distances < 0).sum(axis=0) > 1
    assert overlap.any()
    # In an overlap the wall lies half-way between the two axes, so the depth is half the difference.
    ordered = np.sort(distances, axis=0)
    np.testing.assert_allclose(
        packed.depth[overlap], np.minimum(-ordered[0], (ordered[1] - ordered[0]) / 2)[overlap], atol=1e-5
    )


def test_order_of_tubes_does_not_matter() -> None:
    regions = [tube(GRID, course, 9.0) for course in COURSES]
    forward, backward = pack_tubes(GRID, regions), pack_tubes(GRID, regions[::-1])
    np.testing.assert_array_equal(forward.depth, backward.depth)
    undecided = np.abs(forward.depth) < 1e-4
    np.testing.assert_array_equal(forward.voxels_of(0) | undecided, backward.voxels_of(2) | undecided)
