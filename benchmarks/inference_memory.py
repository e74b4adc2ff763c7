"""How the memory of SPD's inference grows with the slices of a volume: as a stream, and with everything held."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.inference_case import IN_ORDER, Case, networks, random_case, with_spd
from benchmarks.measuring import peak_memory_of
from spd_bench.models.inference import encode_slices, saliency_maps, segment_volume
from spd_bench.models.spd import SPDNetwork
from spd_bench.prediction.own_grid import mask_of_parts

_SLICES = (40, 200)


def memory_growth(arguments: argparse.Namespace) -> dict[str, dict[int, float]]:
    """MB that a fresh process needs above its start, for few and for many slices of a small backbone."""
    settings = {"backbone": arguments.memory_backbone, "resolution": arguments.memory_resolution}
    bodies: dict[str, Callable[..., None]] = {"streamed": streamed, "all held": all_held}
    growth: dict[str, dict[int, float]] = {name: {} for name in bodies}
    for name, body in bodies.items():
        for slices in _SLICES:
            before, peak = peak_memory_of(body, settings, slices)
            growth[name][slices] = round(peak - before, 1)
    return growth


def streamed(settings: dict[str, Any], slices: int) -> None:
    """Segment a volume as prediction does."""
    with_spd(*_repeated(settings, slices))


def all_held(settings: dict[str, Any], slices: int) -> None:
    """Segment a volume with all embeddings, saliency maps and logits in memory."""
    spd, case = _repeated(settings, slices)
    embeddings = list(encode_slices(spd, case.slices, device=case.device, batch_size=case.batch_size))
    maps = [saliency_maps(spd, batch) for batch in embeddings]
    parts = list(segment_volume(spd, embeddings, case.points, context=case.context, empty_prompt="decode"))
    mask_of_parts(parts, shape=case.shape, transpose=IN_ORDER)
    del maps


def _repeated(settings: dict[str, Any], slices: int) -> tuple[SPDNetwork, Case]:
    """A volume that takes no memory itself: one slice seen many times."""
    torch.set_num_threads(1)
    options = {"points": 3, "context": 2, "batch_size": 4, "device": torch.device("cpu")}
    one = random_case(argparse.Namespace(**settings, **options, slices=1))
    spd, _ = networks(argparse.Namespace(**settings), one)
    view = np.broadcast_to(one.slices, (slices, *one.slices.shape[1:]))
    return spd, Case(**{**vars(one), "slices": view, "points": one.points * slices})
