"""Pretrained SAM weights: read, fitted to the resolution, checked, recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from spd_bench.errors import InputError
from spd_bench.models.builtin_weights import RANDOM, weights_name
from spd_bench.models.hugging_face import is_sam_model, to_segment_anything
from spd_bench.models.sam import BACKBONES, SMALL_BACKBONE, VIT_CONFIGS
from spd_bench.models.weight_families import check_published
from spd_bench.models.weight_files import read_state_dict
from spd_bench.models.weight_keys import check_keys

_OTHER_ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "SAM2": ("image_encoder.trunk.", "vision_encoder.backbone.", "memory_attention."),
    "MobileSAM": ("image_encoder.layers.",),
}
"""How names of tensors begin that only SAM's relatives have."""


@dataclass(frozen=True, kw_only=True)
class WeightsInfo:
    """Where a network's starting weights come from, as a run record states it.

    Attributes:
        name: the file's or folder's name, "builtin" for the package's own, or "random".
        sha256: hex SHA-256 of the weights (see ``weight_files.weights_sha256``), or None for random ones.
    """

    name: str
    sha256: str | None


def random_weights_info() -> WeightsInfo:
    """The record of a network that starts without pretrained weights."""
    return WeightsInfo(name=RANDOM, sha256=None)


def load_sam_weights(sam: Sam, path: Path) -> WeightsInfo:
    """Load a SAM checkpoint into ``sam``, whatever resolution ``sam`` was built for.

    Takes SAM's published files, files with SAM's keys (MedSAM), training checkpoints that keep the weights under
    "model" or "state_dict", with or without the "module." prefix of distributed training, and local Hugging Face
    folders of ``SamModel`` (see ``weight_files.read_state_dict``). The tables of absolute positions are resized
    bilinearly and those of relative positions in the global blocks linearly, which for the latter equals what SAM
    itself does on the fly. A model with LoRA or adapters has other keys: ``SamNetwork.load_sam`` takes care of them.

    Args:
        sam: the model to fill; left as it was when an error is raised.
        path: the checkpoint, or the folder of one. It is read as plain tensors, so a file cannot run code.

    Raises:
        InputError: the file is missing, damaged, not the published one of its name, holds anything but tensors,
            or belongs to another backbone or architecture.
    """
    weights = read_state_dict(path)
    sha256 = check_published(path)
    _refuse_other_architectures(weights, path)
    if is_sam_model(weights):
        weights = to_segment_anything(weights)
    weights = _fit_positions(weights, sam)
    check_keys(weights, sam.state_dict(), network="this backbone", path=path, remedy=_remedy)
    sam.load_state_dict(weights)
    return WeightsInfo(name=weights_name(path), sha256=sha256)


def _refuse_other_architectures(names: Collection[str], path: Path) -> None:
    for architecture, beginnings in _OTHER_ARCHITECTURES.items():
        if any(name.startswith(beginnings) for name in names):
            raise InputError(
                f"these are weights of {architecture}, not of SAM",
                file=path,
                remedy="give them to a method of that name, or give weights of SAM (sam_vit_b_01ec64.pth)",
            )


def _fit_positions(weights: dict[str, Tensor], sam: Sam) -> dict[str, Tensor]:
    """Resize the position tables whose length follows from the resolution; all else is left to the check of keys."""
    encoder = sam.image_encoder
    fitted = dict(weights)
    key = "image_encoder.pos_embed"
    if key in weights and weights[key].ndim == 4 and hasattr(encoder, "pos_embed"):
        fitted[key] = _resize_absolute(weights[key], size=tuple(encoder.pos_embed.shape[1:3]))
    for number, block in enumerate(encoder.blocks):
        if block.window_size:
            continue  # a window is as large at any resolution
        for name in ("rel_pos_h", "rel_pos_w"):
            key = f"image_encoder.blocks.{number}.attn.{name}"
            if key in weights and weights[key].ndim == 2:
                fitted[key] = _resize_relative(weights[key], length=len(getattr(block.attn, name)))
    return fitted


def _resize_absolute(table: Tensor, *, size: tuple[int, ...]) -> Tensor:
    """(1, h, w, C) -> (1, *size, C)."""
    if tuple(table.shape[1:3]) == size:
        return table
    resized = functional.interpolate(table.float().permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=False)
    return resized.permute(0, 2, 3, 1)


def _resize_relative(table: Tensor, *, length: int) -> Tensor:
    """(L, C) -> (length, C)."""
    if len(table) == length:
        return table
    resized = functional.interpolate(table.float().T[None], size=length, mode="linear", align_corners=False)
    return resized[0].T


def _remedy(weights: Mapping[str, Tensor]) -> str:
    positions = weights.get("image_encoder.pos_embed")
    if positions is not None:
        for name, config in VIT_CONFIGS.items():
            if positions.shape[-1] == config.embed_dim:
                return f"the file is as wide as backbone {name}: choose that one, or another file"
    if any(name.startswith("image_encoder.stage1.") for name in weights):
        return f"the file is of backbone {SMALL_BACKBONE}: choose that one, or another file"
    return f"choose the backbone that the file was made for ({', '.join(BACKBONES)}), or another file"
