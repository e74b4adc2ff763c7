"""Simple shapes, each as a rule that draws one signed distance field.

A distance field has the shape (side, side), is given in pixels, and is negative inside. It is exact for curves and
approximate elsewhere, which is enough for an edge that is soft over one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.pretraining_scenes.curves import branches, coil_path, curve_distance, wandering_path
from benchmarks.pretraining_scenes.fields import Field, pixel_grid, smooth_noise


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a shape goes.

    Attributes:
        side: side of the picture in pixels.
        x: the shape's middle, in pixels.
        y: likewise.
        size: radius of the disc of about the shape's area, in pixels.
    """

    side: int
    x: float
    y: float
    size: float


def blob(random: np.random.Generator, place: Placement) -> Field:
    """A star-shaped body with a wavy outline, stretched and turned."""
    along, across = turned_grid(random, place)
    stretch = random.uniform(1.0, 1.7)
    along, across = along / stretch, across * stretch
    radius = np.sqrt(along * along + across * across)
    angle = np.arctan2(across, along)
    outline = np.ones_like(angle)
    for order in range(2, 6):
        amplitude = random.normal(0, 0.22 / order)
        outline = outline + np.float32(amplitude) * np.cos(order * angle + random.uniform(0, 2 * np.pi))
    return np.asarray((radius - place.size * outline) / np.float32(np.sqrt(stretch)), dtype=np.float32)


def lobes(random: np.random.Generator, place: Placement) -> Field:
    """Several round lobes grown together."""
    x, y = pixel_grid(place.side)
    count = int(random.integers(2, 6))
    centres = random.normal(0, 0.55 * place.size, (count, 2))
    radii = place.size * random.uniform(0.4, 0.8, count)
    distances = [
        np.sqrt((x - place.x - dx) ** 2 + (y - place.y - dy) ** 2) - radius
        for (dx, dy), radius in zip(centres.astype(np.float32), radii.astype(np.float32), strict=True)
    ]
    return np.minimum.reduce(distances)


def tube(random: np.random.Generator, place: Placement) -> Field:
    """A curved tube of constant or waving width."""
    radius = max(0.9, place.size * random.uniform(0.2, 0.45))
    length = np.pi * place.size**2 / (2 * radius)
    path = wandering_path(random, place.x, place.y, length=length, radius=radius)
    return curve_distance(path, place.side, reach=radius + 4) - np.float32(radius)


def ring(random: np.random.Generator, place: Placement) -> Field:
    """A closed shell around a blob, thin or thick, now and then open on one side."""
    thickness = max(0.8, place.size * random.uniform(0.12, 0.3))
    inner = Placement(side=place.side, x=place.x, y=place.y, size=place.size * random.uniform(0.9, 1.3))
    shell = np.abs(blob(random, inner)) - np.float32(thickness)
    if random.random() < 0.3:
        along, across = turned_grid(random, place)
        shell = np.maximum(shell, along * random.uniform(0.3, 1.0) - np.abs(across))
    return shell


def tree(random: np.random.Generator, place: Placement) -> Field:
    """A trunk that branches, each branch thinner than its parent."""
    distances = [
        curve_distance(path, place.side, reach=radius + 4) - np.float32(radius)
        for path, radius in branches(random, place.x, place.y, size=place.size)
    ]
    return np.minimum.reduce(distances)


def sheet(random: np.random.Generator, place: Placement) -> Field:
    """A bent layer, long and thin."""
    along, across = turned_grid(random, place)
    half_width = max(0.9, place.size * random.uniform(0.15, 0.4))
    half_length = np.pi * place.size**2 / (4 * half_width)
    bend = smooth_noise(random, place.side, place.side * random.uniform(0.2, 0.6))
    across = across + bend * np.float32(half_length * random.uniform(0.05, 0.25))
    return np.maximum(np.abs(across) - np.float32(half_width), np.abs(along) - np.float32(half_length))


def island(random: np.random.Generator, place: Placement) -> Field:
    """An irregular body with a frayed outline, as of a lesion."""
    rough = smooth_noise(random, place.side, max(3.0, place.size * random.uniform(0.4, 0.9)))
    return blob(random, place) + rough * np.float32(place.size * random.uniform(0.1, 0.3))


def crescent(random: np.random.Generator, place: Placement) -> Field:
    """A disc with a bite of another disc."""
    along, across = turned_grid(random, place)
    radius = place.size * 1.3
    disc = np.sqrt(along**2 + across**2) - np.float32(radius)
    offset, bite = radius * random.uniform(0.5, 0.9), radius * random.uniform(0.7, 1.0)
    hole = np.sqrt((along - np.float32(offset)) ** 2 + across**2) - np.float32(bite)
    return np.maximum(disc, -hole)


def coil(random: np.random.Generator, place: Placement) -> Field:
    """A tube wound to and fro, its windings apart from each other."""
    radius = max(1.0, place.size * random.uniform(0.14, 0.22))
    path = coil_path(random, place.x, place.y, size=place.size, radius=radius)
    return curve_distance(path, place.side, reach=radius + 4) - np.float32(radius)


def turned_grid(random: np.random.Generator, place: Placement) -> tuple[Field, Field]:
    """Coordinates about the middle, turned by a random angle."""
    x, y = pixel_grid(place.side)
    angle = random.uniform(0, 2 * np.pi)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = x - np.float32(place.x), y - np.float32(place.y)
    return cosine * x + sine * y, cosine * y - sine * x
