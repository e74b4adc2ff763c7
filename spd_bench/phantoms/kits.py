"""KiTS phantom: kidneys with a tumour and sometimes a cyst, on contrast-enhanced abdominal CT."""

from __future__ import annotations

import numpy as np

from spd_bench.phantoms.acquisition import blur_in_plane, ct_noise, digitised
from spd_bench.phantoms.canvas import Canvas
from spd_bench.phantoms.ct_abdomen import paint_abdomen
from spd_bench.phantoms.fields import smooth_field
from spd_bench.phantoms.grid import Grid
from spd_bench.phantoms.kidney import draw_kidneys, draw_masses, paint_kidney, paint_mass, paint_renal_vessels
from spd_bench.phantoms.phantom import Phantom, PhantomRequest
from spd_bench.prompts.simulation import NoiseSettings, simulate_prompts

_EXTENT_Z = 300.0
_WIDTH = 400.0
_SLICES = 100


def make_kits(request: PhantomRequest) -> Phantom:
    """One KiTS case: 100 slices of 3 mm, ``size`` squared pixels over 400 mm.

    The target is kidney and mass together: both kidneys, the tumour and the cyst.
    """
    streams = request.streams()
    rng = streams.anatomy
    slices, pixel = request.slices or _SLICES, _WIDTH / request.size
    grid = Grid.centred(shape=(slices, request.size, request.size), spacing=(_EXTENT_Z / slices, pixel, pixel))
    kidneys = draw_kidneys(rng)
    masses = draw_masses(rng, kidneys)
    aorta = float(rng.uniform(180, 300))
    rough = smooth_field(rng, grid, scale=(40, 40, 40))
    texture = smooth_field(rng, grid, scale=(9, 6, 6))
    lumps = smooth_field(rng, grid, scale=(16, 16, 16))

    canvas = Canvas(grid, background=-1000.0)
    scene = paint_abdomen(canvas, rng, aorta=aorta, rough=rough, texture=texture)
    target = np.zeros(grid.shape, dtype=bool)
    for kidney in kidneys:
        paint_renal_vessels(canvas, kidney, aorta=aorta)
        region = paint_kidney(canvas, kidney, lumps, texture)
        target[region.box] |= region.distance < 0
    for mass in masses:
        region = paint_mass(canvas, mass, lumps, texture, cavity=scene.cavity)
        target[region.box] |= region.distance < 0
    sigma = streams.acquisition.uniform(12, 26)
    image = digitised(ct_noise(streams.acquisition, blur_in_plane(canvas.voxels, 0.5), sigma=sigma))
    return Phantom(
        image=image,
        label=target.astype(np.uint8),
        look_alikes=scene.look_alikes & ~target,
        geometry=grid.geometry,
        prompts=simulate_prompts(
            target,
            grid.geometry,
            settings=NoiseSettings(severity=request.severity),
            seed=request.seed,
            case=request.case,
        ),
    )
