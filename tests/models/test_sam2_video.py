from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from spd_bench.models import sam2_session
from spd_bench.models.inference import EMPTY_LOGIT
from spd_bench.models.sam2 import Sam2Sizes, build_sam2_from_sizes, normalise_images
from spd_bench.models.sam2_session import OBJECT_ID, FeatureCache, VolumeFrames, new_session
from spd_bench.models.sam2_video import keep_largest_component, propagate, propagate_from_key_slice

TINY = Sam2Sizes(
    embed_dim=16, num_heads=1, blocks_per_stage=(1, 1, 2, 1), global_attention_blocks=(3,), hidden_size=128
)
RESOLUTION = 64
CPU = torch.device("cpu")
NO_POINT = np.zeros((0, 2), np.int64)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    model = build_sam2_from_sizes(TINY, resolution=RESOLUTION)
    with torch.no_grad():
        for parameter in model.parameters():
            weight = parameter.ndim > 1 and min(parameter.shape[:2]) > 1
            spread = 1.5 / parameter.shape[1:].numel() ** 0.5 if weight else 0.3
            parameter.copy_(spread * torch.randn(parameter.shape) + (0 if weight else parameter))
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(5.0)
    return model


@pytest.fixture(scope="module")
def slices() -> NDArray[np.float32]:
    return np.random.default_rng(3).uniform(-1, 1, (7, 3, RESOLUTION, RESOLUTION)).astype(np.float32)


def _points(count: int, prompted: dict[int, list[list[int]]]) -> list[NDArray[np.int64]]:
    return [np.array(prompted[z]) if z in prompted else NO_POINT for z in range(count)]


TWO_PROMPTED = _points(7, {2: [[20, 30]], 4: [[40, 12], [50, 9]]})


def _track_plainly(
    model: Any, slices: NDArray[np.float32], points: list[NDArray[np.int64]], *, reverse: bool
) -> NDArray[np.float32]:
    """One direction with transformers' session as it comes: whole normalised video, own cache, nothing dropped."""
    from transformers import Sam2VideoInferenceSession

    session = Sam2VideoInferenceSession(
        video=normalise_images(torch.from_numpy(slices)),
        video_height=RESOLUTION,
        video_width=RESOLUTION,
        dtype=torch.float32,
    )
    index = session.obj_id_to_idx(1)
    prompted = [z for z, array in enumerate(points) if len(array)]
    for z in prompted:
        coordinates = torch.tensor(points[z], dtype=torch.float32)[None, None]
        labels = torch.ones((1, 1, len(points[z])), dtype=torch.int32)
        session.add_point_inputs(index, z, {"point_coords": coordinates, "point_labels": labels})
        session.obj_with_new_inputs = [1]
        model(session, frame_idx=z)
    logits = np.full((len(slices), RESOLUTION, RESOLUTION), EMPTY_LOGIT, np.float32)
    start = prompted[-1] if reverse else prompted[0]
    for output in model.propagate_in_video_iterator(session, start_frame_idx=start, reverse=reverse):
        full = functional.interpolate(output.pred_masks, size=(RESOLUTION, RESOLUTION), mode="bilinear")
        logits[output.frame_idx] = np.maximum(full[0, 0].numpy(), EMPTY_LOGIT)
    return logits


def test_both_directions_are_united_by_the_larger_logit(model: Any, slices: NDArray[np.float32]) -> None:
    forward = _track_plainly(model, slices, TWO_PROMPTED, reverse=False)
    backward = _track_plainly(model, slices, TWO_PROMPTED, reverse=True)
    assert not np.allclose(forward[3], backward[3])  # the directions see other memories
    united = propagate(model, slices, TWO_PROMPTED, device=CPU)
    np.testing.assert_allclose(united, np.maximum(forward, backward), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("direction", "empty"), [("forward", [0, 1]), ("backward", [5, 6])])
def test_one_direction_leaves_what_it_does_not_reach_empty(
    model: Any, slices: NDArray[np.float32], direction: Literal["forward", "backward"], empty: list[int]
) -> None:
    logits = propagate(model, slices, TWO_PROMPTED, device=CPU, direction=direction)
    expected = _track_plainly(model, slices, TWO_PROMPTED, reverse=direction == "backward")
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    assert [z for z in range(7) if (logits[z] == EMPTY_LOGIT).all()] == empty


def test_no_point_leaves_the_volume_empty(model: Any, slices: NDArray[np.float32]) -> None:
    logits = propagate(model, slices, [NO_POINT] * 7, device=CPU)
    assert logits.dtype == np.float32
    assert logits.shape == (7, RESOLUTION, RESOLUTION)
    assert (logits == EMPTY_LOGIT).all()
    assert (propagate_from_key_slice(model, slices, [NO_POINT] * 7, device=CPU) == EMPTY_LOGIT).all()


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_a_volume_of_one_slice_is_segmented(
    model: Any, slices: NDArray[np.float32], direction: Literal["forward", "backward", "both"]
) -> None:
    logits = propagate(model, slices[:1], [np.array([[20, 30]])], device=CPU, direction=direction)
    assert logits.shape == (1, RESOLUTION, RESOLUTION)
    assert logits.std() > 0


def test_a_slice_without_an_object_is_left_empty(model: Any, slices: NDArray[np.float32]) -> None:
    bias = model.mask_decoder.pred_obj_score_head.proj_out.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias.fill_(-1e4)
    logits = propagate(model, slices, TWO_PROMPTED, device=CPU)
    with torch.no_grad():
        bias.copy_(before)
    assert (logits == EMPTY_LOGIT).all()


def test_the_key_slice_is_the_middle_one_of_those_with_points(model: Any, slices: NDArray[np.float32]) -> None:
    points = _points(7, {0: [[1, 2]], 3: [[20, 30]], 6: [[40, 12]]})
    logits = propagate_from_key_slice(model, slices, points, device=CPU)
    alone = _points(7, {3: [[20, 30]]})
    np.testing.assert_allclose(logits[3:], _track_plainly(model, slices, alone, reverse=False)[3:], rtol=0, atol=1e-4)
    np.testing.assert_allclose(logits[:4], _track_plainly(model, slices, alone, reverse=True)[:4], rtol=0, atol=1e-4)
    given = propagate_from_key_slice(model, slices, points, device=CPU, key_slice=3)
    assert np.array_equal(given, logits)
    with pytest.raises(ValueError, match=r"key_slice .* got 1"):
        propagate_from_key_slice(model, slices, points, device=CPU, key_slice=1)


def test_a_limit_on_prompted_slices_is_kept_and_taken_back(model: Any, slices: NDArray[np.float32]) -> None:
    volume = np.tile(slices, (2, 1, 1, 1))[:12]
    points = _points(12, {0: [[1, 2]], 1: [[20, 30]], 2: [[9, 30]], 11: [[40, 12]]})
    tokens: list[int] = []
    handle = model.memory_attention.register_forward_pre_hook(
        lambda _, __, inputs: tokens.append(inputs["memory"].shape[0] - inputs["num_object_pointer_tokens"]),
        with_kwargs=True,
    )
    propagate(model, volume, points, device=CPU, direction="forward")
    without = [count // (RESOLUTION // 16) ** 2 for count in tokens]
    tokens.clear()
    propagate(model, volume, points, device=CPU, direction="forward", max_prompted_slices=2)
    limited = [count // (RESOLUTION // 16) ** 2 for count in tokens]
    handle.remove()
    # Slices 3 to 10: the four with points and up to six that were tracked. With the limit slices 2 and 11, up to six
    # tracked ones, and 0 and 1 for as long as they lie within six slices, where SAM 2 takes them for tracked ones.
    assert without == [4, 5, 6, 7, 8, 9, 10, 10]
    assert limited == [4, 5, 6, 7, 7, 7, 8, 8]
    assert model.config.max_cond_frame_num == -1


def test_slices_are_normalised_when_asked_for(slices: NDArray[np.float32]) -> None:
    frames = VolumeFrames(slices)
    assert list(frames) == list(range(7))
    assert torch.equal(frames[2], normalise_images(torch.from_numpy(slices[2])))
    flipped = VolumeFrames(slices[:, :, ::-1].astype(np.float16))  # other strides and types are taken too
    assert flipped[0].dtype == torch.float32


def test_the_cache_keeps_the_last_slices_within_its_bytes() -> None:
    cache = FeatureCache(limit=3 * 40)
    for z in range(5):
        cache.cache_vision_features(z, {"vision_feats": [torch.full((10,), float(z))], "vision_pos_embeds": []})
    assert [z for z in range(5) if cache.get_vision_features(z) is not None] == [2, 3, 4]
    kept = cache.get_vision_features(3)
    assert kept is not None
    assert kept["vision_feats"][0][0] == 3
    small = FeatureCache(limit=1)
    small.cache_vision_features(8, {"vision_feats": [torch.ones(10)], "vision_pos_embeds": []})
    assert len(small) == 1
    cache.clear_all()
    assert len(cache) == 0


def test_each_slice_is_encoded_once(model: Any, slices: NDArray[np.float32]) -> None:
    encoded = []
    handle = model.vision_encoder.register_forward_pre_hook(lambda *_: encoded.append(1))
    propagate(model, slices, TWO_PROMPTED, device=CPU)
    handle.remove()
    assert len(encoded) == len(slices)


def test_results_do_not_depend_on_the_cache(
    model: Any, slices: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = propagate(model, slices, TWO_PROMPTED, device=CPU)
    monkeypatch.setattr(sam2_session, "FeatureCache", lambda: FeatureCache(limit=0))
    np.testing.assert_allclose(propagate(model, slices, TWO_PROMPTED, device=CPU), cached, rtol=0, atol=1e-5)


def test_a_session_holds_no_masks_at_full_size(
    model: Any, slices: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = []

    def remembered(*arguments: Any) -> Any:
        sessions.append(new_session(*arguments))
        return sessions[-1]

    monkeypatch.setattr("spd_bench.models.sam2_video.new_session", remembered)
    propagate(model, slices, TWO_PROMPTED, device=CPU)
    outputs = sessions[0].output_dict_per_obj[sessions[0].obj_id_to_idx(OBJECT_ID)]
    stored = [output for kind in outputs.values() for output in kind.values()]
    assert len(stored) == 7 - 2  # the backward run does not reach the last two slices
    assert all("high_res_masks" not in output and "maskmem_features" in output for output in stored)


def test_only_the_largest_component_is_kept() -> None:
    logits = np.random.default_rng(0).normal(-0.8, 1, (6, 20, 20)).astype(np.float32)
    logits[1:4, 3:9, 3:9] = 2
    kept = keep_largest_component(logits)
    components, count = ndimage.label(logits > 0, structure=np.ones((3, 3, 3)))
    assert count > 1
    sizes = [int((components == number).sum()) for number in range(1, count + 1)]
    assert (kept > 0).sum() == max(sizes)
    assert (kept[1:4, 3:9, 3:9] == 2).all()
    assert np.array_equal(kept[logits <= 0], logits[logits <= 0])
    assert (kept[(logits > 0) & (kept <= 0)] == EMPTY_LOGIT).all()
    assert kept.dtype == np.float32


def test_components_touch_at_corners_and_an_empty_volume_stays_empty() -> None:
    logits = np.full((2, 4, 4), -1, np.float32)
    assert np.array_equal(keep_largest_component(logits), logits)
    logits[0, 1, 1] = logits[1, 2, 2] = 1
    assert np.array_equal(keep_largest_component(logits), logits)


@pytest.mark.parametrize(
    ("shape", "points", "settings"),
    [
        ((7, 3, 32, 32), [NO_POINT] * 7, {}),
        ((7, RESOLUTION, RESOLUTION), [NO_POINT] * 7, {}),
        ((0, 3, RESOLUTION, RESOLUTION), [], {}),
        ((2, 3, RESOLUTION, RESOLUTION), [NO_POINT], {}),
        ((1, 3, RESOLUTION, RESOLUTION), [np.zeros((1, 3), np.int64)], {}),
        ((1, 3, RESOLUTION, RESOLUTION), [NO_POINT], {"direction": "up"}),
        ((1, 3, RESOLUTION, RESOLUTION), [NO_POINT], {"max_prompted_slices": 1}),
    ],
)
def test_wrong_shapes_and_settings_are_refused(
    model: Any, shape: tuple[int, ...], points: list[NDArray[np.int64]], settings: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="must"):
        propagate(model, np.zeros(shape, np.float32), points, device=CPU, **settings)
