"""Procedural volumes of the four tasks, with noisy prompts, for tests, demos and calibration."""

from spd_bench.phantoms.dataset import PhantomSet, write_phantom_dataset, write_phantom_set
from spd_bench.phantoms.phantom import Phantom, PhantomRequest
from spd_bench.phantoms.registry import PHANTOMS, make_phantom

__all__ = [
    "PHANTOMS",
    "Phantom",
    "PhantomRequest",
    "PhantomSet",
    "make_phantom",
    "write_phantom_dataset",
    "write_phantom_set",
]
