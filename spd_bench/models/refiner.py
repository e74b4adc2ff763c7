"""Coarse masks refined by SAM in rounds, each prompted with what the round before said.

Lin et al., "SAMRefiner", ICLR 2025, arXiv 2502.06756, https://github.com/linyq2117/SAMRefiner (MIT).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import label
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from spd_bench.models.inference import EMPTY_LOGIT
from spd_bench.models.mask_prompts import MaskPrompts, prompts_of_mask
from spd_bench.models.sam_network import SamNetwork

_WITH_DIAGONALS = np.ones((3, 3))


def _components(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = label(mask, structure=_WITH_DIAGONALS)
    return np.stack([labels == number for number in range(1, count + 1)])


OBJECTS: dict[str, Callable[[NDArray[np.bool_]], NDArray[np.bool_]]] = {
    "slice": lambda mask: mask[None],
    "component": _components,
}
"""What is refined as one object: the whole mask of a slice, or each of its 8-connected components by itself. A mask
(R, R) that is not empty -> its objects (N, R, R)."""


@torch.inference_mode()
def refine_volume(
    network: SamNetwork,
    slices: NDArray[np.float32],
    masks: NDArray[np.bool_],
    *,
    device: torch.device,
    rounds: int = 5,
    objects: str = "slice",
    batch_size: int = 8,
) -> NDArray[np.float32]:
    """Refine the masks of a volume, slice by slice.

    Args:
        network: a SAM.
        slices: (Z, 3, R, R) in [-1, 1].
        masks: the coarse masks, (Z, R, R); a slice whose mask is empty stays empty and is not even encoded.
        device: where the network lies.
        rounds: how often each mask is refined.
        objects: a name in ``OBJECTS``.
        batch_size: slices that are encoded together.

    Returns:
        Mask logits (Z, R, R): of each pixel the largest of its slice's objects.
    """
    network.eval()
    logits = np.full(masks.shape, EMPTY_LOGIT, np.float32)
    chosen = np.flatnonzero(masks.any(axis=(1, 2)))
    for start in range(0, len(chosen), batch_size):
        chunk = chosen[start : start + batch_size]
        embeddings = network.encode(torch.from_numpy(slices[chunk]).to(device))
        for z, embedding in zip(chunk, embeddings, strict=True):
            refined = refine_masks(network.sam, embedding, OBJECTS[objects](masks[z]), rounds=rounds)
            logits[z] = refined.max(axis=0)
    return logits


def refine_masks(sam: Sam, embedding: Tensor, masks: NDArray[np.bool_], *, rounds: int) -> NDArray[np.float32]:
    """Refine several masks of one image, each by itself.

    A mask without any target or any background pixel has no prompts: it is left as it is, or as it has become.

    Args:
        sam: the model; its prompt encoder and mask decoder are used.
        embedding: the image's embedding (C, h, w).
        masks: (N, R, R).
        rounds: how often each mask is refined.

    Returns:
        Mask logits (N, R, R).
    """
    logits = np.where(masks, -EMPTY_LOGIT, EMPTY_LOGIT).astype(np.float32)
    for _ in range(rounds):
        current = logits > 0
        chosen = [index for index, mask in enumerate(current) if mask.any() and not mask.all()]
        if not chosen:
            break
        side, _ = sam.prompt_encoder.mask_input_size
        prompts = [prompts_of_mask(current[index], side=side) for index in chosen]
        answers = _best_masks(sam, embedding, prompts, resolution=masks.shape[-1])
        logits[chosen] = answers.float().cpu().numpy()
    return logits


def _best_masks(sam: Sam, embedding: Tensor, prompts: Sequence[MaskPrompts], *, resolution: int) -> Tensor:
    """Logits (N, R, R): of SAM's three masks the one whose quality it rates highest."""
    points = torch.stack([one.points for one in prompts]).to(embedding.device)
    labels = torch.tensor([1, 0], device=embedding.device).expand(len(prompts), 2)
    sparse, dense = sam.prompt_encoder(
        points=(points, labels),
        boxes=torch.stack([one.box for one in prompts]).to(embedding.device),
        masks=torch.stack([one.mask for one in prompts])[:, None].to(embedding.device),
    )
    masks, qualities = sam.mask_decoder(
        image_embeddings=embedding[None],
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
    )
    best = masks[torch.arange(len(masks)), qualities.argmax(dim=1)]
    size = (resolution, resolution)
    return functional.interpolate(best[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
