"""Kidneys with cortex, medulla and sinus, and the tumours and cysts that grow on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from spd_bench.phantoms.canvas import Canvas
from spd_bench.phantoms.shapes import Region, ellipsoid, tube

_SINUS_FAT = -70.0
_TUMOUR_MEDIAN, _TUMOUR_SPREAD, _TUMOUR_RANGE = 33.0, 1.1, (1.5, 320.0)
_CYST_MEDIAN, _CYST_SPREAD = 4.4, 0.9
_CYST_SHARE = 0.5
_NECROSIS_RADIUS = 18.0


@dataclass(frozen=True, kw_only=True)
class Kidney:
    """A kidney as an ellipsoid with a sinus; the hilum faces the spine.

    Attributes:
        side: -1 right, 1 left of the patient.
        centre: (x, y, z) in mm.
        radii: half axes along its own (x, y, z) in mm.
        rotation: turns its axes from the body's.
        cortex: HU of the cortex.
        medulla: HU of the pyramids.
        cortex_thickness: mm.
    """

    side: int
    centre: NDArray[np.float64]
    radii: NDArray[np.float64]
    rotation: Rotation
    cortex: float
    medulla: float
    cortex_thickness: float

    def place(self, local: NDArray[np.float64]) -> NDArray[np.float64]:
        """The position (x, y, z) in mm of a point given in half axes along the kidney's own axes."""
        return np.asarray(self.centre + self.rotation.apply(np.asarray(local) * self.radii))


@dataclass(frozen=True, kw_only=True)
class Mass:
    """A tumour or a cyst.

    Attributes:
        centre: (x, y, z) in mm.
        radii: half axes in mm.
        value: HU of its tissue or fluid.
        necrosis: HU of its core, or None where it is solid.
        lumpiness: irregularity of its border, in parts of its radius.
    """

    centre: NDArray[np.float64]
    radii: NDArray[np.float64]
    value: float
    necrosis: float | None
    lumpiness: float


def draw_kidneys(rng: np.random.Generator) -> list[Kidney]:
    """Draw the right and the left kidney of one patient; the left one stands a little higher."""
    cortex = rng.normal(185, 18)
    scale = rng.uniform(0.88, 1.07)
    kidneys = []
    for side, height in ((-1, 2.0), (1, 16.0)):
        angles = [side * rng.normal(-35, 6), rng.normal(-8, 4), side * rng.normal(-12, 4)]
        kidneys.append(
            Kidney(
                side=side,
                centre=np.array([side * 72, 40, height]) + rng.normal(0, (4, 4, 7)),
                radii=np.array([28.0, 27, 57]) * scale * rng.uniform(0.94, 1.06, 3),
                rotation=Rotation.from_euler("zxy", angles, degrees=True),
                cortex=float(cortex),
                medulla=float(cortex - rng.uniform(35, 75)),
                cortex_thickness=float(rng.uniform(6, 9)),
            )
        )
    return kidneys


def draw_masses(rng: np.random.Generator, kidneys: list[Kidney]) -> list[Mass]:
    """One tumour on the surface of a kidney and, in half of the patients, a cyst on either."""
    volume = np.clip(_TUMOUR_MEDIAN * np.exp(rng.normal(0, _TUMOUR_SPREAD)), *_TUMOUR_RANGE)
    radii = _sphere_radius(volume) * rng.uniform(0.88, 1.12, 3)
    necrotic = radii.mean() > _NECROSIS_RADIUS and rng.random() < 0.7
    masses = [
        Mass(
            centre=_surface_point(rng, kidneys[rng.integers(2)], depth=rng.uniform(0.85, 1.15)),
            radii=radii,
            value=float(np.clip(rng.normal(85, 25), 40, 150)),
            necrosis=float(rng.normal(35, 8)) if necrotic else None,
            lumpiness=0.1,
        )
    ]
    if rng.random() < _CYST_SHARE:
        radius = _sphere_radius(_CYST_MEDIAN * np.exp(rng.normal(0, _CYST_SPREAD)))
        masses.append(
            Mass(
                centre=_surface_point(rng, kidneys[rng.integers(2)], depth=rng.uniform(0.75, 1.1)),
                radii=np.full(3, radius),
                value=float(rng.normal(10, 5)),
                necrosis=None,
                lumpiness=0.03,
            )
        )
    return masses


def paint_renal_vessels(canvas: Canvas, kidney: Kidney, *, aorta: float) -> None:
    """Paint the renal artery from the aorta and the vein to the inferior vena cava."""
    hilum = kidney.place(np.array([-kidney.side * 0.5, 0, 0]))
    for start, radius, value in (((10.0, 24, 10), 3.2, aorta), ((-18.0, 24, 4), 5.5, 0.6 * aorta + 20)):
        origin = np.array([start[0], start[1], hilum[2] + start[2]])
        middle = (origin + hilum) / 2 + (0, -8, 0)
        canvas.paint(tube(canvas.grid, np.stack([origin, middle, hilum]), radius), value)


def paint_kidney(canvas: Canvas, kidney: Kidney, lumps: NDArray[np.float32], texture: NDArray[np.float32]) -> Region:
    """Paint cortex, medulla, sinus fat and renal pelvis; returns cortex and medulla, the labelled part."""
    grid = canvas.grid
    outline = ellipsoid(grid, centre=kidney.centre, radii=kidney.radii, rotation=kidney.rotation).roughened(lumps, 1.5)
    inwards = -kidney.side
    sinus = ellipsoid(
        grid,
        centre=kidney.place(np.array([inwards * 0.62, 0, 0])),
        radii=kidney.radii * (0.62, 0.34, 0.42),
        rotation=kidney.rotation,
        margin=40.0,
    ).roughened(lumps, 2.5)
    sinus_distance = sinus.spread_over(grid, far=40.0)
    parenchyma = outline.outside(sinus_distance)
    canvas.paint(outline, _SINUS_FAT)
    canvas.paint(parenchyma, kidney.cortex + np.float32(8) * texture)
    # Columns of cortex reach in between the pyramids, so the depth of their border waves.
    pyramids = outline.shrunk(kidney.cortex_thickness).roughened(lumps, 3.5)
    canvas.paint(pyramids.outside(sinus_distance), kidney.medulla + np.float32(8) * texture)
    pelvis = ellipsoid(
        grid,
        centre=kidney.place(np.array([inwards * 0.7, 0, 0])),
        radii=kidney.radii * (0.42, 0.16, 0.2),
        rotation=kidney.rotation,
    )
    canvas.paint(pelvis, 12.0)
    return parenchyma


def paint_mass(
    canvas: Canvas,
    mass: Mass,
    lumps: NDArray[np.float32],
    texture: NDArray[np.float32],
    *,
    cavity: NDArray[np.float32],
) -> Region:
    """Paint a tumour or cyst, kept inside the abdominal wall; returns its region."""
    size = float(mass.radii.mean())
    region = ellipsoid(canvas.grid, centre=mass.centre, radii=mass.radii).roughened(lumps, mass.lumpiness * size)
    region = region.within(cavity)
    canvas.paint(region, mass.value + np.float32(0.12 * abs(mass.value)) * texture)
    if mass.necrosis is not None:
        canvas.paint(region.shrunk(0.35 * size).roughened(lumps, 0.2 * size), mass.necrosis + np.float32(6) * texture)
    return region


def _surface_point(rng: np.random.Generator, kidney: Kidney, *, depth: float) -> NDArray[np.float64]:
    """A point at ``depth`` half axes from the kidney's centre, away from the hilum."""
    direction = np.array([kidney.side * abs(rng.normal(0, 1)), rng.normal(0, 1), rng.normal(0, 0.8)])
    return kidney.place(depth * direction / np.linalg.norm(direction))


def _sphere_radius(millilitres: float) -> float:
    """Radius in mm of a sphere of a volume in ml."""
    return float((3000 * millilitres / (4 * np.pi)) ** (1 / 3))
