from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from spd_bench.models.sam2 import SAM2_BACKBONES, Sam2Sizes, build_sam2_from_sizes
from spd_bench.models.sam2_keys import MODULES, POINT_EMBEDDINGS, is_official, translate_key, translate_weights
from spd_bench.models.sam2_video import propagate
from spd_bench.models.sam2_weights import load_sam2_weights

TINY = Sam2Sizes(
    embed_dim=16, num_heads=1, blocks_per_stage=(1, 1, 2, 1), global_attention_blocks=(3,), hidden_size=128
)
OBJECT_BIAS = "sam_mask_decoder.pred_obj_score_head.layers.2.bias"


# Some logits of a column, from SAM2VideoPredictor of facebookresearch/sam2@2b90b9f with the weights, slices and
# points below: slices 1 to 5 going forward, 0 to 4 going backward, cut off at -20.
FORWARD = [
    [2.158, 14.310, 40.566],
    [-20.0, 15.365, 10.120],
    [-20.0, -11.600, -7.894],
    [46.013, 26.022, 45.392],
    [13.706, -20.0, -12.367],
]
BACKWARD = [
    [11.633, -0.418, 21.998],
    [2.158, 14.310, 40.566],
    [-20.0, 16.472, 11.386],
    [-20.0, -12.023, -7.981],
    [46.013, 26.022, 45.392],
]


def official_keys(sizes: Sam2Sizes) -> list[str]:
    """The names in a file of facebookresearch/sam2 (commit 2b90b9f), written out from its modules."""
    return [
        *("maskmem_tpos_enc", "no_mem_embed", "no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial"),
        *_trunk_keys(sizes),
        *_layers("image_encoder.neck.convs", "0.conv 1.conv 2.conv 3.conv"),
        *_layers("mask_downsample"),
        *_memory_keys(),
        *_prompt_keys(),
        *_decoder_keys(),
        *_layers("obj_ptr_proj", "layers.0 layers.1 layers.2"),
        *_layers("obj_ptr_tpos_proj"),
    ]


def _layers(module: str, names: str = "") -> Iterator[str]:
    for name in names.split() or [""]:
        for kind in ("weight", "bias"):
            yield ".".join(filter(None, (module, name, kind)))


def _attention(module: str) -> Iterator[str]:
    yield from _layers(module, "q_proj k_proj v_proj out_proj")


def _trunk_keys(sizes: Sam2Sizes) -> Iterator[str]:
    yield "image_encoder.trunk.pos_embed"
    yield "image_encoder.trunk.pos_embed_window"
    yield from _layers("image_encoder.trunk.patch_embed.proj")
    for block in range(sum(sizes.blocks_per_stage)):
        module = f"image_encoder.trunk.blocks.{block}"
        yield from _layers(module, "norm1 attn.qkv attn.proj norm2 mlp.layers.0 mlp.layers.1")
        if block in np.cumsum(sizes.blocks_per_stage)[:-1]:
            yield from _layers(module, "proj")


def _memory_keys() -> Iterator[str]:
    for layer in range(4):
        module = f"memory_attention.layers.{layer}"
        yield from _attention(f"{module}.self_attn")
        yield from _attention(f"{module}.cross_attn_image")
        yield from _layers(module, "linear1 linear2 norm1 norm2 norm3")
    yield from _layers("memory_attention.norm")
    yield from _layers("memory_encoder.mask_downsampler.encoder", "0 1 3 4 6 7 9 10 12")
    yield from _layers("memory_encoder", "pix_feat_proj out_proj")
    for layer in range(2):
        yield f"memory_encoder.fuser.layers.{layer}.gamma"
        yield from _layers(f"memory_encoder.fuser.layers.{layer}", "dwconv norm pwconv1 pwconv2")


def _prompt_keys() -> Iterator[str]:
    yield "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    yield from (f"sam_prompt_encoder.point_embeddings.{label}.weight" for label in range(4))
    yield "sam_prompt_encoder.not_a_point_embed.weight"
    yield "sam_prompt_encoder.no_mask_embed.weight"
    yield from _layers("sam_prompt_encoder.mask_downscaling", "0 1 3 4 6")


def _decoder_keys() -> Iterator[str]:
    module = "sam_mask_decoder"
    for layer in range(2):
        for attention in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token"):
            yield from _attention(f"{module}.transformer.layers.{layer}.{attention}")
        yield from _layers(f"{module}.transformer.layers.{layer}", "norm1 norm2 norm3 norm4 mlp.layers.0 mlp.layers.1")
    yield from _attention(f"{module}.transformer.final_attn_token_to_image")
    yield from _layers(f"{module}.transformer.norm_final_attn")
    yield from (f"{module}.{token}.weight" for token in ("iou_token", "mask_tokens", "obj_score_token"))
    yield from _layers(module, "output_upscaling.0 output_upscaling.1 output_upscaling.3 conv_s0 conv_s1")
    heads = [f"output_hypernetworks_mlps.{mask}" for mask in range(4)]
    for head in [*heads, "iou_prediction_head", "pred_obj_score_head"]:
        yield from _layers(f"{module}.{head}", "layers.0 layers.1 layers.2")


def official_weights() -> dict[str, Tensor]:
    """A file of facebookresearch/sam2 for TINY; its values follow from the names."""
    shapes = {key: value.shape for key, value in build_sam2_from_sizes(TINY, resolution=64).state_dict().items()}
    weights = {}
    for key in official_keys(TINY):
        translated = translate_key(key)
        shape = torch.Size((1, TINY.hidden_size)) if translated is None else shapes[translated]
        # The stream of RandomState is the same in every release of numpy. Weights this large make attention sharp.
        values = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
        spread = 1.5 / np.sqrt(shape[1:].numel()) if len(shape) > 1 and min(shape[:2]) > 1 else 0.3
        is_scale = key.endswith(".weight") and len(shape) == 1
        weights[key] = torch.from_numpy(spread * values + is_scale).float()
    weights[OBJECT_BIAS].fill_(5.0)
    return weights


def volume() -> tuple[NDArray[np.float32], list[NDArray[np.int64]]]:
    """Six slices of a moving grating, with points on two of them."""
    z, c, y, x = np.meshgrid(np.arange(6), np.arange(3), np.arange(64), np.arange(64), indexing="ij")
    slices = np.sin(0.3 * x + 0.1 * (c + 1) * y + 0.7 * z).astype(np.float32)
    points = [np.zeros((0, 2), np.int64) for _ in slices]
    points[1], points[4] = np.array([[20, 30]]), np.array([[40, 12], [50, 9]])
    return slices, points


def test_every_official_key_of_the_published_tiny_model_is_enumerated() -> None:
    keys = official_keys(SAM2_BACKBONES["hiera_tiny"])
    assert len(keys) == len(set(keys)) == 471


def test_each_weight_of_the_model_has_exactly_one_official_key() -> None:
    expected = dict.fromkeys(build_sam2_from_sizes(TINY, resolution=64).state_dict(), 1)
    renamed = [translate_key(key) for key in official_keys(TINY) if key not in POINT_EMBEDDINGS]
    once = [*renamed, "prompt_encoder.point_embed.weight", "shared_image_embedding.positional_embedding"]
    assert {key: once.count(key) for key in once} == expected


def test_every_row_of_the_table_is_used_and_none_is_reached_twice() -> None:
    keys = official_keys(SAM2_BACKBONES["hiera_tiny"])
    translated = {key: translate_key(key) for key in keys if key not in POINT_EMBEDDINGS}
    assert len(set(translated.values())) == len(translated)
    assert len(set(MODULES.values())) == len(MODULES)
    modules = {key.removesuffix(".weight").removesuffix(".bias") for key in keys}
    for official in MODULES:
        parts = official.split(".")
        assert any(
            len(parts) == len(module.split("."))
            and all(ours in ("*", theirs) for ours, theirs in zip(parts, module.split("."), strict=True))
            for module in modules
        ), official


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
        ("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
        ("image_encoder.trunk.blocks.11.norm2.bias", "vision_encoder.backbone.blocks.11.layer_norm2.bias"),
        ("image_encoder.trunk.blocks.3.mlp.layers.1.weight", "vision_encoder.backbone.blocks.3.mlp.proj_out.weight"),
        ("image_encoder.trunk.blocks.1.proj.weight", "vision_encoder.backbone.blocks.1.proj.weight"),
        ("image_encoder.neck.convs.2.conv.bias", "vision_encoder.neck.convs.2.bias"),
        ("memory_attention.norm.weight", "memory_attention.layer_norm.weight"),
        (
            "memory_attention.layers.3.cross_attn_image.out_proj.weight",
            "memory_attention.layers.3.cross_attn_image.o_proj.weight",
        ),
        (
            "memory_encoder.mask_downsampler.encoder.10.weight",
            "memory_encoder.mask_downsampler.layers.3.layer_norm.weight",
        ),
        ("memory_encoder.fuser.layers.1.gamma", "memory_encoder.memory_fuser.layers.1.scale"),
        (
            "sam_mask_decoder.output_hypernetworks_mlps.2.layers.1.bias",
            "mask_decoder.output_hypernetworks_mlps.2.layers.0.bias",
        ),
        (
            "sam_mask_decoder.transformer.layers.1.norm4.weight",
            "mask_decoder.transformer.layers.1.layer_norm4.weight",
        ),
        ("obj_ptr_proj.layers.2.weight", "object_pointer_proj.proj_out.weight"),
    ],
)
def test_keys_are_translated(official: str, ours: str) -> None:
    assert translate_key(official) == ours


def test_unknown_keys_have_no_translation_and_keep_their_name() -> None:
    assert translate_key("image_encoder.trunk.blocks.x.norm1.weight") is None
    assert translate_key("image_encoder.trunk.blocks.0.norm1.weight.more") is None
    value = torch.ones(1)
    assert translate_weights({"image_encoder.other": value}) == {"image_encoder.other": value}


def test_the_rows_of_point_embeddings_become_one_table() -> None:
    rows = {key: torch.full((1, 2), float(label)) for label, key in enumerate(POINT_EMBEDDINGS)}
    table = translate_weights(rows)["prompt_encoder.point_embed.weight"]
    assert table.tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]


def test_official_keys_are_told_from_transformers_own() -> None:
    model = build_sam2_from_sizes(TINY, resolution=64)
    assert is_official(official_keys(TINY))
    assert not is_official(model.state_dict())


def test_a_translated_file_answers_as_the_original_did(tmp_path: Path) -> None:
    torch.save({"model": official_weights()}, tmp_path / "official.pt")
    model = build_sam2_from_sizes(TINY, resolution=64)
    load_sam2_weights(model, tmp_path / "official.pt")
    slices, points = volume()
    cpu = torch.device("cpu")
    forward = propagate(model, slices, points, device=cpu, direction="forward")
    backward = propagate(model, slices, points, device=cpu, direction="backward")
    np.testing.assert_allclose(forward[1:, 5::27, 8], FORWARD, rtol=0, atol=0.02)
    np.testing.assert_allclose(backward[:5, 5::27, 8], BACKWARD, rtol=0, atol=0.02)
