"""Our SAM against transformers' ``SamModel`` with the same random weights: names, folders and masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from segment_anything import build_sam_vit_b
from segment_anything.modeling import Sam
from torch import Tensor, nn
from transformers import SamConfig as TransformersSamConfig
from transformers import SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from spd_bench.errors import InputError
from spd_bench.models.decoding import decode_points
from spd_bench.models.hugging_face import segment_anything_name, to_segment_anything
from spd_bench.models.sam import SamConfig, build_sam, build_sam_from_config
from spd_bench.models.weights import load_sam_weights
from spd_bench.storage import sha256_of_file, sha256_of_files

TINY = SamConfig(
    embed_dim=32, depth=3, num_heads=2, global_attn_indexes=(1,), window_size=3, patch_size=8, prompt_embed_dim=32,
    decoder_mlp_dim=48,
)  # fmt: skip
POINTS = [np.array([[20, 33]]), np.array([[5, 60], [40, 12], [31, 31]])]


def _random(model: nn.Module) -> Any:
    """Weights that tell positions and points apart: both packages start most position tables at zero.

    Larger ones make the attention so steep that rounding errors alone move the masks by more than the tolerance.
    """
    torch.manual_seed(0)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            module.weight.data *= 2
    for name, parameter in model.named_parameters():
        if "pos" in name:
            nn.init.normal_(parameter, std=1.0 if name.endswith("positional_embedding") else 0.2)
    return model.eval()


def _tiny_sam_model(resolution: int = 64) -> SamModel:
    config = TransformersSamConfig(
        vision_config=SamVisionConfig(
            hidden_size=32, num_hidden_layers=3, num_attention_heads=2, global_attn_indexes=[1], window_size=3,
            patch_size=8, output_channels=32, num_pos_feats=16, image_size=resolution,
        ),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=32, image_size=resolution, patch_size=8),
        mask_decoder_config=SamMaskDecoderConfig(hidden_size=32, mlp_dim=48, iou_head_hidden_dim=32),
    )  # fmt: skip
    return _random(SamModel(config))


def _tiny_sam(resolution: int = 64) -> Sam:
    return build_sam_from_config(TINY, resolution=resolution)


def _vit_b_sam_model(resolution: int) -> SamModel:
    config = TransformersSamConfig(
        vision_config=SamVisionConfig(image_size=resolution),
        prompt_encoder_config=SamPromptEncoderConfig(image_size=resolution),
    )
    return _random(SamModel(config))


@torch.no_grad()
def _their_masks(model: SamModel, image: Tensor, points: NDArray[np.int64]) -> Tensor:
    coordinates = torch.from_numpy(points).float()[None, None]
    labels = torch.ones(coordinates.shape[:3], dtype=torch.long)
    answer = model(
        pixel_values=image[None], input_points=coordinates, input_labels=labels, multimask_output=False
    )  # fmt: skip
    return answer.pred_masks[0, 0, 0]


@torch.no_grad()
def _our_masks(sam: Sam, image: Tensor, points: NDArray[np.int64]) -> Tensor:
    """Logits of the decoder's own size, a quarter of the image's with patches of 16 pixels, half with 8."""
    embeddings = sam.image_encoder(image[None])
    return decode_points(sam, embeddings, [points], resolution=4 * embeddings.shape[-1])[0]


def _image(resolution: int) -> Tensor:
    return torch.rand((3, resolution, resolution), generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("points", POINTS)
def test_masks_equal_those_of_the_folder_s_own_model(tmp_path: Path, points: NDArray[np.int64]) -> None:
    model, sam = _tiny_sam_model(), _tiny_sam()
    model.save_pretrained(tmp_path)
    load_sam_weights(sam, tmp_path)
    expected = _their_masks(model, _image(64), points)
    assert expected.std() > 0.05
    torch.testing.assert_close(_our_masks(sam, _image(64), points), expected, rtol=0, atol=1e-4)


def test_weights_of_ours_fill_their_model_and_give_the_same_masks() -> None:
    sam, model = _random(_tiny_sam()), _tiny_sam_model()
    own = sam.state_dict()
    model.load_state_dict({name: own[segment_anything_name(name)] for name in model.state_dict()})
    expected = _their_masks(model, _image(64), POINTS[1])
    torch.testing.assert_close(_our_masks(sam, _image(64), POINTS[1]), expected, rtol=0, atol=1e-4)


def test_every_tensor_of_vit_b_has_one_partner_of_the_same_shape() -> None:
    with torch.device("meta"):
        theirs, ours = SamModel(TransformersSamConfig()).state_dict(), build_sam("vit_b", resolution=1024).state_dict()
    tied = "prompt_encoder.shared_embedding.positional_embedding"
    renamed = {segment_anything_name(name): value.shape for name, value in theirs.items() if name != tied}
    assert len(renamed) == len(theirs) - 1
    assert renamed == {name: value.shape for name, value in ours.items()}
    assert segment_anything_name(tied) == segment_anything_name("shared_image_embedding.positional_embedding")


def test_names_of_no_tensor_of_sam_are_kept() -> None:
    for name in ("mask_decoder.obj_score_token.weight", "vision_encoder.pos_embed.more", "classifier"):
        assert segment_anything_name(name) == name


@pytest.mark.parametrize("other_first", [True, False])
def test_of_two_positional_matrices_the_image_s_counts(other_first: bool) -> None:
    weights = {
        "prompt_encoder.shared_embedding.positional_embedding": torch.zeros((2, 4)),
        "shared_image_embedding.positional_embedding": torch.ones((2, 4)),
    }
    ordered = weights if other_first else dict(reversed(weights.items()))
    renamed = to_segment_anything(ordered)
    assert renamed["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].all()
    assert len(renamed) == 1


def test_a_folder_is_recorded_by_its_name_and_its_weights_hash(tmp_path: Path) -> None:
    folder = tmp_path / "sam-vit-tiny"
    _tiny_sam_model().save_pretrained(folder)
    info = load_sam_weights(_tiny_sam(), folder)
    assert info.name == "sam-vit-tiny"
    assert info.sha256 == sha256_of_file(folder / "model.safetensors")


def test_shards_are_read_together(tmp_path: Path) -> None:
    model = _tiny_sam_model()
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 1
    sam = _tiny_sam()
    info = load_sam_weights(sam, tmp_path)
    assert info.sha256 == sha256_of_files(shards)
    _assert_same_weights(sam, model)


def test_torch_s_own_files_in_a_folder_and_files_given_directly_are_read(tmp_path: Path) -> None:
    model = _tiny_sam_model()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    own = _random(_tiny_sam()).state_dict()
    save_file(own, tmp_path / "own.safetensors")
    model.save_pretrained(tmp_path / "folder")
    for path in (tmp_path, tmp_path / "pytorch_model.bin", tmp_path / "folder" / "model.safetensors"):
        sam = _tiny_sam()
        load_sam_weights(sam, path)
        _assert_same_weights(sam, model)
    sam = _tiny_sam()
    assert load_sam_weights(sam, tmp_path / "own.safetensors").name == "own.safetensors"
    torch.testing.assert_close(sam.state_dict(), own, rtol=0, atol=0)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    model = _tiny_sam_model().half()
    model.save_pretrained(tmp_path)
    sam = _tiny_sam()
    load_sam_weights(sam, tmp_path)
    assert {value.dtype for value in sam.state_dict().values()} == {torch.float32}
    _assert_same_weights(sam, model.float())


def test_positions_of_a_folder_are_resized(tmp_path: Path) -> None:
    _tiny_sam_model(128).save_pretrained(tmp_path)
    sam = _tiny_sam(64)
    load_sam_weights(sam, tmp_path)
    table = load_file(tmp_path / "model.safetensors")["vision_encoder.pos_embed"]
    means = table.reshape(1, 8, 2, 8, 2, 32).mean(dim=(2, 4))  # halving bilinearly is the mean of 2 x 2
    torch.testing.assert_close(sam.image_encoder.pos_embed.data, means)


def test_a_folder_of_another_size_is_refused_with_the_likely_backbone(tmp_path: Path) -> None:
    sam = _tiny_sam()
    weights = {"vision_encoder.layers.0.layer_norm1.weight": torch.ones(768), "vision_encoder.pos_embed": torch.ones(
        (1, 64, 64, 768))}  # fmt: skip
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "sam"}))
    with pytest.raises(InputError, match=r"do not fit this backbone .*backbone vit_b"):
        load_sam_weights(sam, tmp_path)


def test_vit_b_gives_the_masks_of_transformers_at_512(tmp_path: Path) -> None:
    _compare_vit_b(tmp_path, 512)


@pytest.mark.slow
def test_vit_b_gives_the_masks_of_transformers_and_segment_anything_at_1024(tmp_path: Path) -> None:
    sam, masks = _compare_vit_b(tmp_path, 1024)
    official = build_sam_vit_b()
    official.load_state_dict(sam.state_dict())
    torch.testing.assert_close(masks, _official_masks(official, _image(1024), POINTS[1] * 16), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_vit_b_of_1024_at_512_gives_the_masks_of_segment_anything_with_resized_positions(tmp_path: Path) -> None:
    official, sam = _random(build_sam_vit_b()), _empty_vit_b(512)
    torch.save(official.state_dict(), tmp_path / "own.pth")
    load_sam_weights(sam, tmp_path / "own.pth")
    # segment_anything interpolates relative positions itself when it runs; these three it cannot.
    encoder, prompts = official.image_encoder, official.prompt_encoder
    table = encoder.pos_embed.data.reshape(1, 32, 2, 32, 2, 768)
    encoder.pos_embed = nn.Parameter(table.mean(dim=(2, 4)))  # halving bilinearly is the mean of 2 x 2
    prompts.image_embedding_size, prompts.input_image_size = (32, 32), (512, 512)
    expected = _official_masks(official, _image(512), POINTS[1] * 8)
    torch.testing.assert_close(_our_masks(sam, _image(512), POINTS[1] * 8), expected, rtol=0, atol=1e-4)


def _compare_vit_b(folder: Path, resolution: int) -> tuple[Sam, Tensor]:
    points = POINTS[1] * (resolution // 64)
    model, sam = _vit_b_sam_model(resolution), _empty_vit_b(resolution)
    model.save_pretrained(folder)
    load_sam_weights(sam, folder)
    expected = _their_masks(model, _image(resolution), points)
    result = _our_masks(sam, _image(resolution), points)
    assert expected.std() > 0.5
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)
    return sam, result


def _empty_vit_b(resolution: int) -> Sam:
    with torch.device("meta"):  # spares drawing 94 million numbers that the weights replace
        sam = build_sam("vit_b", resolution=resolution)
    return sam.to_empty(device="cpu")


@torch.no_grad()
def _official_masks(sam: Sam, image: Tensor, points: NDArray[np.int64]) -> Tensor:
    coordinates = torch.from_numpy(points)[None]
    sparse, dense = sam.prompt_encoder(points=(coordinates, torch.ones(coordinates.shape[:2])), boxes=None, masks=None)
    masks, _ = sam.mask_decoder(
        image_embeddings=sam.image_encoder(image[None]),
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    return masks[0, 0]


def _assert_same_weights(sam: Sam, model: SamModel) -> None:
    own = sam.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(own[segment_anything_name(name)], value), name
