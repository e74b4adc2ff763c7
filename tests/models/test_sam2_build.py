from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from spd_bench.errors import InputError
from spd_bench.models.sam2 import (
    SAM2_BACKBONES,
    Sam2Sizes,
    build_sam2,
    build_sam2_from_sizes,
    normalise_images,
    resolution_of,
)

TINY = Sam2Sizes(
    embed_dim=16, num_heads=1, blocks_per_stage=(1, 1, 2, 1), global_attention_blocks=(3,), hidden_size=128
)

# Millions of parameters as printed in the README of facebookresearch/sam2 for SAM 2.1.
PUBLISHED_MILLIONS = {"hiera_tiny": 38.9, "hiera_small": 46.0, "hiera_base_plus": 80.8, "hiera_large": 224.4}


@pytest.mark.parametrize("name", list(PUBLISHED_MILLIONS))
def test_backbones_have_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        model = build_sam2(name, resolution=512)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e6 == pytest.approx(PUBLISHED_MILLIONS[name], abs=0.1)


def test_hiera_tiny_at_1024_is_transformers_own_default() -> None:
    from transformers import Sam2VideoConfig

    with torch.device("meta"):
        config = build_sam2("hiera_tiny", resolution=1024).config.to_dict()
    expected = Sam2VideoConfig().to_dict()
    assert _set_values(config) == _set_values(expected)


def _set_values(config: Any) -> Any:
    if not isinstance(config, dict):
        return list(config) if isinstance(config, tuple) else config
    unset = ("dtype", "architectures", "_name_or_path", "transformers_version")
    return {key: _set_values(value) for key, value in config.items() if key not in unset}


@pytest.mark.parametrize("resolution", [64, 96, 128])
def test_feature_maps_and_masks_have_the_sizes_of_the_resolution(resolution: int) -> None:
    model = build_sam2_from_sizes(TINY, resolution=resolution)
    assert resolution_of(model) == resolution
    assert not model.training
    with torch.no_grad():
        output = model.get_image_features(torch.rand((1, 3, resolution, resolution)), return_dict=True)
    tokens = [level.shape[0] for level in output.fpn_hidden_states]
    assert tokens == [(resolution // stride) ** 2 for stride in (4, 8, 16)]
    assert model.prompt_encoder.mask_input_size == (resolution // 4, resolution // 4)
    assert model.memory_attention.position_ids.shape == ((resolution // 16) ** 2, 2)


def test_points_and_image_share_one_matrix_of_positions() -> None:
    model = build_sam2_from_sizes(TINY, resolution=64)
    points = model.prompt_encoder.shared_embedding.positional_embedding
    assert torch.equal(model.shared_image_embedding.positional_embedding, points)


def test_random_weights_follow_torch_s_seed() -> None:
    models = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        models.append(build_sam2_from_sizes(TINY, resolution=64).state_dict())
    assert all(torch.equal(value, models[1][key]) for key, value in models[0].items())
    assert not torch.equal(models[0]["mask_decoder.mask_tokens.weight"], models[2]["mask_decoder.mask_tokens.weight"])


@pytest.mark.parametrize("resolution", [0, -64, 16, 48, 100])
def test_resolutions_that_do_not_fit_are_refused(resolution: int) -> None:
    with pytest.raises(ValueError, match=f"got {resolution}"):
        build_sam2_from_sizes(TINY, resolution=resolution)


def test_an_unknown_backbone_is_named() -> None:
    with pytest.raises(InputError, match=r"hiera_huge.*hiera_tiny"):
        build_sam2("hiera_huge", resolution=64)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("embed_dim", 0),
        ("num_heads", 3),
        ("blocks_per_stage", (1, 2, 3)),
        ("window_sizes", (8, 4, 0, 7)),
        ("hidden_size", 64),
        ("hidden_size", 200),
        ("global_attention_blocks", (5,)),
        ("global_attention_blocks", (2,)),  # it begins the third stage, where tokens are pooled by windows
        ("background_size", 0),
    ],
)
def test_sizes_that_make_no_network_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(TINY, **{field: value})


def test_images_are_normalised_as_torchvision_would() -> None:
    from torchvision.transforms.v2.functional import normalize

    images = torch.rand((2, 3, 4, 4))
    expected = normalize(images, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    torch.testing.assert_close(normalise_images(images * 2 - 1), expected, rtol=0, atol=1e-5)


def test_the_published_sizes_stand_in_the_registry() -> None:
    assert list(SAM2_BACKBONES) == list(PUBLISHED_MILLIONS)
