from __future__ import annotations

import numpy as np
import pytest

from spd_bench.phantoms.fields import smooth_field
from spd_bench.phantoms.grid import Grid


def _field(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> np.ndarray:
    return smooth_field(np.random.default_rng(3), Grid.centred(shape=shape, spacing=spacing), scale=(12, 12, 12))


def test_field_is_the_same_at_every_resolution() -> None:
    coarse = _field((6, 20, 30), (6.0, 6.0, 6.0))
    fine = _field((18, 60, 90), (2.0, 2.0, 2.0))
    # Every coarse voxel centre is also a centre of the three times finer grid.
    np.testing.assert_allclose(coarse, fine[1::3, 1::3, 1::3], atol=1e-5)


def test_field_has_zero_mean_and_unit_deviation() -> None:
    field = smooth_field(
        np.random.default_rng(0), Grid.centred(shape=(40, 120, 120), spacing=(2.0, 2.0, 2.0)), scale=(8, 8, 8)
    )
    assert field.mean() == pytest.approx(0, abs=0.05)
    assert field.std() == pytest.approx(1, abs=0.1)


def test_field_varies_slowly() -> None:
    field = _field((18, 60, 90), (2.0, 2.0, 2.0))
    assert np.abs(np.diff(field, axis=2)).mean() < 0.3 * field.std()
