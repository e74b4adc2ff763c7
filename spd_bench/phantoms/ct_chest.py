"""A chest on CT pulmonary angiography without its vessels' branches: wall, lungs, heart, airways."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spd_bench.phantoms.canvas import Canvas
from spd_bench.phantoms.fields import smooth_field
from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.shapes import Region, ellipsoid, elliptic_column, tube
from spd_bench.phantoms.walks import spline_course

_AIR, _LUNG, _FAT, _MUSCLE, _SOFT, _MARROW, _CORTEX, _LIVER = -1000.0, -850.0, -95.0, 55.0, 40.0, 190.0, 650.0, 105.0
_WIDE_Z = (-125.0, 0.0, 55.0, 95.0, 125.0)


@dataclass(frozen=True, kw_only=True)
class Thorax:
    """The outlines of a chest, known analytically so that vessels can grow before any voxel exists.

    Attributes:
        scale: size of the chest, 1 on average.
        solids: centre and half axes (each x y z, mm) of the ellipsoids that displace lung: heart,
            mediastinum and the two domes of the diaphragm.
    """

    scale: float
    solids: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=list)

    def half_axes(self, z: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Half width and half depth in mm of the inside of the rib cage at heights ``z`` in mm."""
        width = np.interp(z, _WIDE_Z, [126, 123, 106, 72, 44])
        depth = np.interp(z, _WIDE_Z, [82, 82, 74, 54, 36])
        return self.scale * width, self.scale * depth

    def in_lung(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points (M, 3: x y z, mm) lie in a lung, a few mm inside its border."""
        width, depth = self.half_axes(points[:, 2])
        inside = np.hypot(points[:, 0] / (width - 5), points[:, 1] / (depth - 5)) < 1
        for centre, radii in self.solids:
            inside &= np.linalg.norm((points - centre) / radii, axis=1) > 1
        return np.asarray(inside & (np.abs(points[:, 2]) < 118))

    def lungs(self, grid: Grid, rough: NDArray[np.float32]) -> NDArray[np.float32]:
        """Signed distance in mm to the lungs (Z, Y, X)."""
        width, depth = self.half_axes(grid.axes()[0].ravel())
        distance = elliptic_column(grid, centre=(0, 0), radii=(width, depth)).spread_over(grid)
        for centre, radii in self.solids:
            solid = ellipsoid(grid, centre=centre, radii=radii).roughened(rough, 2.5)
            distance[solid.box] = np.maximum(distance[solid.box], -solid.distance)
        return distance


def draw_thorax(rng: np.random.Generator) -> Thorax:
    """Draw the outlines of a chest."""

    def solid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> tuple[NDArray, NDArray]:
        return np.array(centre) + rng.normal(0, 2.5, 3), np.array(radii) * rng.uniform(0.95, 1.05)

    return Thorax(
        scale=float(rng.uniform(0.95, 1.04)),
        solids=[
            solid((20, -24, -48), (58, 46, 54)),
            solid((0, 8, 20), (34, 74, 170)),
            solid((-64, 4, -138), (82, 92, 74)),
            solid((70, 4, -142), (78, 92, 66)),
        ],
    )


def paint_chest(canvas: Canvas, rng: np.random.Generator, thorax: Thorax, *, arterial: float, venous: float) -> None:
    """Paint the chest up to the great vessels.

    Args:
        canvas: the volume in HU.
        rng: source of the patient's build and tissue.
        thorax: its outlines.
        arterial: HU of the blood in the right heart and the pulmonary arteries.
        venous: HU of the blood in the left heart and the aorta.
    """
    grid = canvas.grid
    rough = smooth_field(rng, grid, scale=(35, 35, 35))
    texture = smooth_field(rng, grid, scale=(9, 7, 7))
    _paint_wall(canvas, rng, thorax, rough)
    lungs = thorax.lungs(grid, rough)
    _, y, _ = grid.axes()
    # Gravity: the lung of a lying patient is denser at the back.
    parenchyma = _LUNG + 0.35 * y + np.float32(28) * texture
    canvas.paint(Region(grid.whole, lungs), parenchyma)
    _paint_mediastinum(canvas, rng, lungs, texture)
    _paint_heart(canvas, rng, arterial=arterial, venous=venous)
    _paint_airways(canvas)


def _paint_wall(canvas: Canvas, rng: np.random.Generator, thorax: Thorax, rough: NDArray[np.float32]) -> None:
    """Skin, fat, muscle, ribs, breast bone and spine, and what lies below the diaphragm."""
    grid = canvas.grid
    width, depth = thorax.half_axes(np.minimum(grid.axes()[0].ravel(), 30))
    fat = rng.uniform(4, 14)
    body = elliptic_column(
        grid, centre=(0, 4), radii=(np.minimum(width + 20 + fat, 160), depth + 17 + fat), exponent=2.3
    )
    canvas.paint(body.roughened(rough, 1.5), _FAT)
    canvas.paint(body.roughened(rough, 2.5).shrunk(fat), _MUSCLE)
    cage_width, cage_depth = thorax.half_axes(grid.axes()[0].ravel())
    inside = elliptic_column(grid, centre=(0, 0), radii=(cage_width + 1, cage_depth + 1))
    canvas.paint(inside, _LIVER)
    for height in np.arange(-150, 126, 26.0):
        for side in (-1, 1):
            rib = _rib(thorax, height, side)
            canvas.paint(tube(grid, rib, 5.0), _CORTEX * 0.75)
            canvas.paint(tube(grid, rib, 3.0), _MARROW)
    canvas.paint(elliptic_column(grid, centre=(0, -thorax.scale * 82 - 6), radii=(17, 5)), _CORTEX * 0.5)
    _paint_spine(canvas, thorax)


def _rib(thorax: Thorax, height: float, side: int) -> NDArray[np.float64]:
    """The course of a rib (N, 3) in mm: from the spine around the side, falling towards the front."""
    angle = np.linspace(-0.42 * np.pi, 0.36 * np.pi, 16)
    z = height - 22 * (1 - np.sin(angle)) + 22
    width, depth = thorax.half_axes(z)
    return np.stack([side * (width + 6) * np.cos(angle), (depth + 6) * np.sin(angle), z], axis=1)


def _paint_spine(canvas: Canvas, thorax: Thorax) -> None:
    grid = canvas.grid
    back = thorax.scale * 82 - 12
    z = grid.axes()[0]
    disc = np.broadcast_to(np.where(np.mod(z, 26) < 5, 80, _MARROW).astype(np.float32), grid.shape)
    canvas.paint(elliptic_column(grid, centre=(0, back), radii=(19, 16)), _CORTEX * 0.7)
    canvas.paint(elliptic_column(grid, centre=(0, back), radii=(17, 14)), disc)
    canvas.paint(elliptic_column(grid, centre=(0, back + 27), radii=(15, 13)), _CORTEX * 0.6)
    canvas.paint(elliptic_column(grid, centre=(0, back + 23), radii=(8, 7)), 30.0)


def _paint_mediastinum(
    canvas: Canvas, rng: np.random.Generator, lungs: NDArray[np.float32], texture: NDArray[np.float32]
) -> None:
    """Mediastinal fat between the lungs, above the diaphragm."""
    middle = ellipsoid(canvas.grid, centre=(4, -6, 25), radii=(46, 66, 120)).outside(lungs)
    canvas.paint(middle, np.float32(rng.uniform(-70, -20)) + np.float32(30) * texture)


def _paint_heart(canvas: Canvas, rng: np.random.Generator, *, arterial: float, venous: float) -> None:
    """The four chambers, the aorta and the superior vena cava."""
    grid = canvas.grid
    canvas.paint(ellipsoid(grid, centre=(20, -24, -46), radii=(54, 42, 50)), 110.0)
    chambers = (
        ((4, -38, -42), (25, 20, 34), 40, arterial * 0.95),
        ((44, -22, -50), (21, 21, 36), 40, venous),
        ((8, 12, -14), (32, 18, 20), 0, venous),
        ((-24, -14, -34), (20, 24, 28), 0, arterial),
    )
    for centre, radii, tilt, value in chambers:
        turn = Rotation.from_euler("z", -tilt, degrees=True)
        canvas.paint(ellipsoid(grid, centre=centre, radii=radii, rotation=turn), value)
    aorta = [
        (4, -16, -22),
        (-16, -20, 4),
        (-17, -14, 38),
        (0, 8, 58),
        (20, 30, 48),
        (25, 42, 22),
        (24, 46, -50),
        (18, 48, -130),
    ]
    canvas.paint(tube(grid, spline_course(aorta, step=8.0), 12.5), venous)
    cava = np.array([(-30.0, -10, 125), (-29, -10, 40), (-27, -10, -12)])
    canvas.paint(tube(grid, cava, 8.0), float(np.clip(rng.normal(480, 110), 250, 800)))


def _paint_airways(canvas: Canvas) -> None:
    """Trachea and main bronchi with their wall."""
    courses = (
        ([(0, 16, 130), (0, 20, 52)], 8.5),
        ([(0, 20, 52), (-28, 20, 30), (-46, 16, 8), (-58, 20, -18)], 6.0),
        ([(0, 20, 52), (28, 24, 22), (48, 22, 4), (58, 26, -18)], 5.5),
    )
    for points, radius in courses:
        course = np.array(points, dtype=np.float64)
        canvas.paint(tube(canvas.grid, course, radius + 1.5), _SOFT)
        canvas.paint(tube(canvas.grid, course, radius), _AIR)
