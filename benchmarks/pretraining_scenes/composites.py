"""Shapes with parts, corners and gaps: what a model must resolve rather than fill. Distances as in ``shapes``."""

from __future__ import annotations

import numpy as np

from benchmarks.pretraining_scenes.curves import comb_paths, curve_distance, spiral_path
from benchmarks.pretraining_scenes.fields import Field, pixel_grid
from benchmarks.pretraining_scenes.shapes import Placement, blob, island, lobes, ring, sheet, tube, turned_grid

_PARTS = (blob, lobes, tube, ring, sheet, island)


def star(random: np.random.Generator, place: Placement) -> Field:
    """A body with three to eight sharp points, shallow as a polygon's or deep."""
    along, across = turned_grid(random, place)
    stretch = np.float32(random.uniform(1.0, 1.5))
    along, across = along / stretch, across * stretch
    points = int(random.integers(3, 9))
    phase = np.mod(np.arctan2(across, along) * points / (2 * np.pi), 1)
    wave = np.abs(2 * phase - 1)
    depth = random.uniform(0.1, 0.6)
    outline = np.float32(1.25) * (1 - np.float32(depth) * (1 - wave))
    radius = np.sqrt(along * along + across * across)
    return np.asarray((radius - place.size * outline) / stretch, dtype=np.float32)


def spiral(random: np.random.Generator, place: Placement) -> Field:
    """A tube wound outwards about its beginning."""
    radius = max(1.0, place.size * random.uniform(0.14, 0.22))
    path = spiral_path(random, place.x, place.y, size=place.size, radius=radius)
    return curve_distance(path, place.side, reach=radius + 4) - np.float32(radius)


def comb(random: np.random.Generator, place: Placement) -> Field:
    """Parallel teeth on a straight back."""
    radius = max(1.0, place.size * random.uniform(0.14, 0.22))
    paths = comb_paths(random, place.x, place.y, size=place.size, radius=radius)
    return np.minimum.reduce([curve_distance(path, place.side, reach=radius + 4) for path in paths]) - np.float32(
        radius
    )


def net(random: np.random.Generator, place: Placement) -> Field:
    """Crossing bars within a round body."""
    half_width = max(1.0, place.size * random.uniform(0.1, 0.16))
    spacing = max(half_width * random.uniform(3.5, 5.0), 2 * half_width + 2.5)
    along, across = turned_grid(random, place)
    shift = random.uniform(0, spacing, 2).astype(np.float32)
    bars = [
        np.abs(np.mod(line + offset, spacing) - spacing / 2)
        for line, offset in zip((along, across), shift, strict=True)
    ]
    wide = Placement(side=place.side, x=place.x, y=place.y, size=1.3 * place.size)
    return np.maximum(blob(random, wide), np.minimum(*bars) - half_width).astype(np.float32)


def joined(random: np.random.Generator, place: Placement) -> Field:
    """Two shapes of other families grown together."""
    first, second = (_PARTS[int(number)] for number in random.choice(len(_PARTS), 2, replace=False))
    angle, away = random.uniform(0, 2 * np.pi), place.size * random.uniform(0.2, 0.8)
    shift_x, shift_y = away * np.cos(angle), away * np.sin(angle)
    places = [
        Placement(side=place.side, x=place.x + sign * shift_x, y=place.y + sign * shift_y, size=0.75 * place.size)
        for sign in (-1, 1)
    ]
    return np.minimum(first(random, places[0]), second(random, places[1]))


def slotted(random: np.random.Generator, place: Placement) -> Field:
    """A body with slots cut into it and holes in it."""
    wide = Placement(side=place.side, x=place.x, y=place.y, size=1.2 * place.size)
    body = (blob, lobes, island)[int(random.integers(3))](random, wide)
    for _ in range(int(random.integers(1, 4))):
        body = np.maximum(body, -_cut(random, wide))
    return body


def _cut(random: np.random.Generator, place: Placement) -> Field:
    """A slot that begins somewhere in the body, or a small hole."""
    x, y = np.array([place.x, place.y]) + random.normal(0, 0.5 * place.size, 2)
    width = max(1.2, place.size * random.uniform(0.08, 0.2))
    if random.random() < 0.4:
        columns, rows = pixel_grid(place.side)
        return np.asarray(np.hypot(columns - np.float32(x), rows - np.float32(y)) - np.float32(1.5 * width), np.float32)
    along, across = turned_grid(random, Placement(side=place.side, x=float(x), y=float(y), size=place.size))
    return np.maximum(np.abs(across) - np.float32(width), -along)
