from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spd_bench.models.sam2 import Sam2Sizes, build_sam2_from_sizes, normalise_images
from spd_bench.models.sam2_frame import SAM2_PARTS, decode_frame, decode_frame_with_scores, train_only

TINY = Sam2Sizes(
    embed_dim=16, num_heads=1, blocks_per_stage=(1, 1, 2, 1), global_attention_blocks=(3,), hidden_size=128
)
RESOLUTION = 64
POINTS = [np.array([[20, 30]]), np.zeros((0, 2), np.int64), np.array([[5, 6], [50, 60]]), np.array([[1, 2]])]


def _random_sam2() -> Any:
    torch.manual_seed(0)
    model = build_sam2_from_sizes(TINY, resolution=RESOLUTION)
    with torch.no_grad():
        for parameter in model.parameters():
            weight = parameter.ndim > 1 and min(parameter.shape[:2]) > 1
            spread = 1.5 / parameter.shape[1:].numel() ** 0.5 if weight else 0.3
            parameter.copy_(spread * torch.randn(parameter.shape) + (0 if weight else parameter))
    return model


def _images(count: int) -> Tensor:
    return torch.rand((count, 3, RESOLUTION, RESOLUTION), generator=torch.Generator().manual_seed(1)) * 2 - 1


def _image_model(model: Any) -> Any:
    """The image model of transformers, another class, with the same weights."""
    from transformers import Sam2Config, Sam2Model

    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    image_model = Sam2Model(Sam2Config(**{part: getattr(model.config, part).to_dict() for part in parts})).eval()
    own = image_model.state_dict()
    image_model.load_state_dict({key: value for key, value in model.state_dict().items() if key in own})
    return image_model


def test_slices_are_segmented_as_by_the_image_model_of_transformers() -> None:
    model, images = _random_sam2(), _images(len(POINTS))
    output = decode_frame_with_scores(model, images, POINTS)
    image_model = _image_model(model)
    for index, points in enumerate(POINTS):
        prompt = torch.tensor(points, dtype=torch.float32)[None, None] if len(points) else None
        with torch.no_grad():
            expected = image_model(
                pixel_values=normalise_images(images[[index]]), input_points=prompt, multimask_output=len(points) < 2
            )
        best = int(expected.iou_scores[0, 0].argmax())
        mask = functional.interpolate(
            expected.pred_masks[:, 0], size=(RESOLUTION, RESOLUTION), mode="bilinear", align_corners=False
        )[0, best]
        torch.testing.assert_close(output.logits[index], mask, rtol=0, atol=1e-3)
        torch.testing.assert_close(output.predicted_iou[index], expected.iou_scores[0, 0, best], rtol=0, atol=1e-4)
        score = expected.object_score_logits.flatten()[0]
        torch.testing.assert_close(output.object_score[index], score, rtol=0, atol=1e-4)


def test_a_slice_does_not_depend_on_the_others_of_its_batch() -> None:
    model, images = _random_sam2(), _images(len(POINTS))
    together = decode_frame(model, images, POINTS)
    for index, points in enumerate(POINTS):
        alone = decode_frame(model, images[[index]], [points])[0]
        torch.testing.assert_close(together[index], alone, rtol=0, atol=1e-3)


def test_gradients_reach_the_mask_decoder_alone() -> None:
    model = _random_sam2()
    trained = train_only(model, ["mask_decoder"])
    assert sum(parameter.numel() for parameter in trained) == sum(
        parameter.numel() for parameter in model.mask_decoder.parameters()
    )
    model.train()
    output = decode_frame_with_scores(model, _images(4), POINTS)
    (output.logits.sum() + output.predicted_iou.sum() + output.object_score.sum()).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.startswith("mask_decoder."), name
    assert all(parameter.grad.any() for parameter in model.mask_decoder.conv_s0.parameters())
    assert model.mask_decoder.pred_obj_score_head.proj_out.weight.grad.any()
    assert model.mask_decoder.iou_prediction_head.proj_out.weight.grad.any()


def test_every_parameter_belongs_to_exactly_one_part() -> None:
    model = build_sam2_from_sizes(TINY, resolution=RESOLUTION)
    counts = {name: 0 for name, _ in model.named_parameters()}
    for part in SAM2_PARTS:
        train_only(model, [part])
        for name, parameter in model.named_parameters():
            counts[name] += parameter.requires_grad
    assert set(counts.values()) == {1}


def test_parts_can_be_frozen_altogether_and_unknown_ones_are_refused() -> None:
    model = build_sam2_from_sizes(TINY, resolution=RESOLUTION)
    assert train_only(model, []) == []
    assert len(train_only(model, list(SAM2_PARTS))) == len(list(model.parameters()))
    with pytest.raises(ValueError, match="got decoder"):
        train_only(model, ["mask_decoder", "decoder"])


@pytest.mark.parametrize(
    ("images", "points"),
    [
        (torch.zeros((1, 3, 32, 32)), [POINTS[0]]),
        (torch.zeros((1, 1, RESOLUTION, RESOLUTION)), [POINTS[0]]),
        (torch.zeros((0, 3, RESOLUTION, RESOLUTION)), []),
        (torch.zeros((2, 3, RESOLUTION, RESOLUTION)), [POINTS[0]]),
        (torch.zeros((1, 3, RESOLUTION, RESOLUTION)), [np.zeros((1, 3))]),
    ],
)
def test_wrong_shapes_are_refused(images: Tensor, points: list[Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        decode_frame(build_sam2_from_sizes(TINY, resolution=RESOLUTION), images, points)
