"""SAM 2 against facebookresearch/sam2, where that package is installed: same weights, same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spd_bench.models.inference import EMPTY_LOGIT
from spd_bench.models.sam2 import SAM2_BACKBONES, Sam2Sizes, build_sam2_from_sizes, normalise_images
from spd_bench.models.sam2_frame import decode_frame_with_scores
from spd_bench.models.sam2_video import propagate
from spd_bench.models.sam2_weights import load_sam2_weights

pytest.importorskip("sam2", reason="facebookresearch/sam2 is not installed")

TINY = Sam2Sizes(
    embed_dim=16, num_heads=1, blocks_per_stage=(1, 1, 2, 1), global_attention_blocks=(3,), hidden_size=128
)
RESOLUTION = 64
CPU = torch.device("cpu")


def _rope_attention(sizes: Sam2Sizes, resolution: int, **other: Any) -> Any:
    from sam2.modeling.sam.transformer import RoPEAttention

    return RoPEAttention(
        rope_theta=10000.0,
        feat_sizes=[resolution // 16, resolution // 16],
        embedding_dim=sizes.hidden_size,
        num_heads=1,
        downsample_rate=1,
        dropout=0.1,
        **other,
    )


def _image_encoder(sizes: Sam2Sizes) -> Any:
    from sam2.modeling.backbones.hieradet import Hiera
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine

    trunk = Hiera(
        embed_dim=sizes.embed_dim,
        num_heads=sizes.num_heads,
        stages=sizes.blocks_per_stage,
        global_att_blocks=sizes.global_attention_blocks,
        window_pos_embed_bkg_spatial_size=(sizes.background_size, sizes.background_size),
        window_spec=sizes.window_sizes,
    )
    neck = FpnNeck(
        position_encoding=PositionEmbeddingSine(num_pos_feats=sizes.hidden_size, normalize=True),
        d_model=sizes.hidden_size,
        backbone_channel_list=trunk.channel_list,
        fpn_top_down_levels=[2, 3],
        fpn_interp_model="nearest",
    )
    return ImageEncoder(scalp=1, trunk=trunk, neck=neck)


def _memory_attention(sizes: Sam2Sizes, resolution: int) -> Any:
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer

    layer = MemoryAttentionLayer(
        activation="relu",
        dim_feedforward=sizes.feed_forward_size,
        dropout=0.1,
        pos_enc_at_attn=False,
        self_attention=_rope_attention(sizes, resolution),
        d_model=sizes.hidden_size,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        cross_attention=_rope_attention(sizes, resolution, rope_k_repeat=True, kv_in_dim=64),
    )
    return MemoryAttention(d_model=sizes.hidden_size, pos_enc_at_input=True, layer=layer, num_layers=4)


def _memory_encoder(sizes: Sam2Sizes) -> Any:
    from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine

    return MemoryEncoder(
        in_dim=sizes.hidden_size,
        out_dim=64,
        mask_downsampler=MaskDownSampler(embed_dim=sizes.hidden_size, kernel_size=3, stride=2, padding=1),
        fuser=Fuser(CXBlock(sizes.hidden_size, kernel_size=7, padding=3, layer_scale_init_value=1e-6), num_layers=2),
        position_encoding=PositionEmbeddingSine(num_pos_feats=64, normalize=True),
    )


def _original(sizes: Sam2Sizes, resolution: int, *, object_bias: float) -> Any:
    """The original's video predictor with the settings of its sam2.1 files, but for the filling of holes."""
    from sam2.sam2_video_predictor import SAM2VideoPredictor

    torch.manual_seed(0)
    predictor = SAM2VideoPredictor(
        image_encoder=_image_encoder(sizes),
        memory_attention=_memory_attention(sizes, resolution),
        memory_encoder=_memory_encoder(sizes),
        num_maskmem=7,
        image_size=resolution,
        sigmoid_scale_for_mem_enc=20.0,
        sigmoid_bias_for_mem_enc=-10.0,
        binarize_mask_from_pts_for_mem_enc=True,
        use_mask_input_as_output_without_sam=True,
        directly_add_no_mem_embed=True,
        no_obj_embed_spatial=True,
        use_high_res_features_in_sam=True,
        multimask_output_in_sam=True,
        multimask_min_pt_num=0,
        multimask_max_pt_num=1,
        multimask_output_for_tracking=True,
        use_multimask_token_for_obj_ptr=True,
        iou_prediction_use_sigmoid=True,
        use_obj_ptrs_in_encoder=True,
        add_tpos_enc_to_obj_ptrs=True,
        proj_tpos_enc_in_obj_ptrs=True,
        use_signed_tpos_enc_to_obj_ptrs=True,
        only_obj_ptrs_in_the_past_for_eval=True,
        pred_obj_scores=True,
        pred_obj_scores_mlp=True,
        fixed_no_obj_ptr=True,
        use_mlp_for_obj_ptr_proj=True,
        sam_mask_decoder_extra_args={
            "dynamic_multimask_via_stability": True,
            "dynamic_multimask_stability_delta": 0.05,
            "dynamic_multimask_stability_thresh": 0.98,
        },
    )
    with torch.no_grad():
        for parameter in predictor.parameters():  # many start at zero, and attention with small weights is blind
            weight = parameter.ndim > 1 and min(parameter.shape[:2]) > 1
            spread = 1.5 / parameter.shape[1:].numel() ** 0.5 if weight else 0.3
            parameter.copy_(spread * torch.randn(parameter.shape) + (0 if weight else parameter))
        predictor.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(object_bias)
    return predictor.eval()


def _load_into_ours(original: Any, sizes: Sam2Sizes, resolution: int, folder: Path) -> Any:
    torch.save({"model": original.state_dict()}, folder / "original.pt")
    ours = build_sam2_from_sizes(sizes, resolution=resolution)
    load_sam2_weights(ours, folder / "original.pt")
    return ours


def _slices(count: int, resolution: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).uniform(-1, 1, (count, 3, resolution, resolution)).astype(np.float32)


def _track_with_original(
    original: Any,
    slices: NDArray[np.float32],
    points: list[NDArray[np.int64]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    reverse: bool,
) -> NDArray[np.float32]:
    images = normalise_images(torch.from_numpy(slices))
    side = slices.shape[-1]
    monkeypatch.setattr("sam2.sam2_video_predictor.load_video_frames", lambda **_: (images, side, side))
    prompted = [z for z, array in enumerate(points) if len(array)]
    logits = np.full((len(slices), side, side), EMPTY_LOGIT, np.float32)
    with torch.inference_mode():
        state = original.init_state("unused")
        for z in prompted:
            labels = np.ones(len(points[z]), np.int32)
            original.add_new_points_or_box(state, z, 1, points=points[z].astype(np.float32), labels=labels)
        start = prompted[-1] if reverse else prompted[0]
        for z, _, masks in original.propagate_in_video(state, start_frame_idx=start, reverse=reverse):
            logits[z] = np.maximum(masks[0, 0].numpy(), EMPTY_LOGIT)
    return logits


def test_features_and_single_slices_equal_the_original_s(tmp_path: Path) -> None:
    original = _original(TINY, RESOLUTION, object_bias=3.0)
    ours = _load_into_ours(original, TINY, RESOLUTION, tmp_path)
    slices = torch.from_numpy(_slices(1, RESOLUTION))
    with torch.no_grad():
        backbone = original.forward_image(normalise_images(slices))
        features = ours.get_image_features(normalise_images(slices), return_dict=True).fpn_hidden_states
        for theirs, mine in zip(backbone["backbone_fpn"], features, strict=True):
            torch.testing.assert_close(mine, theirs.flatten(2).permute(2, 0, 1), rtol=0, atol=1e-4)
        *high, embedding = backbone["backbone_fpn"]
        embedding = embedding + original.no_mem_embed.reshape(1, -1, 1, 1)
        for count in (0, 1, 4):
            points = np.random.default_rng(count).integers(0, RESOLUTION, (count, 2))
            coordinates = torch.tensor(points, dtype=torch.float32)[None]
            labels = torch.ones((1, count), dtype=torch.int32)
            heads = original._forward_sam_heads(
                embedding,
                {"point_coords": coordinates, "point_labels": labels} if count else None,
                None,
                high,
                multimask_output=count <= 1,
            )
            mine = decode_frame_with_scores(ours, slices, [points])
            torch.testing.assert_close(mine.logits, heads[4][:, 0], rtol=0, atol=1e-4)
            torch.testing.assert_close(mine.object_score, heads[6][:, 0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("object_bias", [3.0, 0.0])
def test_propagation_equals_the_original_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, object_bias: float) -> None:
    original = _original(TINY, RESOLUTION, object_bias=object_bias)
    ours = _load_into_ours(original, TINY, RESOLUTION, tmp_path)
    slices = _slices(20, RESOLUTION)
    points = [np.zeros((0, 2), np.int64) for _ in slices]
    points[3], points[6] = np.array([[20, 30]]), np.array([[40, 12], [41, 15], [50, 9]])
    expected = [
        _track_with_original(original, slices, points, monkeypatch, reverse=reverse) for reverse in (False, True)
    ]
    forward = propagate(ours, slices, points, device=CPU, direction="forward")
    backward = propagate(ours, slices, points, device=CPU, direction="backward")
    np.testing.assert_allclose(forward, expected[0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(backward, expected[1], rtol=0, atol=1e-4)
    both = propagate(ours, slices, points, device=CPU)
    np.testing.assert_allclose(both, np.maximum(*expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", list(SAM2_BACKBONES))
def test_the_backbones_have_the_original_s_weights(name: str) -> None:
    encoder = _image_encoder(SAM2_BACKBONES[name])
    with torch.device("meta"):
        ours = build_sam2_from_sizes(SAM2_BACKBONES[name], resolution=1024).vision_encoder
    shapes = sorted(tuple(value.shape) for value in encoder.state_dict().values())
    assert sorted(tuple(value.shape) for value in ours.state_dict().values()) == shapes
