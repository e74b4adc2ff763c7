from __future__ import annotations

import numpy as np
import pytest

from spd_bench.phantoms.acquisition import bias_field, blur_in_plane, ct_noise, digitised, rician_noise
from spd_bench.phantoms.grid import Grid


def test_rician_noise_without_signal_has_the_rayleigh_mean() -> None:
    noisy = rician_noise(np.random.default_rng(0), np.zeros((4, 100, 100), dtype=np.float32), sigma=20.0)
    assert noisy.mean() == pytest.approx(20 * np.sqrt(np.pi / 2), rel=0.01)
    assert noisy.min() >= 0


def test_rician_noise_on_strong_signal_is_nearly_normal() -> None:
    noisy = rician_noise(np.random.default_rng(0), np.full((4, 100, 100), 1000, dtype=np.float32), sigma=20.0)
    assert noisy.mean() == pytest.approx(1000, rel=0.002)
    assert noisy.std() == pytest.approx(20, rel=0.03)


def test_ct_noise_has_the_given_deviation_and_correlates_in_plane_only() -> None:
    noise = ct_noise(np.random.default_rng(0), np.zeros((6, 128, 128), dtype=np.float32), sigma=25.0)
    assert noise.std() == pytest.approx(25, rel=0.01)
    assert np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1] > 0.3
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 0.02


def test_blur_does_not_mix_slices() -> None:
    image = np.zeros((3, 9, 9), dtype=np.float32)
    image[1, 4, 4] = 1
    blurred = blur_in_plane(image, 0.8)
    assert not blurred[[0, 2]].any()
    assert blurred[1].sum() == pytest.approx(1, abs=1e-5)
    assert blurred[1, 4, 4] < 1


def test_bias_field_is_positive_around_one_and_smooth() -> None:
    grid = Grid.centred(shape=(10, 64, 64), spacing=(5.0, 5.0, 5.0))
    field = bias_field(np.random.default_rng(1), grid, strength=0.15)
    assert 0.5 < field.min() < 1 < field.max() < 2
    assert np.abs(np.diff(field, axis=1)).max() < 0.05


def test_digitised_images_hold_whole_numbers_that_fit_16_bits() -> None:
    image = np.array([[[-1500.2, -0.4, 12.6, 1e6]]], dtype=np.float32)
    np.testing.assert_array_equal(digitised(image), [[[-1024, 0, 13, 32767]]])
    assert digitised(image).dtype == np.float32
