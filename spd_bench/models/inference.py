"""Whole volumes: each slice is encoded once and decoded from its points, for SPD after their distillation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spd_bench.models.distillation import distill_prompts
from spd_bench.models.sam_network import SamNetwork
from spd_bench.models.spd import SPDNetwork

EMPTY_LOGIT = -20.0
"""Logit of a slice that is left empty: a probability of 2e-9."""


@dataclass(frozen=True, kw_only=True)
class VolumeSegmentation:
    """What SPD says of a volume.

    Attributes:
        logits: (Z, R, R) mask logits.
        saliency: (Z, R, R) saliency map in [0, 1].
        points: for each slice the consensus points (N, 2) as integer (x, y).
    """

    logits: NDArray[np.float32]
    saliency: NDArray[np.float32]
    points: list[NDArray[np.int64]]


@torch.inference_mode()
def saliency_volume(
    network: SPDNetwork, slices: NDArray[np.float32], *, device: torch.device, batch_size: int = 8
) -> NDArray[np.float32]:
    """Saliency maps (Z, R, R) in [0, 1] of slices (Z, 3, R, R) in [-1, 1]."""
    network.eval()
    maps = [
        torch.sigmoid(network.saliency_logits(network.encode(chunk)).float()).cpu().numpy()
        for chunk in _chunks(slices, device, batch_size)
    ]
    return np.concatenate(maps)


@torch.inference_mode()
def segment_volume(
    network: SPDNetwork,
    slices: NDArray[np.float32],
    points: Sequence[NDArray[np.int64]],
    *,
    device: torch.device,
    context: int,
    empty_prompt: Literal["skip", "decode"],
    batch_size: int = 8,
) -> VolumeSegmentation:
    """Segment a volume from its noisy points, distilled by the network's own threshold.

    Args:
        network: a trained SPD network.
        slices: (Z, 3, R, R) in [-1, 1].
        points: for each slice the noisy points (N, 2) as integer (x, y).
        device: where the network lies.
        context: n of CPD.
        empty_prompt: what becomes of a slice without a consensus point.
        batch_size: slices that are encoded or decoded together.
    """
    network.eval()
    embeddings: list[Tensor] = []
    maps = []
    for chunk in _chunks(slices, device, batch_size):
        embedded = network.encode(chunk)
        maps.append(torch.sigmoid(network.saliency_logits(embedded).float()).cpu().numpy())
        embeddings.extend(embedded)
    saliency = np.concatenate(maps)
    consensus = distill_prompts(saliency, points, threshold=float(network.threshold), context=context)

    logits = np.full(saliency.shape, EMPTY_LOGIT, np.float32)
    for chosen in _decoded_together(consensus, empty_prompt, batch_size):
        masks = network.decode(torch.stack([embeddings[z] for z in chosen]), [consensus[z] for z in chosen])
        logits[chosen] = masks.float().cpu().numpy()
    return VolumeSegmentation(logits=logits, saliency=saliency, points=consensus)


@torch.inference_mode()
def decode_volume(
    network: SamNetwork,
    slices: NDArray[np.float32],
    points: Sequence[NDArray[np.int64]],
    *,
    device: torch.device,
    empty_prompt: Literal["skip", "decode"] = "skip",
    batch_size: int = 8,
) -> NDArray[np.float32]:
    """Mask logits (Z, R, R) of slices (Z, 3, R, R) in [-1, 1], each from its own points as they are.

    Args:
        network: a SAM.
        slices: the slices; those that are left empty are not even encoded.
        points: for each slice the points (N, 2) as integer (x, y).
        device: where the network lies.
        empty_prompt: what becomes of a slice without a point.
        batch_size: slices that are encoded and decoded together.
    """
    network.eval()
    side = slices.shape[-1]
    logits = np.full((len(slices), side, side), EMPTY_LOGIT, np.float32)
    for chosen in _decoded_together(points, empty_prompt, batch_size):
        images = torch.from_numpy(np.ascontiguousarray(slices[chosen])).to(device)
        logits[chosen] = network(images, [points[z] for z in chosen]).float().cpu().numpy()
    return logits


def _decoded_together(
    points: Sequence[NDArray[np.int64]], empty_prompt: Literal["skip", "decode"], batch_size: int
) -> Iterator[list[int]]:
    """Slices to be decoded, in batches: those with equally many points stand side by side, to go in one pass."""
    decoded = [z for z in range(len(points)) if len(points[z]) or empty_prompt == "decode"]
    decoded.sort(key=lambda z: len(points[z]))
    for start in range(0, len(decoded), batch_size):
        yield decoded[start : start + batch_size]


def _chunks(slices: NDArray[np.float32], device: torch.device, batch_size: int) -> Iterator[Tensor]:
    for start in range(0, len(slices), batch_size):
        yield torch.from_numpy(np.ascontiguousarray(slices[start : start + batch_size])).to(device)
