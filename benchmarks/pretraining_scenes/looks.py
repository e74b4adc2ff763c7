"""How things look: the grey value and texture of tissues, and what a scanner does to a picture of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.pretraining_scenes.fields import Field, blurred, pixel_grid, smooth_noise


@dataclass(frozen=True, kw_only=True)
class Look:
    """One tissue's look, the same wherever it is seen.

    Attributes:
        level: its mean grey value; scenes keep within about 0 to 1.
        texture: what is added to the mean, shape (side, side).
    """

    level: float
    texture: Field


def random_look(random: np.random.Generator, side: int, level: float, *, strength: float | None = None) -> Look:
    """A look of the given mean with a texture of one of several kinds; ``strength`` is its deviation."""
    if strength is None:
        strength = float(random.choice([0.0, 0.02, 0.05, 0.09]))
    return Look(level=level, texture=np.float32(strength) * _texture(random, side))


def _texture(random: np.random.Generator, side: int) -> Field:
    kind = random.random()
    if kind < 0.45:
        return smooth_noise(random, side, random.uniform(2, 12))
    if kind < 0.85:
        return 0.7 * smooth_noise(random, side, random.uniform(8, 30)) + 0.7 * smooth_noise(random, side, 2.0)
    return _stripes(random, side)


def _stripes(random: np.random.Generator, side: int) -> Field:
    x, y = pixel_grid(side)
    angle, wavelength = random.uniform(0, np.pi), random.uniform(4, 14)
    phase = (np.cos(angle) * x + np.sin(angle) * y) * (2 * np.pi / wavelength)
    bend = smooth_noise(random, side, side / 4) * random.uniform(0.3, 2.0)
    waves: Field = np.float32(1.4) * np.sin(phase.astype(np.float32) + bend.astype(np.float32))
    return waves


def scanned(random: np.random.Generator, picture: Field) -> Field:
    """The picture as a scanner with blur, a bias field and noise would give it, in [-1, 1].

    Noise is Gaussian, Rician (magnitude images of MR) or Poisson (counts). The contrast is kept, inverted or bent
    (gamma); then the grey values between two percentiles are stretched over [-1, 1], as for real images.
    """
    side = len(picture)
    sigma = random.uniform(0.0, 1.0) if random.random() < 0.85 else random.uniform(1.0, 1.8)
    if sigma > 0.3:
        picture = blurred(picture, sigma)
    if random.random() < 0.4:
        picture = picture * np.exp(np.float32(random.uniform(0.05, 0.3)) * smooth_noise(random, side, side / 2))
    noise = float(random.choice([0.0, 0.01, 0.02, 0.04, 0.07])) * random.uniform(0.6, 1.4)
    if noise:
        picture = _noisy(random, picture, noise)
    if random.random() < 0.3:
        picture = -picture
    return _windowed(random, picture)


def _noisy(random: np.random.Generator, picture: Field, deviation: float) -> Field:
    side = len(picture)
    first = random.standard_normal((side, side), dtype=np.float32)
    kind = random.integers(4)
    if kind == 0:
        second = random.standard_normal((side, side), dtype=np.float32)
        return np.hypot(picture + np.float32(deviation) * first, np.float32(deviation) * second)
    if kind == 1:
        return picture + np.float32(deviation) * first * np.sqrt(np.maximum(picture, 0.02) / np.float32(0.5))
    if kind == 2:
        first = blurred(first, 0.7) * np.float32(2.4)
    return picture + np.float32(deviation) * first


def _windowed(random: np.random.Generator, picture: Field) -> Field:
    tail = random.uniform(0.1, 2.0)
    low, high = np.percentile(picture[::2, ::2], [tail, 100 - tail])
    scaled = np.clip((picture - low) / max(high - low, 1e-3), 0, 1)
    if random.random() < 0.4:
        scaled = scaled ** np.float32(np.exp(random.uniform(-0.5, 0.5)))
    return np.asarray(2 * scaled - 1, dtype=np.float32)
