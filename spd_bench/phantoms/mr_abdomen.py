"""An abdomen on T2 HASTE without its bowel: fat, muscle, skeleton, organs, vessels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spd_bench.phantoms.canvas import Canvas
from spd_bench.phantoms.fields import smooth_field
from spd_bench.phantoms.shapes import Region, ellipsoid, elliptic_column, tube

_FAT, _MESENTERY, _MUSCLE, _MARROW, _CORTEX, _FLUID, _FLOW_VOID = 520.0, 400.0, 120.0, 240.0, 40.0, 800.0, 50.0
_LIVER, _SPLEEN, _KIDNEY, _DISC = 190.0, 300.0, 340.0, 320.0


def paint_abdomen(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint everything around the bowel, from above the kidneys' lower poles down into the pelvis.

    Intensities are arbitrary units: fat and fluid bright, muscle and flowing blood dark.
    """
    rough = smooth_field(rng, canvas.grid, scale=(40, 40, 40))
    texture = smooth_field(rng, canvas.grid, scale=(12, 6, 6))
    wall = _paint_body_wall(canvas, rng, rough, texture)
    _paint_organs(canvas, rng, wall, rough)
    _paint_skeleton(canvas, rng)
    _paint_vessels(canvas, rng)


def _paint_body_wall(
    canvas: Canvas, rng: np.random.Generator, rough: NDArray[np.float32], texture: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Skin, fat, the muscular wall and the mesentery; returns the signed distance to the inside of the wall."""
    half_width, half_depth = rng.uniform(150, 172), rng.uniform(98, 116)
    fat = rng.uniform(10, 24)
    body = elliptic_column(canvas.grid, centre=(0, 0), radii=(half_width, half_depth), exponent=2.4)
    body = body.roughened(rough, 3.0)
    canvas.paint(body, 150.0)
    canvas.paint(body.shrunk(2.0), _FAT * (1 + 0.05 * texture))
    muscles = elliptic_column(
        canvas.grid, centre=(0, -3), radii=(half_width - fat, half_depth - fat), exponent=2.3
    ).roughened(rough, 3.0)
    canvas.paint(muscles, _MUSCLE * (1 + 0.12 * texture))
    inside = muscles.shrunk(rng.uniform(9, 13))
    canvas.paint(inside, _MESENTERY * (1 + 0.14 * texture))
    return inside.spread_over(canvas.grid)


def _paint_organs(
    canvas: Canvas, rng: np.random.Generator, wall: NDArray[np.float32], rough: NDArray[np.float32]
) -> None:
    """Liver, spleen and stomach reaching down from above, both kidneys, the bladder."""

    def organ(value: float, amplitude: float = 4.0, **shape: Any) -> Region:
        region = ellipsoid(canvas.grid, **shape).roughened(rough, amplitude).within(wall + 2)
        canvas.paint(region, value * rng.uniform(0.9, 1.1))
        return region

    organ(_LIVER, centre=(-85, -10, 100 + rng.normal(0, 6)), radii=(62, 70, 52))
    organ(_SPLEEN, centre=(112, 30, 105), radii=(30, 42, 38))
    organ(_FLUID * 0.75, centre=(58, -35, 106), radii=(48, 36, 30))
    for side in (-1, 1):
        centre = np.array([side * 68, 42, 55]) + rng.normal(0, 4, 3)
        tilt = Rotation.from_euler("y", 12 * side, degrees=True)
        organ(_KIDNEY, 2.0, centre=centre, radii=(28, 26, 52), rotation=tilt)
        organ(_FAT, 1.0, centre=centre - (side * 16, 2, 0), radii=(10, 9, 18), rotation=tilt)
    organ(_FLUID, 3.0, centre=(rng.normal(0, 5), -15, -108), radii=(38, 30, rng.uniform(15, 28)))


def _paint_skeleton(canvas: Canvas, rng: np.random.Generator) -> None:
    """Spine with discs and canal, the muscles beside it, the iliac wings."""
    grid = canvas.grid
    z = grid.axes()[0].ravel()
    for side in (-1, 1):
        back = elliptic_column(grid, centre=(side * 34, 88), radii=(30, 17))
        canvas.paint(back, _MUSCLE * 1.1)
        psoas = elliptic_column(
            grid,
            centre=(side * np.interp(z, [-100, 80], [62, 32]), 46),
            radii=(np.interp(z, [-100, 0, 80], [19, 21, 9]), 20),
        )
        canvas.paint(psoas, _MUSCLE)
    lordosis = np.interp(z, [-100, -50, 20, 100], [66, 52, 50, 56])
    canvas.paint(elliptic_column(grid, centre=(0, lordosis), radii=(25, 19)), _CORTEX)
    phase = rng.uniform(0, 36)
    disc = (z + phase) % 36 < 9
    body = np.where(disc, _DISC, _MARROW).astype(np.float32)[:, None, None]
    canvas.paint(elliptic_column(grid, centre=(0, lordosis), radii=(22.5, 16.5)), np.broadcast_to(body, grid.shape))
    canvas.paint(elliptic_column(grid, centre=(0, lordosis + 27), radii=(9, 8)), _FLUID)
    canvas.paint(elliptic_column(grid, centre=(0, lordosis + 45), radii=(4, 10)), _CORTEX)
    for side in (-1, 1):
        wing = ellipsoid(
            grid,
            centre=(side * 104, 26, -88),
            radii=(8, 52, 42),
            rotation=Rotation.from_euler("zy", [side * 38, side * 14], degrees=True),
        )
        canvas.paint(wing.shrunk(-9), _MUSCLE)
        canvas.paint(wing, _CORTEX)
        canvas.paint(wing.shrunk(2.5), _MARROW)


def _paint_vessels(canvas: Canvas, rng: np.random.Generator) -> None:
    """Aorta and inferior vena cava with the iliac vessels, dark because their blood flows."""
    split = rng.uniform(-25, -10)
    for x, radius in ((10.0, 9.0), (-15.0, 10.5)):
        trunk = np.array([[x, 24, 110], [x, 24, split]])
        canvas.paint(tube(canvas.grid, trunk, radius), _FLOW_VOID)
        for side in (-1, 1):
            branch = np.array([[x, 24, split], [x + side * 28, 30, split - 45], [side * 70, 8, -110]])
            canvas.paint(tube(canvas.grid, branch, 0.65 * radius), _FLOW_VOID)
