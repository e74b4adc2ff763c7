"""Branching vessel trees grown from a trunk into a region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.shapes import Region, capsules

_ATTEMPTS = 10


@dataclass(frozen=True, kw_only=True)
class VesselTree:
    """Straight tapering pieces of a vessel tree.

    Attributes:
        starts: (N, 3: x y z) in mm, the end towards the trunk.
        ends: (N, 3: x y z) in mm.
        start_radii: (N,) in mm.
        end_radii: (N,) in mm.
        parents: (N,) number of the piece that each one leaves from, -1 for a trunk.
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    start_radii: NDArray[np.float64]
    end_radii: NDArray[np.float64]
    parents: NDArray[np.int64]

    def region(self, grid: Grid, *, margin: float) -> Region:
        """The lumen of the whole tree."""
        return capsules(
            grid,
            starts=self.starts,
            ends=self.ends,
            start_radii=self.start_radii,
            end_radii=self.end_radii,
            margin=margin,
        )

    def path_from(self, piece: int, length: float) -> list[int]:
        """Pieces from one on towards the periphery, the widest child each time, for ``length`` mm."""
        path = [piece]
        travelled = float(np.linalg.norm(self.ends[piece] - self.starts[piece]))
        while travelled < length:
            children = np.flatnonzero(self.parents == path[-1])
            if not len(children):
                break
            path.append(int(children[np.argmax(self.start_radii[children])]))
            travelled += float(np.linalg.norm(self.ends[path[-1]] - self.starts[path[-1]]))
        return path


@dataclass(frozen=True, kw_only=True)
class GrowthSettings:
    """How a tree branches.

    Attributes:
        least_radius: radius in mm below which a branch ends.
        length: length in mm of a piece: a constant and a factor of its radius.
        wide: range of the radius of the wider child, as a share of its parent's.
        narrow: range of the radius of the narrower child, as a share of its parent's.
        spread: standard deviation of a child's change of heading for a child as wide as its parent;
            narrower ones turn more.
    """

    least_radius: float = 1.1
    length: tuple[float, float] = (6.5, 2.2)
    wide: tuple[float, float] = (0.74, 0.88)
    narrow: tuple[float, float] = (0.6, 0.8)
    spread: float = 0.3


@dataclass(frozen=True)
class Bud:
    """Where a piece of a tree may grow: its first end, heading, radius in mm and parent."""

    start: NDArray[np.float64]
    heading: NDArray[np.float64]
    radius: float
    parent: int


def trunk(points: ArrayLike, radius: float) -> VesselTree:
    """A tree of one unbranched course (N, 3: x y z, mm)."""
    course = np.asarray(points, dtype=np.float64)
    radii = np.full(len(course) - 1, float(radius))
    return VesselTree(
        starts=course[:-1], ends=course[1:], start_radii=radii, end_radii=radii, parents=np.arange(-1, len(course) - 2)
    )


def grow_tree(
    rng: np.random.Generator,
    *,
    buds: list[Bud],
    inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    settings: GrowthSettings,
) -> VesselTree:
    """Grow branches from buds until they are too narrow or would leave the region.

    Args:
        rng: source of lengths, radii and headings.
        buds: the roots; their parents are kept as they are.
        inside: tells which points (M, 3: x y z, mm) the tree may reach.
        settings: how it branches.

    Returns:
        All pieces; the parents of those that grew here are numbers among them, counted from 0.
    """
    pieces: list[tuple[NDArray[np.float64], NDArray[np.float64], float, float, int]] = []
    open_buds = list(buds)
    while open_buds:
        bud = open_buds.pop()
        end = _free_end(rng, bud, inside, settings)
        if end is None:
            continue
        wide = bud.radius * rng.uniform(*settings.wide)
        number = len(pieces)
        pieces.append((bud.start, end, bud.radius, wide, bud.parent))
        heading = (end - bud.start) / np.linalg.norm(end - bud.start)
        for radius in (wide, bud.radius * rng.uniform(*settings.narrow)):
            if radius >= settings.least_radius:
                open_buds.append(Bud(end, heading, radius, number))
    return _tree(pieces)


def join_trees(trees: list[VesselTree]) -> VesselTree:
    """Several trees as one."""
    offsets = np.cumsum([0] + [len(tree.starts) for tree in trees[:-1]])
    return VesselTree(
        starts=np.concatenate([tree.starts for tree in trees]),
        ends=np.concatenate([tree.ends for tree in trees]),
        start_radii=np.concatenate([tree.start_radii for tree in trees]),
        end_radii=np.concatenate([tree.end_radii for tree in trees]),
        parents=np.concatenate(
            [np.where(tree.parents < 0, -1, tree.parents + offset) for tree, offset in zip(trees, offsets, strict=True)]
        ),
    )


def _free_end(
    rng: np.random.Generator,
    bud: Bud,
    inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    settings: GrowthSettings,
) -> NDArray[np.float64] | None:
    """The far end of a bud's piece at the first heading that stays inside, or None."""
    length = (settings.length[0] + settings.length[1] * bud.radius) * rng.uniform(0.7, 1.3)
    spread = settings.spread * (1 + 0.6 / max(bud.radius, 0.6))
    headings = bud.heading + spread * rng.standard_normal((_ATTEMPTS, 3))
    headings /= np.linalg.norm(headings, axis=1, keepdims=True)
    ends = bud.start + length * headings
    allowed = np.flatnonzero(inside(ends))
    return ends[allowed[0]] if len(allowed) else None


def _tree(pieces: list[tuple[NDArray[np.float64], NDArray[np.float64], float, float, int]]) -> VesselTree:
    starts, ends, start_radii, end_radii, parents = zip(*pieces, strict=True) if pieces else ([], [], [], [], [])
    return VesselTree(
        starts=np.array(starts, dtype=np.float64).reshape(-1, 3),
        ends=np.array(ends, dtype=np.float64).reshape(-1, 3),
        start_radii=np.array(start_radii, dtype=np.float64),
        end_radii=np.array(end_radii, dtype=np.float64),
        parents=np.array(parents, dtype=np.int64),
    )
