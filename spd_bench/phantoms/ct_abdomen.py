"""A contrast-enhanced abdomen on CT without its kidneys: wall, skeleton, organs, vessels, bowel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spd_bench.phantoms.bowel import TubeTissue, pack_tubes, paint_tubes
from spd_bench.phantoms.canvas import Canvas
from spd_bench.phantoms.shapes import Region, ellipsoid, elliptic_column, tube
from spd_bench.phantoms.walks import WalkSettings, random_walk, spline_course

_FAT, _MUSCLE, _MARROW, _CORTEX, _LUNG = -100.0, 58.0, 170.0, 520.0, -850.0
_LOOPS = WalkSettings(centre=(0, -40, -60), radii=(108, 44, 95), clearance=24.0, step=7.0)


@dataclass(frozen=True)
class AbdomenScene:
    """What later organs need to know of a painted abdomen.

    Attributes:
        cavity: signed distance in mm (Z, Y, X) to the inside of the muscular wall.
        look_alikes: bool (Z, Y, X); enhanced organs of the kidneys' brightness.
    """

    cavity: NDArray[np.float32]
    look_alikes: NDArray[np.bool_]


def paint_abdomen(
    canvas: Canvas,
    rng: np.random.Generator,
    *,
    aorta: float,
    rough: NDArray[np.float32],
    texture: NDArray[np.float32],
) -> AbdomenScene:
    """Paint a trunk from above the dome of the liver down to the iliac crests, in HU.

    Args:
        canvas: the volume.
        rng: source of the patient's build and organs.
        aorta: HU of arterial blood.
        rough: slowly varying field (Z, Y, X) of unit variance that makes outlines irregular.
        texture: fine field (Z, Y, X) of unit variance that mottles tissue.
    """
    cavity = _paint_wall(canvas, rng, rough, texture)
    look_alikes = _paint_organs(canvas, rng, cavity, rough, texture)
    _paint_skeleton(canvas)
    _paint_vessels(canvas, aorta)
    _paint_bowel(canvas, rng, texture)
    return AbdomenScene(cavity=cavity, look_alikes=look_alikes)


def _paint_wall(
    canvas: Canvas, rng: np.random.Generator, rough: NDArray[np.float32], texture: NDArray[np.float32]
) -> NDArray[np.float32]:
    grid = canvas.grid
    half_width, half_depth, fat = rng.uniform(158, 182), rng.uniform(108, 130), rng.uniform(12, 34)
    body = elliptic_column(grid, centre=(0, 0), radii=(half_width, half_depth), exponent=2.4).roughened(rough, 3.0)
    canvas.paint(body, 10.0)
    canvas.paint(body.shrunk(2.0), _FAT + 8 * texture)
    muscles = elliptic_column(
        grid, centre=(0, -2), radii=(half_width - fat, half_depth - 0.8 * fat), exponent=2.3
    ).roughened(rough, 3.0)
    canvas.paint(muscles, _MUSCLE + 12 * texture)
    inside = muscles.shrunk(rng.uniform(10, 15))
    canvas.paint(inside, _FAT + 14 * texture)
    for side in (-1, 1):
        canvas.paint(elliptic_column(grid, centre=(side * 36, 88), radii=(31, 18)), _MUSCLE + 12 * texture)
    return inside.spread_over(grid)


def _paint_organs(
    canvas: Canvas,
    rng: np.random.Generator,
    cavity: NDArray[np.float32],
    rough: NDArray[np.float32],
    texture: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Lung bases, liver, stomach, spleen, pancreas, psoas; returns the voxels of liver, spleen and pancreas."""
    look_alikes = np.zeros(canvas.grid.shape, dtype=bool)

    def organ(value: float, **shape: Any) -> Region:
        region = ellipsoid(canvas.grid, **shape).roughened(rough, 4.0).within(cavity + 1)
        canvas.paint(region, np.float32(value) + np.float32(8) * texture)
        return region

    for side in (-1, 1):
        organ(_LUNG, centre=(side * 78, 20, 175), radii=(62, 82, 70))
    liver = organ(rng.normal(108, 14), centre=(-66, -12, 92 + rng.normal(0, 8)), radii=(88, 78, 66))
    lobe = organ(rng.normal(108, 6), centre=(10, -48, 98), radii=(62, 36, 34))
    organ(rng.normal(25, 10), centre=(58, -36, 84), radii=(46, 34, 44))
    spleen = organ(rng.normal(128, 16), centre=(112, 36, 92 + rng.normal(0, 8)), radii=(34, 44, 46))
    tail = Rotation.from_euler("y", -18, degrees=True)
    pancreas = organ(rng.normal(98, 12), centre=(20, -8, 42), radii=(58, 14, 15), rotation=tail)
    for region in (liver, lobe, spleen, pancreas):
        look_alikes[region.box] |= region.distance < 0
    z = canvas.grid.axes()[0].ravel()
    for side in (-1, 1):
        centre = (side * np.interp(z, [-150, 60], [66, 32]), 48)
        psoas = elliptic_column(canvas.grid, centre=centre, radii=(np.interp(z, [-150, 0, 70, 90], [23, 21, 9, 2]), 22))
        canvas.paint(psoas, _MUSCLE + 10 * texture)
    return look_alikes


def _paint_skeleton(canvas: Canvas) -> None:
    """Spine with discs, lower ribs, iliac crests."""
    grid = canvas.grid
    z = grid.axes()[0].ravel()
    front = np.interp(z, [-150, -60, 40, 150], [66, 54, 56, 66])
    marrow = np.where(np.mod(z, 36) < 9, 90, _MARROW).astype(np.float32)[:, None, None]
    canvas.paint(elliptic_column(grid, centre=(0, front), radii=(25, 19)), _CORTEX * 0.6)
    canvas.paint(elliptic_column(grid, centre=(0, front), radii=(23, 17)), np.broadcast_to(marrow, grid.shape))
    canvas.paint(elliptic_column(grid, centre=(0, front + 30), radii=(15, 14)), _CORTEX * 0.6)
    canvas.paint(elliptic_column(grid, centre=(0, front + 26), radii=(9, 8)), 30.0)
    for height in np.arange(10, 211, 28.0):
        for side in (-1, 1):
            angle = np.linspace(-0.25 * np.pi, 0.38 * np.pi, 14)
            rib = np.stack([side * 137 * np.cos(angle), 90 * np.sin(angle), height - 26 * (1 - np.sin(angle))], axis=1)
            canvas.paint(tube(grid, rib, 5.0), _CORTEX * 0.7)
            canvas.paint(tube(grid, rib, 3.0), _MARROW)
    for side in (-1, 1):
        turn = Rotation.from_euler("zy", [side * 38, side * 14], degrees=True)
        wing = ellipsoid(grid, centre=(side * 108, 30, -140), radii=(8, 54, 48), rotation=turn)
        canvas.paint(wing.shrunk(-9), _MUSCLE)
        canvas.paint(wing, _CORTEX)
        canvas.paint(wing.shrunk(3), _MARROW)


def _paint_vessels(canvas: Canvas, aorta: float) -> None:
    """Aorta, inferior vena cava, portal vein; the renal vessels belong to the kidneys."""
    courses = (
        (np.array([[12.0, 26, 160], [10, 24, -60], [45, 30, -160]]), 9.5, aorta),
        (np.array([[10.0, 24, -60], [-35, 30, -160]]), 6.5, aorta),
        (np.array([[-20.0, 18, 160], [-18, 26, -70], [-45, 34, -160]]), 11.0, 0.55 * aorta + 20),
        (np.array([[10.0, -6, 30], [-25, -14, 62], [-60, -14, 85]]), 7.0, 0.6 * aorta + 20),
    )
    for course, radius, value in courses:
        canvas.paint(tube(canvas.grid, course, radius), value)


def _paint_bowel(canvas: Canvas, rng: np.random.Generator, texture: NDArray[np.float32]) -> None:
    """Small bowel and a colon with gas, some loops with positive oral contrast."""
    colon = [
        (-98, 6, -105),
        (-108, 12, -40),
        (-96, -5, 18),
        (-40, -70, 22),
        (40, -72, 26),
        (100, 10, 52),
        (112, 26, -30),
        (100, 20, -110),
    ]
    courses = [spline_course(np.array(colon) + rng.normal(0, 7, (len(colon), 3)), step=8.0)]
    for _ in range(rng.integers(12, 19)):
        start = np.asarray(_LOOPS.centre) + rng.uniform(-0.6, 0.6, 3) * _LOOPS.radii
        courses.append(
            random_walk(
                rng,
                start=start,
                heading=rng.standard_normal(3),
                length=rng.uniform(120, 240),
                settings=_LOOPS,
                obstacles=np.concatenate(courses),
            )
        )
    radii = [19.0, *rng.uniform(9, 13, len(courses) - 1)]
    count = len(courses)
    oral = rng.random() < 0.3
    lumen = np.where(oral & (rng.random(count) < 0.6), rng.uniform(120, 280, count), rng.uniform(5, 45, count))
    lumen[0] = rng.uniform(-450, 60)
    tissue = TubeTissue(
        wall_thickness=np.full(count, 2.5),
        wall=rng.uniform(60, 110, count),
        lumen=lumen,
        heterogeneity=np.full(count, 0.2),
    )
    tubes = pack_tubes(canvas.grid, [tube(canvas.grid, *one) for one in zip(courses, radii, strict=True)])
    paint_tubes(canvas, tubes, tissue, texture)
