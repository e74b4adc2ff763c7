"""SCAR phantom: myocardial scar as bright as the blood beside it, on short-axis late enhancement MR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spd_bench.phantoms.acquisition import bias_field, blur_in_plane, digitised, rician_noise
from spd_bench.phantoms.canvas import Canvas
from spd_bench.phantoms.fields import smooth_field
from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.left_ventricle import Ventricle, draw_ventricle, ventricle_coordinates
from spd_bench.phantoms.mr_chest import CHEST, paint_chest
from spd_bench.phantoms.phantom import Phantom, PhantomRequest
from spd_bench.prompts.simulation import NoiseSettings, simulate_prompts

_SLICE_THICKNESS = 10.0
_WIDTH = 358.4
_SCAR_FREE_SHARE = 0.27
_NO_REFLOW_SHARE = 0.6
_SECOND_SCAR_SHARE = 0.35
_TERRITORIES = (-1.7, 0.3, 1.9)


@dataclass(frozen=True, kw_only=True)
class ScarSector:
    """One infarct in the coordinates of the ventricle.

    Attributes:
        angle: middle of the sector in rad.
        extent: angular extent in rad at its widest level.
        level: middle of the infarct along the ventricle, 0 at the first slice and 1 at the last.
        half_length: half of its length along the ventricle, as a share of the stack.
        transmurality: depth from the endocardium as a share of the wall.
        no_reflow: whether it has a dark core.
    """

    angle: float
    extent: float
    level: float
    half_length: float
    transmurality: float
    no_reflow: bool


def make_scar(request: PhantomRequest) -> Phantom:
    """One SCAR case: 5-10 slices of 10 mm, ``size`` squared pixels over 358 mm.

    About one case in four has no scar. No-reflow cores are dark and belong to the target.
    """
    streams = request.streams()
    rng = streams.anatomy
    own_slices = int(rng.integers(5, 11))
    slices = request.slices or own_slices
    pixel = _WIDTH / request.size
    grid = Grid.centred(
        shape=(slices, request.size, request.size), spacing=(own_slices * _SLICE_THICKNESS / slices, pixel, pixel)
    )
    ventricle = draw_ventricle(rng)
    sectors = _draw_sectors(rng)
    canvas = Canvas(grid, background=8.0)
    rough = smooth_field(rng, grid, scale=(60, 30, 30))
    paint_chest(canvas, rng, ventricle, rough)

    depth, angle, level = ventricle_coordinates(grid, ventricle, rough)
    ragged = smooth_field(rng, grid, scale=(12, 7, 7))
    membership = [_sector_membership(one, depth, angle, level, ragged) for one in sectors]
    scar = np.max(membership, axis=0) if membership else np.full(grid.shape, -1, dtype=np.float32)
    core = np.max([_core_membership(one, depth, angle, level, ragged) for one in sectors] or [scar], axis=0)
    _paint_ventricle(canvas, rng, ventricle, depth, scar=scar, core=core)
    label = (scar > 0) & (depth >= 0) & (depth <= 1)
    return Phantom(
        image=_acquire(canvas, streams.acquisition),
        label=label.astype(np.uint8),
        look_alikes=depth < -0.1,
        geometry=grid.geometry,
        prompts=simulate_prompts(
            label,
            grid.geometry,
            settings=NoiseSettings(severity=request.severity),
            seed=request.seed,
            case=request.case,
        ),
    )


def _draw_sectors(rng: np.random.Generator) -> list[ScarSector]:
    """The infarcts of a patient: none, one, or a large and a small one, each in a coronary territory."""
    if rng.random() < _SCAR_FREE_SHARE:
        return []
    count = 2 if rng.random() < _SECOND_SCAR_SHARE else 1
    territories = rng.permutation(_TERRITORIES)
    median_extents = (115.0, 50.0)
    return [
        ScarSector(
            angle=float(territories[index] + rng.normal(0, 0.35)),
            extent=float(np.deg2rad(np.clip(median_extents[index] * np.exp(rng.normal(0, 0.45)), 40, 340))),
            level=float(rng.uniform(0.3, 0.8)),
            half_length=float(rng.uniform(0.32, 0.62)),
            transmurality=float(rng.uniform(0.5, 1.1)),
            no_reflow=bool(index == 0 and rng.random() < _NO_REFLOW_SHARE),
        )
        for index in range(count)
    ]


def _sector_membership(
    sector: ScarSector,
    depth: NDArray[np.float32],
    angle: NDArray[np.float32],
    level: NDArray[np.float32],
    ragged: NDArray[np.float32],
) -> NDArray[np.float32]:
    """How far inside an infarct a voxel lies, in parts of the wall; negative outside."""
    taper = np.sqrt(np.clip(1 - ((level - sector.level) / sector.half_length) ** 2, 0, None))
    away = np.abs(np.angle(np.exp(1j * (angle - np.float32(sector.angle))))).astype(np.float32)
    # An angle of 0.3 rad is about one wall thickness along the circumference.
    sideways = (sector.extent / 2 * taper - away) / 0.3 + 0.35 * ragged
    outwards = sector.transmurality * np.sqrt(taper) + 0.12 * ragged - depth
    return np.asarray(np.where(taper > 0, np.minimum(sideways, outwards), -1), dtype=np.float32)


def _core_membership(
    sector: ScarSector,
    depth: NDArray[np.float32],
    angle: NDArray[np.float32],
    level: NDArray[np.float32],
    ragged: NDArray[np.float32],
) -> NDArray[np.float32]:
    """How far inside an infarct's no-reflow core a voxel lies, in parts of the wall; negative outside."""
    if not sector.no_reflow:
        return np.full(depth.shape, -1, dtype=np.float32)
    inner = ScarSector(
        angle=sector.angle,
        extent=0.55 * sector.extent,
        level=sector.level,
        half_length=0.6 * sector.half_length,
        transmurality=0.6 * sector.transmurality,
        no_reflow=False,
    )
    return np.minimum(_sector_membership(inner, depth, angle, level, -ragged), depth - np.float32(0.12))


def _paint_ventricle(
    canvas: Canvas,
    rng: np.random.Generator,
    ventricle: Ventricle,
    depth: NDArray[np.float32],
    *,
    scar: NDArray[np.float32],
    core: NDArray[np.float32],
) -> None:
    """Nulled myocardium, scar as bright as blood, dark cores, blood with papillary muscles."""
    grid = canvas.grid
    soft = np.float32(canvas.grid.pixel / ventricle.wall)
    texture = smooth_field(rng, grid, scale=(20, 9, 9))
    blood = CHEST.blood * rng.uniform(0.9, 1.1)
    remote = rng.uniform(70, 120) * (1 + 0.4 * texture)

    def cover(membership: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.clip(np.float32(0.5) + membership / soft, 0, 1)

    muscle = remote + cover(scar) * (1.05 * blood * (1 + 0.1 * texture) - remote)
    muscle += cover(core) * (1.1 * remote - muscle)
    inside = cover(1 - depth)
    canvas.voxels += inside * (muscle - canvas.voxels)
    pool = blood * (1 + 0.05 * texture)
    canvas.voxels += cover(-depth) * (pool - canvas.voxels)
    for region in ventricle.papillary_muscles(grid):
        canvas.paint(region, CHEST.myocardium)


def _acquire(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.float32]:
    """The scan of what was painted: coil sensitivity, blur, noise."""
    shaded = canvas.voxels * bias_field(rng, canvas.grid, strength=rng.uniform(0.08, 0.2), scale=200.0)
    return digitised(rician_noise(rng, blur_in_plane(shaded, 0.6), sigma=rng.uniform(22, 40)))
