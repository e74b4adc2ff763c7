"""FUMPE phantom: emboli in contrast-filled pulmonary arteries, with veins and lymph nodes beside them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spd_bench.phantoms.acquisition import blur_in_plane, ct_noise, digitised
from spd_bench.phantoms.canvas import Canvas
from spd_bench.phantoms.ct_chest import draw_thorax, paint_chest
from spd_bench.phantoms.emboli import draw_emboli
from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.phantom import Phantom, PhantomRequest
from spd_bench.phantoms.pulmonary import PulmonaryVessels, draw_pulmonary_vessels
from spd_bench.phantoms.shapes import Region, capsules, ellipsoid
from spd_bench.prompts.simulation import NoiseSettings, simulate_prompts

_EXTENT_Z = 240.0
_WIDTH = 325.0
_SLICES = 120
_VESSEL_MARGIN = 3.0


def make_fumpe(request: PhantomRequest) -> Phantom:
    """One FUMPE case: 120 slices of 2 mm, ``size`` squared pixels over 325 mm.

    One case in seventeen has no embolus. A third of the emboli is central, the others lie in
    segmental arteries; all are no denser than the lymph nodes around the hila.
    """
    streams = request.streams()
    rng = streams.anatomy
    slices, pixel = request.slices or _SLICES, _WIDTH / request.size
    grid = Grid.centred(shape=(slices, request.size, request.size), spacing=(_EXTENT_Z / slices, pixel, pixel))
    thorax = draw_thorax(rng)
    vessels = draw_pulmonary_vessels(rng, thorax)
    clots = draw_emboli(rng, vessels.arteries)
    arterial = float(np.clip(rng.normal(350, 45), 260, 480))
    venous = float(min(rng.normal(260, 35), arterial - 25))

    canvas = Canvas(grid, background=-1000.0)
    paint_chest(canvas, rng, thorax, arterial=arterial, venous=venous)
    nodes = _paint_lymph_nodes(canvas, rng)
    lumen = _paint_vessels(canvas, vessels, arterial=arterial, venous=venous)
    clot = capsules(
        grid,
        starts=clots.starts,
        ends=clots.ends,
        start_radii=clots.start_radii,
        end_radii=clots.end_radii,
        margin=_VESSEL_MARGIN,
    ).within(lumen)
    canvas.paint(clot, float(rng.normal(55, 12)))
    label = np.zeros(grid.shape, dtype=np.uint8)
    label[clot.box] = clot.distance < 0
    sigma = streams.acquisition.uniform(14, 28)
    image = digitised(ct_noise(streams.acquisition, blur_in_plane(canvas.voxels, 0.5), sigma=sigma))
    return Phantom(
        image=image,
        label=label,
        look_alikes=nodes & (lumen > 0),
        geometry=grid.geometry,
        prompts=simulate_prompts(
            label > 0,
            grid.geometry,
            settings=NoiseSettings(severity=request.severity),
            seed=request.seed,
            case=request.case,
        ),
    )


def _paint_lymph_nodes(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Lymph nodes at both hila and below the carina, as dense as emboli; returns their voxels."""
    nodes = np.zeros(canvas.grid.shape, dtype=bool)
    places = np.array([(-46.0, 2, 12), (46, 10, 16), (-50, 8, -8), (52, 18, 0), (-4, 4, 30), (2, 4, 6)])
    for place in places[rng.permutation(len(places))[: rng.integers(3, 7)]]:
        node = ellipsoid(canvas.grid, centre=place + rng.normal(0, 6, 3), radii=rng.uniform(4.5, 9, 3))
        canvas.paint(node, float(rng.normal(60, 12)))
        nodes[node.box] |= node.distance < 0
    return nodes


def _paint_vessels(canvas: Canvas, vessels: PulmonaryVessels, *, arterial: float, venous: float) -> NDArray[np.float32]:
    """Paint veins and arteries; returns the signed distance in mm to the arteries' lumen (Z, Y, X)."""
    canvas.paint(vessels.veins.region(canvas.grid, margin=_VESSEL_MARGIN), venous)
    arteries: Region = vessels.arteries.region(canvas.grid, margin=_VESSEL_MARGIN)
    canvas.paint(arteries, arterial)
    return arteries.spread_over(canvas.grid, far=_VESSEL_MARGIN)
