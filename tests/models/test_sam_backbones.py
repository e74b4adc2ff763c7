from __future__ import annotations

from collections.abc import Callable

import pytest
import segment_anything
import torch
from segment_anything.build_sam import _build_sam
from segment_anything.modeling import Sam

from spd_bench.errors import InputError
from spd_bench.models.sam import BACKBONES, SamConfig, build_sam, build_sam_from_config

OFFICIAL: dict[str, Callable[[], Sam]] = {
    name: segment_anything.sam_model_registry[name] for name in ("vit_b", "vit_l", "vit_h")
}


def _shapes(sam: Sam) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in sam.state_dict().items()}


@pytest.mark.parametrize("backbone", OFFICIAL)
def test_published_backbones_have_the_official_keys_shapes_and_windows(backbone: str) -> None:
    with torch.device("meta"):
        ours, official = build_sam(backbone, resolution=1024), OFFICIAL[backbone]()
    assert list(_shapes(ours).items()) == list(_shapes(official).items())
    windows = [block.window_size for block in official.image_encoder.blocks]
    assert [block.window_size for block in ours.image_encoder.blocks] == windows
    heads = official.image_encoder.blocks[0].attn.num_heads
    assert ours.image_encoder.blocks[0].attn.num_heads == heads


def test_vit_b_has_93_74_million_parameters_in_314_keys() -> None:
    with torch.device("meta"):
        sam = build_sam("vit_b", resolution=1024)
    assert round(sum(p.numel() for p in sam.parameters()) / 1e6, 2) == 93.74
    assert round(sum(p.numel() for p in sam.image_encoder.parameters()) / 1e6, 2) == 89.67
    assert len(sam.state_dict()) == 314


def test_half_the_resolution_changes_the_position_tables_of_global_blocks_only() -> None:
    with torch.device("meta"):
        full, half = _shapes(build_sam("vit_b", resolution=1024)), _shapes(build_sam("vit_b", resolution=512))
    changed = {name: tuple(half[name]) for name in full if half[name] != full[name]}
    relative = {f"image_encoder.blocks.{block}.attn.rel_pos_{axis}" for block in (2, 5, 8, 11) for axis in "hw"}
    assert changed == {"image_encoder.pos_embed": (1, 32, 32, 768)} | dict.fromkeys(relative, (63, 64))


def test_same_weights_give_the_official_model_s_masks() -> None:
    torch.manual_seed(0)
    official = _build_sam(encoder_embed_dim=32, encoder_depth=2, encoder_num_heads=2, encoder_global_attn_indexes=[])
    config = SamConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=())
    ours = build_sam_from_config(config, resolution=1024)
    for parameter in official.parameters():  # SAM starts its position tables at zero
        torch.nn.init.normal_(parameter, std=0.05)
    ours.load_state_dict(official.state_dict())
    image = torch.rand((3, 1024, 1024)) * 255
    points = {"point_coords": torch.tensor([[[300, 500]]]), "point_labels": torch.tensor([[1]])}
    record = {"image": image, "original_size": (1024, 1024), **points}
    expected, result = (sam([record], multimask_output=False)[0]["low_res_logits"] for sam in (official, ours))
    assert expected.std() > 1e-3
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_vit_t_is_small_and_takes_any_multiple_of_its_patch_size() -> None:
    sam = build_sam("vit_t", resolution=72)
    assert 1.6e6 < sum(p.numel() for p in sam.parameters()) < 2.0e6
    assert sam.image_encoder(torch.zeros((2, 3, 72, 72))).shape == (2, 128, 9, 9)
    assert sam.prompt_encoder.image_embedding_size == (9, 9)
    assert sam.prompt_encoder.input_image_size == (72, 72)
    assert not sam.training


@pytest.mark.parametrize(("backbone", "resolution"), [("vit_b", 500), ("vit_t", 100), ("vit_b", 0), ("vit_t", -8)])
def test_resolutions_that_patches_do_not_fill_are_refused(backbone: str, resolution: int) -> None:
    with pytest.raises(ValueError, match=rf"multiple of the patch size .*got {resolution}"):
        build_sam(backbone, resolution=resolution)


def test_unknown_backbones_are_refused_with_the_known_names() -> None:
    with pytest.raises(InputError, match="'vit_x': choose one of vit_b, vit_l, vit_h, vit_t"):
        build_sam("vit_x", resolution=512)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"embed_dim": 30}, "embed_dim"),
        ({"depth": 0}, "depth"),
        ({"prompt_embed_dim": 40}, "prompt_embed_dim"),
        ({"global_attn_indexes": (0, 4)}, "global_attn_indexes"),
    ],
)
def test_impossible_sizes_are_refused(change: dict[str, object], named: str) -> None:
    sizes: dict[str, object] = {"embed_dim": 32, "depth": 4, "num_heads": 4, "global_attn_indexes": (1,)}
    with pytest.raises(ValueError, match=named):
        SamConfig(**(sizes | change))  # type: ignore[arg-type]


def test_the_registry_holds_the_four_backbones() -> None:
    assert list(BACKBONES) == ["vit_b", "vit_l", "vit_h", "vit_t", "sam_small"]
