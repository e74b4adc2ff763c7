from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from spd_bench.evaluation.erosion import eroded


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2), (0,), ()])
def test_erosion_along_some_axes_is_that_of_scipy(axes: tuple[int, ...]) -> None:
    element = np.zeros((3, 3, 3), bool)
    element[1, 1, 1] = True
    for axis in axes:
        element[tuple(slice(None) if other == axis else 1 for other in range(3))] = True
    rng = np.random.default_rng(0)
    for shape in ((5, 6, 7), (1, 4, 9), (2, 2, 2)):
        mask = rng.random(shape) < 0.85
        np.testing.assert_array_equal(eroded(mask, axes=axes), binary_erosion(mask, element))
