"""The families of shapes by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.pretraining_scenes import composites, shapes
from benchmarks.pretraining_scenes.fields import Field
from benchmarks.pretraining_scenes.shapes import Placement

SHAPES: dict[str, Callable[[np.random.Generator, Placement], Field]] = {
    "blobs": shapes.blob,
    "lobes": shapes.lobes,
    "tubes": shapes.tube,
    "rings": shapes.ring,
    "trees": shapes.tree,
    "sheets": shapes.sheet,
    "islands": shapes.island,
    "stars": composites.star,
    "spirals": composites.spiral,
    "combs": composites.comb,
    "nets": composites.net,
    "joined": composites.joined,
    "slotted": composites.slotted,
    "crescents": shapes.crescent,
    "coils": shapes.coil,
}
"""Every rule by the name of its family."""
