"""TI phantom: the terminal ileum among small-bowel loops of its own look, on T2 HASTE enterography."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spd_bench.phantoms.acquisition import bias_field, blur_in_plane, digitised, rician_noise
from spd_bench.phantoms.bowel import TubeTissue, pack_tubes, paint_tubes
from spd_bench.phantoms.canvas import Canvas
from spd_bench.phantoms.fields import smooth_field
from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.ileocaecal import COLON, TI, draw_bowel
from spd_bench.phantoms.mr_abdomen import paint_abdomen
from spd_bench.phantoms.phantom import Phantom, PhantomRequest
from spd_bench.phantoms.shapes import tube
from spd_bench.phantoms.trace import TraceSettings, noisy_trace_points
from spd_bench.prompts.points import PointPrompts

_EXTENT_Z = 200.0
_WIDTH = 380.0
_ROWS_A_COLUMN = 419 / 512
_SLICES = 40


def make_ti(request: PhantomRequest) -> Phantom:
    """One TI case: 40 slices of 5 mm over 308 x 380 mm, ``size`` pixels along the 380 mm.

    The loops share radii, walls, content and disease with the TI, which is told from them by its place
    (it ends at the caecum in the right lower quadrant) and by the prompts alone.
    """
    streams = request.streams()
    pixel = _WIDTH / request.size
    slices = request.slices or _SLICES
    grid = Grid.centred(
        shape=(slices, round(request.size * _ROWS_A_COLUMN), request.size),
        spacing=(_EXTENT_Z / slices, pixel, pixel),
    )
    bowel = draw_bowel(streams.anatomy)
    tissue = _draw_tissue(streams.anatomy, bowel.thick)
    canvas = Canvas(grid, background=0.0)
    paint_abdomen(canvas, streams.anatomy)
    tubes = pack_tubes(grid, [tube(grid, *one) for one in zip(bowel.courses, bowel.radii, strict=True)])
    paint_tubes(canvas, tubes, tissue, smooth_field(streams.anatomy, grid, scale=(14, 7, 7)))
    image = _acquire(canvas, streams.acquisition)
    points = noisy_trace_points(
        streams.prompts,
        grid,
        target=bowel.courses[TI],
        onward=bowel.onward,
        radius=float(bowel.radii[TI].mean()),
        settings=TraceSettings(severity=request.severity),
    )
    return Phantom(
        image=image,
        label=tubes.voxels_of(TI).astype(np.uint8),
        look_alikes=(tubes.owner > COLON) & (tubes.distance < 0),
        geometry=grid.geometry,
        prompts=PointPrompts(positions=points, provenance=request.provenance()),
        trace=np.concatenate([bowel.courses[TI], bowel.onward[1:]]),
    )


def _draw_tissue(rng: np.random.Generator, thick: NDArray[np.bool_]) -> TubeTissue:
    """Wall and content of every tube; the TI's are drawn like any loop's, the colon's content is stool."""
    count = len(thick)
    wall_thickness = np.where(thick, rng.uniform(4, 7, count), rng.uniform(1.5, 2.5, count))
    wall = np.where(thick, rng.normal(300, 40, count), rng.normal(210, 25, count))
    lumen = np.clip(rng.normal(620, 130, count), 300, 850)
    heterogeneity = rng.uniform(0.08, 0.22, count)
    wall_thickness[COLON], lumen[COLON], heterogeneity[COLON] = 2.0, rng.uniform(280, 520), 0.35
    return TubeTissue(wall_thickness=wall_thickness, wall=wall, lumen=lumen, heterogeneity=heterogeneity)


def _acquire(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.float32]:
    """The scan of what was painted: coil sensitivity, blur, noise."""
    shaded = canvas.voxels * bias_field(rng, canvas.grid, strength=rng.uniform(0.08, 0.2))
    return digitised(rician_noise(rng, blur_in_plane(shaded, 0.6), sigma=rng.uniform(15, 32)))
