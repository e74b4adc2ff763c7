"""Pretrained SAM weights: read from a file, checked, fitted to the resolution, recorded."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from spd_bench.errors import InputError
from spd_bench.models.sam import BACKBONES
from spd_bench.storage import sha256_of_file

KNOWN_SHA256: dict[str, str] = {
    "sam_vit_b_01ec64.pth": "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    "sam_vit_l_0b3195.pth": "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    "sam_vit_h_4b8939.pth": "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
}
"""SHA-256 of SAM's published files, by file name."""

_NAMED_KEYS = 3


@dataclass(frozen=True, kw_only=True)
class WeightsInfo:
    """Where a network's starting weights come from, as a run record states it.

    Attributes:
        name: the file's name, or "random".
        sha256: hex SHA-256 of the file, or None for random weights.
    """

    name: str
    sha256: str | None


def random_weights_info() -> WeightsInfo:
    """The record of a network that starts without pretrained weights."""
    return WeightsInfo(name="random", sha256=None)


def load_sam_weights(sam: Sam, path: Path) -> WeightsInfo:
    """Load a SAM checkpoint into ``sam``, whatever resolution ``sam`` was built for.

    Takes SAM's published files, files with SAM's keys (MedSAM), and training checkpoints that keep the weights
    under "model" or "state_dict", with or without the "module." prefix of distributed training. The tables of
    absolute positions are resized bilinearly and those of relative positions in the global blocks linearly, which
    for the latter equals what SAM itself does on the fly. A model with LoRA has other keys:
    ``SPDNetwork.load_sam`` takes care of them.

    Args:
        sam: the model to fill; left as it was when an error is raised.
        path: the checkpoint. It is read as plain tensors, so a file cannot run code.

    Raises:
        InputError: the file is missing, damaged, not the published one of its name, holds anything but tensors,
            or belongs to another backbone.
    """
    if not path.is_file():
        raise InputError("weights file not found", file=path, remedy="give the path of a SAM checkpoint (.pth)")
    sha256 = sha256_of_file(path)
    if KNOWN_SHA256.get(path.name, sha256) != sha256:
        raise InputError(
            f"SHA-256 {sha256} is not that of the published {path.name}",
            file=path,
            remedy="download the file again, or rename it if it holds other weights",
        )
    weights = _fit_positions(_state_dict(_read(path), path), sam)
    _check_keys(weights, sam, path)
    sam.load_state_dict(weights)
    return WeightsInfo(name=path.name, sha256=sha256)


def _read(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message recommends the unsafe way out, so it is not passed on.
        raise InputError(
            "not a checkpoint of plain tensors (damaged, or it holds Python objects, which could run code)",
            file=path,
            remedy="download it again, or save the model's state_dict alone",
        ) from error
    except Exception as error:  # torch.load lets through whatever its parsers stumble over
        raise InputError(
            "not readable as a torch checkpoint (cut short or of another kind)", file=path, remedy="download it again"
        ) from error


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    for key in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())
    ):
        raise InputError("holds no state dict of tensors", file=path, remedy="save the model's state_dict alone")
    prefix = "module." if all(key.startswith("module.") for key in content) else ""
    return {key.removeprefix(prefix): value for key, value in content.items()}


def _fit_positions(weights: dict[str, Tensor], sam: Sam) -> dict[str, Tensor]:
    """Resize the position tables whose length follows from the resolution; all else is left to the check of keys."""
    encoder = sam.image_encoder
    fitted = dict(weights)
    key = "image_encoder.pos_embed"
    if key in weights and weights[key].ndim == 4:
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


def _check_keys(weights: Mapping[str, Tensor], sam: Sam, path: Path) -> None:
    expected = sam.state_dict()
    faults = {
        "missing": [key for key in expected if key not in weights],
        "unexpected": [key for key in weights if key not in expected],
        "misshapen": [
            f"{key} {tuple(weights[key].shape)} instead of {tuple(value.shape)}"
            for key, value in expected.items()
            if key in weights and weights[key].shape != value.shape
        ],
    }
    if not any(faults.values()):
        return
    told = "; ".join(f"{len(keys)} {fault}: {_first(keys)}" for fault, keys in faults.items() if keys)
    raise InputError(f"the weights do not fit this backbone ({told})", file=path, remedy=_remedy(weights))


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:_NAMED_KEYS]) + (", ..." if len(keys) > _NAMED_KEYS else "")


def _remedy(weights: Mapping[str, Tensor]) -> str:
    positions = weights.get("image_encoder.pos_embed")
    if positions is not None:
        for name, config in BACKBONES.items():
            if positions.shape[-1] == config.embed_dim:
                return f"the file is as wide as backbone {name}: choose that one, or another file"
    return f"choose the backbone that the file was made for ({', '.join(BACKBONES)}), or another file"
