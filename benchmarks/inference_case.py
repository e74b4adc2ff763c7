"""What inference is measured on: a volume of noise with points, an SPD network and the SAM that it is made from."""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from spd_bench.models.inference import decode_volume, encode_slices, saliency_volume, segment_volume
from spd_bench.models.lora import LoraSettings
from spd_bench.models.merged_lora import merge_lora
from spd_bench.models.sam import build_sam
from spd_bench.models.sam_network import SamNetwork
from spd_bench.models.spd import SPDModelSettings, SPDNetwork
from spd_bench.prediction.own_grid import mask_of_parts

IN_ORDER = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A volume of noise with points on every slice, and how it is to be segmented."""

    slices: NDArray[np.float32]
    points: list[NDArray[np.int64]]
    context: int
    batch_size: int
    device: torch.device

    def first(self, count: int) -> Case:
        """Its first slices."""
        return Case(**{**vars(self), "slices": self.slices[:count], "points": self.points[:count]})

    @property
    def shape(self) -> tuple[int, int, int]:
        """(Z, R, R)."""
        return len(self.slices), self.slices.shape[-2], self.slices.shape[-1]


def random_case(arguments: argparse.Namespace) -> Case:
    """Noise, with as many points on each slice as were asked for."""
    generator, side = np.random.default_rng(0), arguments.resolution
    return Case(
        slices=generator.uniform(-1, 1, (arguments.slices, 3, side, side)).astype(np.float32),
        points=[generator.integers(0, side, (arguments.points, 2)) for _ in range(arguments.slices)],
        context=arguments.context,
        batch_size=arguments.batch_size,
        device=arguments.device,
    )


def networks(arguments: argparse.Namespace, case: Case) -> tuple[SPDNetwork, SamNetwork]:
    """SPD, with LoRA merged and a threshold that keeps some points, and a SAM with the same weights before LoRA."""
    backbone, resolution = arguments.backbone, arguments.resolution
    plain = build_sam(backbone, resolution=resolution)
    settings = SPDModelSettings(backbone=backbone, resolution=resolution, lora=LoraSettings())
    spd = SPDNetwork(settings, sam=copy.deepcopy(plain)).eval()
    merge_lora(spd.sam.image_encoder)
    sam = SamNetwork(sam=plain, backbone=backbone, resolution=resolution).eval()
    maps = saliency_volume(spd, case.slices[:1], device=torch.device("cpu"))
    pixels = np.concatenate(case.points)
    spd.threshold.fill_(float(np.median(maps[0, pixels[:, 1], pixels[:, 0]])))
    return spd.to(case.device), sam.to(case.device)


def with_sam(sam: SamNetwork, case: Case) -> NDArray[np.uint8]:
    """Masks from raw points."""
    parts = decode_volume(sam, case.slices, case.points, device=case.device, batch_size=case.batch_size)
    return mask_of_parts(parts, shape=case.shape, transpose=IN_ORDER)


def with_spd(spd: SPDNetwork, case: Case) -> NDArray[np.uint8]:
    """Masks from distilled points."""
    embeddings = encode_slices(spd, case.slices, device=case.device, batch_size=case.batch_size)
    parts = segment_volume(spd, embeddings, case.points, context=case.context, empty_prompt="decode")
    return mask_of_parts(parts, shape=case.shape, transpose=IN_ORDER)
