"""Curves in the plane as rows of points, and the distance to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.pretraining_scenes.fields import Field

Path = NDArray[np.float32]
"""Points (x, y) along a curve, shape (N, 2), in pixels, no more than about a pixel or half a radius apart."""

_FAR = np.float32(1e3)
_MOST_POINTS = 96


def wandering_path(random: np.random.Generator, x: float, y: float, *, length: float, radius: float) -> Path:
    """A smooth curve of the given length with its middle at (x, y), never bent more sharply than its tube is thick."""
    headings = _headings(random, length=length, radius=radius)
    step = length / len(headings)
    path = np.cumsum(np.stack([np.cos(headings), np.sin(headings)], axis=1) * step, axis=0)
    return (path - path[len(path) // 2] + (x, y)).astype(np.float32)


def branches(random: np.random.Generator, x: float, y: float, *, size: float) -> list[tuple[Path, float]]:
    """The branches of a tree with their radii, for a tree of about the area of a disc of radius ``size``."""
    radius = max(1.0, size * random.uniform(0.16, 0.28))
    heading = random.uniform(0, 2 * np.pi)
    start = np.array([x, y]) - size * 1.2 * np.array([np.cos(heading), np.sin(heading)])
    grown: list[tuple[Path, float]] = []
    buds = [(start, heading, radius, size * random.uniform(1.2, 1.8))]
    while buds and len(grown) < 7:
        base, heading, radius, length = buds.pop(0)
        turns = heading + np.cumsum(random.normal(0, 0.12, _count(length, radius)))
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * (length / len(turns))
        path = (base + np.cumsum(steps, axis=0)).astype(np.float32)
        grown.append((path, radius))
        for side in (-1, 1):
            angle = turns[-1] + side * random.uniform(0.35, 0.9)
            buds.append((path[-1], angle, max(0.7, radius * random.uniform(0.65, 0.85)), length * 0.75))
    return grown


def coil_path(random: np.random.Generator, x: float, y: float, *, size: float, radius: float) -> Path:
    """A curve that goes to and fro within a disc-like body, its windings apart from each other."""
    spacing = _spacing(random, radius)
    turns = max(2, round(2.4 * size / spacing))
    phase = np.linspace(0, turns * np.pi, _count(turns * 2.4 * size, radius))
    along = (phase / np.pi - turns / 2) * spacing
    across = -np.cos(phase) * size * random.uniform(0.8, 1.2)
    return _turned(random, along, across, x, y)


def spiral_path(random: np.random.Generator, x: float, y: float, *, size: float, radius: float) -> Path:
    """A curve that winds outwards about (x, y), its windings apart from each other."""
    spacing = _spacing(random, radius)
    turns = max(1.25, 1.3 * size / spacing)
    length = np.pi * turns**2 * spacing
    # The angle grows as the root of the length, so that the points are evenly apart.
    angle = 2 * np.pi * turns * np.sqrt(np.linspace(0.02, 1, _count(length, radius)))
    out = angle / (2 * np.pi) * spacing
    return _turned(random, out * np.cos(angle), random.choice([-1, 1]) * out * np.sin(angle), x, y)


def comb_paths(random: np.random.Generator, x: float, y: float, *, size: float, radius: float) -> list[Path]:
    """A straight back and the teeth that stand on it, apart from each other."""
    spacing = _spacing(random, radius)
    teeth = max(2, round(2.4 * size / spacing))
    places = (np.arange(teeth) - (teeth - 1) / 2) * spacing
    height = size * random.uniform(0.8, 1.8)
    back = np.linspace(places[0], places[-1], _count(places[-1] - places[0], radius))
    tooth = np.linspace(-height / 2, height / 2, _count(height, radius))
    strokes = [(back, np.full_like(back, -height / 2))]
    strokes += [(np.full_like(tooth, place), tooth * random.uniform(0.8, 1.0)) for place in places]
    angle = random.uniform(0, 2 * np.pi)
    return [_turned_by(angle, along, across, x, y) for along, across in strokes]


def curve_distance(path: Path, side: int, *, reach: float) -> Field:
    """Distance of every pixel to the nearest of the points, in pixels, and a large number farther than ``reach``."""
    low = np.clip(np.floor(path.min(axis=0) - reach), 0, side).astype(int)
    high = np.clip(np.ceil(path.max(axis=0) + reach) + 1, 0, side).astype(int)
    distance = np.full((side, side), _FAR, dtype=np.float32)
    if (high > low).all():
        across = np.square(np.arange(low[0], high[0], dtype=np.float32)[None, :] - path[:, :1])
        down = np.square(np.arange(low[1], high[1], dtype=np.float32)[None, :] - path[:, 1:])
        squares = (down[:, :, None] + across[:, None, :]).min(axis=0)
        distance[low[1] : high[1], low[0] : high[0]] = np.sqrt(squares)
    return distance


def _count(length: float, radius: float) -> int:
    return int(np.clip(length / max(0.8, 0.6 * radius), 4, _MOST_POINTS))


def _spacing(random: np.random.Generator, radius: float) -> float:
    """Distance of neighbouring windings: a gap of at least two pixels, which a scanner's blur does not close."""
    return max(radius * random.uniform(3.0, 4.0), 2 * radius + 2)


def _turned(
    random: np.random.Generator, along: NDArray[np.float64], across: NDArray[np.float64], x: float, y: float
) -> Path:
    return _turned_by(random.uniform(0, 2 * np.pi), along, across, x, y)


def _turned_by(angle: float, along: NDArray[np.float64], across: NDArray[np.float64], x: float, y: float) -> Path:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([x + cosine * along - sine * across, y + sine * along + cosine * across], axis=1).astype(np.float32)


def _headings(random: np.random.Generator, *, length: float, radius: float) -> NDArray[np.float64]:
    """Directions of the steps of a curve, its turning rate a smoothed random walk."""
    count = _count(length, radius)
    rates = np.convolve(random.standard_normal(count + 8), np.ones(9) / 3, mode="valid")
    sharpest = 1 / (2.5 * radius)
    turning = np.clip(rates * random.uniform(0.1, 1.0) * sharpest, -sharpest, sharpest)
    return random.uniform(0, 2 * np.pi) + np.cumsum(turning * length / count)
