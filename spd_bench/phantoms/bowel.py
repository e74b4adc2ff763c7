"""Bowel loops: tubes that press against one another, with a wall and a lumen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spd_bench.phantoms.canvas import Canvas, coverage
from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.shapes import TUBE_MARGIN, Region


@dataclass(frozen=True)
class PackedTubes:
    """Tubes that share a space: where two overlap, each keeps the voxels nearer to its own axis.

    Attributes:
        owner: int16 (Z, Y, X); number of the tube nearest to a voxel, -1 far from all.
        distance: float32 (Z, Y, X); signed distance in mm to the union of the tubes.
        depth: float32 (Z, Y, X); how many mm a voxel lies inside its own tube, the face it shares with
            a neighbour being a border too; negative outside.
    """

    owner: NDArray[np.int16]
    distance: NDArray[np.float32]
    depth: NDArray[np.float32]

    def voxels_of(self, tube: int) -> NDArray[np.bool_]:
        """The voxels (Z, Y, X) of one tube."""
        return (self.owner == tube) & (self.distance < 0)


def pack_tubes(grid: Grid, tubes: Sequence[Region]) -> PackedTubes:
    """Divide space among overlapping tubes; their order does not matter, so none stands out."""
    nearest = np.full(grid.shape, TUBE_MARGIN, dtype=np.float32)
    second = nearest.copy()
    owner = np.full(grid.shape, -1, dtype=np.int16)
    for number, region in enumerate(tubes):
        first_here, second_here, distance = nearest[region.box], second[region.box], region.distance
        closer = distance < first_here
        second[region.box] = np.where(closer, first_here, np.minimum(second_here, distance))
        owner[region.box][closer] = number
        np.minimum(first_here, distance, out=first_here)
    return PackedTubes(owner=owner, distance=nearest, depth=np.minimum(-nearest, (second - nearest) / 2))


@dataclass(frozen=True, kw_only=True)
class TubeTissue:
    """What packed tubes look like, one value a tube.

    Attributes:
        wall_thickness: mm (N,).
        wall: intensity of the wall (N,).
        lumen: mean intensity of the content (N,).
        heterogeneity: relative standard deviation of the content (N,).
    """

    wall_thickness: NDArray[np.float64]
    wall: NDArray[np.float64]
    lumen: NDArray[np.float64]
    heterogeneity: NDArray[np.float64]


def paint_tubes(canvas: Canvas, tubes: PackedTubes, tissue: TubeTissue, texture: NDArray[np.float32]) -> None:
    """Paint packed tubes: wall first, then the content, mottled by ``texture`` (Z, Y, X; unit variance)."""
    touched = tubes.owner >= 0
    owner = tubes.owner[touched]
    per_tube = {name: getattr(tissue, name).astype(np.float32)[owner] for name in tissue.__dataclass_fields__}
    edge = canvas.grid.pixel
    part = canvas.voxels[touched]
    part += coverage(tubes.distance[touched], edge) * (per_tube["wall"] - part)
    content = per_tube["lumen"] * (1 + per_tube["heterogeneity"] * texture[touched])
    part += coverage(per_tube["wall_thickness"] - tubes.depth[touched], edge) * (content - part)
    canvas.voxels[touched] = part
