"""Whole volumes as streams: each slice is encoded once and decoded from its points, for SPD after their distillation.

Slices go through in batches, and what is known of a batch is handed on at once: memory holds the embeddings of one
batch and of the n slices before it, however many slices there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spd_bench.models.precision import precision
from spd_bench.models.prompt_stream import PromptStream
from spd_bench.models.sam_network import SamNetwork
from spd_bench.models.spd import SPDNetwork

EMPTY_LOGIT = -20.0
"""Logit of a slice that is left empty: a probability of 2e-9."""
BATCH = 8
"""Slices that are encoded together unless another number is asked for."""


@dataclass(frozen=True, kw_only=True)
class PromptedSlices:
    """Encoded slices whose prompts are known, in their order.

    Attributes:
        indices: their places in the volume.
        embeddings: their image embeddings (N, C, h, w), on the network's device.
        points: their prompts, N integer arrays (N_i, 2) of pixels (x, y).
    """

    indices: list[int]
    embeddings: Tensor
    points: list[NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True)
class DecodedSlices:
    """Slices of a volume that were decoded together.

    Attributes:
        indices: their places in the volume, in any order.
        logits: their mask logits (N, R, R), on the network's device.
        points: the points that they were decoded from, N integer arrays (N_i, 2) of pixels (x, y).
    """

    indices: list[int]
    logits: Tensor
    points: list[NDArray[np.int64]]


def encode_slices(
    network: SamNetwork,
    slices: NDArray[np.float32],
    *,
    device: torch.device,
    batch_size: int = BATCH,
    only: NDArray[np.bool_] | None = None,
) -> Iterator[Tensor]:
    """Image embeddings (B, C, h, w) of slices (Z, 3, R, R) in [-1, 1], batch by batch in their order.

    ``only`` (Z) leaves the others out.
    """
    network.eval()
    chosen = np.arange(len(slices)) if only is None else np.flatnonzero(only)
    for start in range(0, len(chosen), batch_size):
        yield _encode(network, slices[chosen[start : start + batch_size]], device)


@torch.inference_mode()
def saliency_maps(network: SPDNetwork, embeddings: Tensor) -> Tensor:
    """Saliency maps (B, R, R) in [0, 1] from image embeddings (B, C, h, w)."""
    with precision(embeddings.device):
        logits = network.saliency_logits(embeddings)
    return torch.sigmoid(logits.float())


def saliency_volume(
    network: SPDNetwork,
    slices: NDArray[np.float32],
    *,
    device: torch.device,
    batch_size: int = BATCH,
    only: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Saliency maps (Z, R, R) in [0, 1] of slices (Z, 3, R, R) in [-1, 1]; 0 on those that ``only`` (Z) leaves out."""
    embeddings = encode_slices(network, slices, device=device, batch_size=batch_size, only=only)
    return saliency_of(network, embeddings, of=np.ones(len(slices), bool) if only is None else only)


def saliency_of(network: SPDNetwork, embeddings: Iterable[Tensor], *, of: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Saliency maps (Z, R, R) in [0, 1] from the embeddings, in batches, of the slices ``of`` (Z); 0 on the others."""
    maps = np.zeros((len(of), network.resolution, network.resolution), np.float32)
    encoded = np.flatnonzero(of)
    done = 0
    for batch in embeddings:
        maps[encoded[done : done + len(batch)]] = saliency_maps(network, batch).cpu().numpy()
        done += len(batch)
    return maps


def distil_slices(
    network: SPDNetwork,
    embeddings: Iterable[Tensor],
    points: Sequence[NDArray[np.int64]],
    *,
    context: int,
    only: NDArray[np.bool_] | None = None,
) -> Iterator[PromptedSlices]:
    """Distil a volume's noisy points by the network's own threshold, while its slices come.

    Args:
        network: a trained SPD network.
        embeddings: image embeddings of the slices in their order, in batches, as from :func:`encode_slices`.
        points: for each slice of the volume the noisy points (N, 2) as integer (x, y).
        context: n of CPD: a slice is handed on when the n slices after it have been looked at.
        only: the slices (Z) that the embeddings are of, all unless given. Every slice with a candidate must be among
            them, see :func:`spd_bench.models.distillation.slices_with_candidates`.
    """
    side, threshold = network.resolution, float(network.threshold)
    stream = PromptStream(points, shape=(side, side), threshold=threshold, context=context)
    encoded = list(range(len(points))) if only is None else np.flatnonzero(only).tolist()
    decided: list[NDArray[np.int64]] = []
    waiting: Tensor | None = None
    come = looked_at = given = 0
    for batch in embeddings:
        indices = encoded[come : come + len(batch)]
        come += len(batch)
        saliency = _saliency_at(network, batch, [stream.candidates(index) for index in indices])
        waiting = batch if waiting is None else torch.cat([waiting, batch])
        del batch  # or it would be held while the next one is encoded
        # What is not encoded has no candidate, and so no saliency to be looked at.
        values = dict(zip(indices, saliency, strict=True))
        until = encoded[come] if come < len(encoded) else len(points)
        for index in range(looked_at, until):
            decided += stream.push(values.get(index, np.empty(0, np.float32)))
        looked_at = until
        ready = [index for index in encoded[given:come] if index < len(decided)]
        if ready:
            yield PromptedSlices(
                indices=ready, embeddings=waiting[: len(ready)], points=[decided[index] for index in ready]
            )
            given += len(ready)
            # A copy: a view of a few slices would keep the whole batch in memory.
            waiting = waiting[len(ready) :].clone()


def segment_volume(
    network: SPDNetwork,
    embeddings: Iterable[Tensor],
    points: Sequence[NDArray[np.int64]],
    *,
    context: int,
    empty_prompt: Literal["skip", "decode"],
    only: NDArray[np.bool_] | None = None,
) -> Iterator[DecodedSlices]:
    """Segment a volume from its noisy points, distilled by the network's own threshold.

    Args:
        network: a trained SPD network.
        embeddings: image embeddings of the slices in their order, in batches, as from :func:`encode_slices`.
        points: for each slice of the volume the noisy points (N, 2) as integer (x, y).
        context: n of CPD.
        empty_prompt: what becomes of a slice without a consensus point; one that is skipped is not handed on.
        only: the slices (Z) that the embeddings are of, as for :func:`distil_slices`.
    """
    for part in distil_slices(network, embeddings, points, context=context, only=only):
        chosen = [row for row, prompts in enumerate(part.points) if len(prompts) or empty_prompt == "decode"]
        if chosen:
            yield _decode(
                network,
                part.embeddings if len(chosen) == len(part.points) else part.embeddings[chosen],
                [part.points[row] for row in chosen],
                indices=[part.indices[row] for row in chosen],
            )
        del part  # or its embeddings would be held while the next ones are encoded


def decode_volume(
    network: SamNetwork,
    slices: NDArray[np.float32],
    points: Sequence[NDArray[np.int64]],
    *,
    device: torch.device,
    empty_prompt: Literal["skip", "decode"] = "skip",
    batch_size: int = BATCH,
) -> Iterator[DecodedSlices]:
    """Segment a volume, each of its slices from its own points as they are.

    Slices with equally many points come together, because they are decoded in one pass.

    Args:
        network: a SAM.
        slices: (Z, 3, R, R) in [-1, 1]; those that are skipped are not even encoded.
        points: for each slice the points (N, 2) as integer (x, y).
        device: where the network lies.
        empty_prompt: what becomes of a slice without a point; one that is skipped is not handed on.
        batch_size: slices that are encoded and decoded together.
    """
    network.eval()
    decoded = [z for z in range(len(points)) if len(points[z]) or empty_prompt == "decode"]
    decoded.sort(key=lambda z: len(points[z]))
    for start in range(0, len(decoded), batch_size):
        chosen = decoded[start : start + batch_size]
        embeddings = _encode(network, slices[chosen], device)
        yield _decode(network, embeddings, [points[z] for z in chosen], indices=chosen)


def on_device(slices: NDArray[np.float32], device: torch.device) -> Tensor:
    """An array, perhaps a read-only view, as a tensor on a device; the way to a GPU does not wait."""
    images = torch.from_numpy(np.require(slices, requirements=["C", "W"]))
    return images.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else images


@torch.inference_mode()
def _encode(network: SamNetwork, slices: NDArray[np.float32], device: torch.device) -> Tensor:
    with precision(device):
        return network.encode(on_device(slices, device))


@torch.inference_mode()
def _saliency_at(network: SPDNetwork, embeddings: Tensor, pixels: list[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
    """Probabilities (N_i,) at the pixels (N_i, 2) of each image."""
    with precision(embeddings.device):
        logits = network.saliency_logits_at(embeddings, pixels)
    saliency = torch.sigmoid(logits.float()).cpu().numpy()
    return np.split(saliency, np.cumsum([len(xy) for xy in pixels])[:-1])


@torch.inference_mode()
def _decode(
    network: SamNetwork, embeddings: Tensor, points: list[NDArray[np.int64]], *, indices: list[int]
) -> DecodedSlices:
    with precision(embeddings.device):
        logits = network.decode(embeddings, points)
    return DecodedSlices(indices=indices, logits=logits.float(), points=points)
