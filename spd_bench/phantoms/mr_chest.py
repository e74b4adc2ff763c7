"""A short-axis view of the chest on late enhancement MR, without the left ventricle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spd_bench.phantoms.canvas import Canvas
from spd_bench.phantoms.fields import smooth_field
from spd_bench.phantoms.left_ventricle import Ventricle
from spd_bench.phantoms.shapes import ellipsoid, elliptic_column


@dataclass(frozen=True)
class ChestIntensities:
    """Intensities after inversion recovery that nulls normal myocardium, in arbitrary units."""

    blood: float = 270.0
    myocardium: float = 80.0
    fat: float = 320.0
    lung: float = 22.0
    muscle: float = 110.0
    liver: float = 150.0


CHEST = ChestIntensities()


def paint_chest(canvas: Canvas, rng: np.random.Generator, ventricle: Ventricle, rough: NDArray[np.float32]) -> None:
    """Paint chest wall, lungs, liver, spine and aorta, the pericardial fat and the right ventricle."""
    grid = canvas.grid
    texture = smooth_field(rng, grid, scale=(20, 8, 8))
    body = elliptic_column(grid, centre=(0, 8), radii=(rng.uniform(150, 168), rng.uniform(112, 125)), exponent=2.4)
    body = body.roughened(rough, 3.0)
    canvas.paint(body, CHEST.fat * (1 + 0.06 * texture))
    wall = body.shrunk(rng.uniform(7, 16))
    canvas.paint(wall, CHEST.muscle * (1 + 0.2 * texture))
    inside = wall.shrunk(rng.uniform(13, 18))
    canvas.paint(inside, CHEST.lung * (1 + 0.3 * texture))
    cage = inside.spread_over(grid)
    mediastinum = elliptic_column(grid, centre=(2, 10), radii=(46, 100)).roughened(rough, 5.0).within(cage)
    canvas.paint(mediastinum, CHEST.muscle * (1 + 0.3 * texture))
    liver = ellipsoid(
        grid, centre=(-70, 88, 0), radii=(85, 50, 140), rotation=Rotation.from_euler("z", 20, degrees=True)
    )
    canvas.paint(liver.roughened(rough, 4.0).within(cage), CHEST.liver * (1 + 0.08 * texture))
    canvas.paint(elliptic_column(grid, centre=(0, 100), radii=(26, 22)), CHEST.muscle * 1.2)
    canvas.paint(elliptic_column(grid, centre=(28, 74), radii=(12, 12)), CHEST.blood)
    _paint_right_heart(canvas, rng, ventricle, rough, texture)


def _paint_right_heart(
    canvas: Canvas,
    rng: np.random.Generator,
    ventricle: Ventricle,
    rough: NDArray[np.float32],
    texture: NDArray[np.float32],
) -> None:
    """The fat around the heart and the crescent of the right ventricle at the septum."""
    grid = canvas.grid
    x, y = ventricle.axis(grid)
    outer = ventricle.cavity_radius(grid) + ventricle.wall
    fat = rng.uniform(2, 6)
    heart = elliptic_column(grid, centre=(x - 20, y - 3), radii=(outer + 26 + fat, outer + 6 + fat))
    canvas.paint(heart.roughened(rough, 3.0), CHEST.fat * 0.75 * (1 + 0.15 * texture))
    reach = outer * rng.uniform(0.85, 1.0)
    wall = elliptic_column(grid, centre=(x - 0.8 * outer, y - 5), radii=(1.1 * reach + 3, 0.95 * reach + 3))
    canvas.paint(wall.roughened(rough, 2.0), CHEST.myocardium)
    canvas.paint(wall.roughened(rough, 2.0).shrunk(3.0), CHEST.blood * 0.97 * (1 + 0.05 * texture))
