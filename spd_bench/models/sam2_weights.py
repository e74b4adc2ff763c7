"""Weights of SAM 2.1 and MedSAM2: read from a file or a folder, checked, translated, recorded.

SAM 2.1: https://github.com/facebookresearch/sam2, weights Apache-2.0. MedSAM2:
https://github.com/bowang-lab/MedSAM2, weights CC-BY-SA-4.0, the same keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from spd_bench.models.sam2 import SAM2_BACKBONES
from spd_bench.models.sam2_keys import IMAGE_POSITIONS, PROMPT_POSITIONS, is_official, translate_weights
from spd_bench.models.weight_families import check_published
from spd_bench.models.weight_files import read_state_dict
from spd_bench.models.weight_keys import check_keys
from spd_bench.models.weights import WeightsInfo

if TYPE_CHECKING:
    from transformers import Sam2VideoModel


def load_sam2_weights(model: Sam2VideoModel, path: Path) -> WeightsInfo:
    """Load SAM 2.1 or MedSAM2 weights into ``model``, whatever resolution it was built for.

    No table depends on the resolution: the encoder interpolates its 7 x 7 (14 x 14) background of positions on
    the fly, window positions are repeated, and the memory attention's rotary positions are computed.

    Args:
        model: from ``build_sam2``; left as it was when an error is raised.
        path: a file of facebookresearch/sam2 or MedSAM2 (``{"model": ...}``), a state dict with transformers' keys,
            or a local Hugging Face folder (``config.json`` and ``model.safetensors``, as in
            ``facebook/sam2.1-hiera-tiny``). Files are read as plain tensors, so they cannot run code, and nothing
            is fetched.

    Returns:
        The name of the file or folder, and the SHA-256 of the file that was read.

    Raises:
        InputError: nothing is there, the file is damaged, not the published one of its name, holds anything but
            tensors, or belongs to another backbone.
    """
    weights = read_state_dict(path)
    sha256 = check_published(path)
    weights = translate_weights(weights) if is_official(weights) else _share_positions(weights)
    check_keys(weights, model.state_dict(), network="this SAM 2.1", path=path, remedy=_remedy)
    model.load_state_dict(weights)
    return WeightsInfo(name=path.absolute().name, sha256=sha256)


def _share_positions(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Files may keep the matrix of positions once only, because it is one tensor."""
    shared = weights.get(PROMPT_POSITIONS, weights.get(IMAGE_POSITIONS))
    return weights if shared is None else {PROMPT_POSITIONS: shared, IMAGE_POSITIONS: shared, **weights}


def _remedy(weights: Mapping[str, Tensor]) -> str:
    positions = weights.get("vision_encoder.backbone.pos_embed")
    blocks = {key.split(".")[3] for key in weights if key.startswith("vision_encoder.backbone.blocks.")}
    if positions is None or positions.ndim != 4:
        return "give the file of a SAM 2.1, not of another network"
    if "occlusion_spatial_embedding_parameter" not in weights:
        return "the file may be of SAM 2.0: give the one of SAM 2.1"
    for name, sizes in SAM2_BACKBONES.items():
        if positions.shape[1] == sizes.embed_dim and len(blocks) == sum(sizes.blocks_per_stage):
            return f"the file is of the size of {name}: choose that backbone, or another file"
    return f"choose the backbone that the file was made for ({', '.join(SAM2_BACKBONES)}), or another file"
