"""The weights that come with the package."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from spd_bench.models.builtin_weights import builtin_weights, is_builtin, weights_name
from spd_bench.models.sam import SMALL_BACKBONE, build_sam
from spd_bench.models.weights import load_sam_weights


def test_they_fill_the_small_backbone_and_are_called_builtin() -> None:
    sam = build_sam(SMALL_BACKBONE, resolution=64)
    info = load_sam_weights(sam, builtin_weights())
    assert info.name == "builtin"
    assert len(info.sha256 or "") == 64


def test_they_are_small_finite_and_in_half_precision() -> None:
    tensors = load_file(builtin_weights())
    assert builtin_weights().stat().st_size <= 8_000_000
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_a_point_on_a_bright_disc_selects_the_disc() -> None:
    side = 128
    sam = build_sam(SMALL_BACKBONE, resolution=side)
    load_sam_weights(sam, builtin_weights())
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    discs = [(x - 40) ** 2 + (y - 44) ** 2 < 14**2, (x - 92) ** 2 + (y - 88) ** 2 < 14**2]
    image = -0.6 + 1.2 * (discs[0] | discs[1]).float()
    with torch.no_grad():
        embedding = sam.image_encoder(image.expand(1, 3, -1, -1))
        for disc, point in zip(discs, ((40.0, 44.0), (92.0, 88.0)), strict=True):
            sparse, dense = sam.prompt_encoder(
                points=(torch.tensor([[point]]), torch.ones(1, 1)), boxes=None, masks=None
            )
            logits, _ = sam.mask_decoder(
                image_embeddings=embedding,
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            mask = torch.nn.functional.interpolate(logits, (side, side), mode="bilinear")[0, 0] > 0
            assert (mask & disc).sum() / (mask | disc).sum() > 0.7


def test_other_files_keep_their_names(tmp_path: Path) -> None:
    copy = tmp_path / "sam_small.safetensors"
    copy.write_bytes(builtin_weights().read_bytes())
    assert not is_builtin(copy)
    assert not is_builtin(None)
    assert weights_name(copy) == "sam_small.safetensors"
    assert weights_name(builtin_weights()) == "builtin"
