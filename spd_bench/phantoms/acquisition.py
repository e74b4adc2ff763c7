"""What the scanner adds: coil sensitivity, in-plane blur, Rician and CT noise, whole numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from spd_bench.phantoms.fields import smooth_field
from spd_bench.phantoms.grid import Grid


def bias_field(rng: np.random.Generator, grid: Grid, *, strength: float, scale: float = 150.0) -> NDArray[np.float32]:
    """A multiplicative, smooth receive sensitivity around 1.

    Args:
        rng: source of its shape.
        grid: where it is wanted.
        strength: standard deviation of its logarithm.
        scale: length in mm over which it varies.
    """
    field = np.float32(strength) * smooth_field(rng, grid, scale=(scale, scale, scale))
    return np.asarray(np.exp(field), dtype=np.float32)


def blur_in_plane(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur of ``sigma`` pixels within each slice of a volume (Z, Y, X); slices do not mix."""
    return np.asarray(gaussian_filter1d(gaussian_filter1d(image, sigma, axis=1, truncate=3), sigma, axis=2, truncate=3))


def rician_noise(rng: np.random.Generator, image: NDArray[np.float32], *, sigma: float) -> NDArray[np.float32]:
    """The magnitude of a complex signal with normal noise in both channels (Gudbjartsson and Patz, MRM 1995)."""
    noise = np.float32(sigma) * rng.standard_normal((2, *image.shape), dtype=np.float32)
    return np.asarray(np.hypot(image + noise[0], noise[1]), dtype=np.float32)


def ct_noise(rng: np.random.Generator, image: NDArray[np.float32], *, sigma: float) -> NDArray[np.float32]:
    """Normal noise of ``sigma`` HU with the short in-plane correlation of a soft reconstruction kernel."""
    white = rng.standard_normal(image.shape, dtype=np.float32)
    smooth = blur_in_plane(white, 0.6)
    return np.asarray(image + np.float32(sigma) / smooth.std() * smooth, dtype=np.float32)


def digitised(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The image in whole numbers between -1024 and 32767, as scanners store it; still float32."""
    return np.clip(np.rint(image), -1024, 32767)
