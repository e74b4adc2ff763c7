"""A volume at once gives what a plain loop over its slices gives."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spd_bench.models.inference import EMPTY_LOGIT, VolumeSegmentation, saliency_volume, segment_volume
from spd_bench.models.sam import SamConfig, build_sam_from_config
from spd_bench.models.spd import SPDModelSettings, SPDNetwork

SIZE, DEPTH, THRESHOLD = 32, 11, 0.52
CPU = torch.device("cpu")
TINY = SamConfig(
    embed_dim=32,
    depth=2,
    num_heads=2,
    global_attn_indexes=(1,),
    window_size=2,
    patch_size=8,
    prompt_embed_dim=32,
    decoder_mlp_dim=32,
)


@pytest.fixture(scope="module")
def network() -> SPDNetwork:
    torch.manual_seed(0)
    settings = SPDModelSettings(backbone="vit_t", resolution=SIZE, lora=None, saliency_bias=0.0)
    network = SPDNetwork(settings, sam=build_sam_from_config(TINY, resolution=SIZE))
    with torch.no_grad():
        # Fresh weights give one and the same saliency everywhere; spread it over both sides of the threshold.
        network.saliency_head.logit.weight.mul_(20)
        slices = torch.from_numpy(make_slices())
        logits = network.eval()(slices)
        network.saliency_head.logit.bias.sub_(logits.median())
        network.threshold.fill_(THRESHOLD)
    return network


def make_slices() -> NDArray[np.float32]:
    generator = np.random.default_rng(3)
    coarse = generator.uniform(-1, 1, (DEPTH, 3, 4, 4))
    return np.ascontiguousarray(np.kron(coarse, np.ones((8, 8))).astype(np.float32))


def make_points() -> list[NDArray[np.int64]]:
    """Between none and six points on a slice, in no order."""
    generator = np.random.default_rng(4)
    return [generator.integers(0, SIZE, (count, 2)) for count in (0, 3, 1, 6, 0, 2, 3, 1, 1, 4, 0)]


def segment(network: SPDNetwork, **changes: Any) -> VolumeSegmentation:
    arguments: dict[str, Any] = {"context": 1, "empty_prompt": "skip", **changes}
    return segment_volume(network, make_slices(), make_points(), device=CPU, **arguments)


def slice_by_slice(network: SPDNetwork, *, context: int, empty_prompt: str) -> tuple[Any, Any, list[set[Any]]]:
    slices, points = torch.from_numpy(make_slices()), make_points()
    with torch.no_grad():
        embeddings = [network.encode(image[None]) for image in slices]
        saliency = np.stack([torch.sigmoid(network.saliency_logits(one))[0].numpy() for one in embeddings])
        kept: list[set[Any]] = []
        for t in range(DEPTH):
            chosen = set()
            for j in range(max(0, t - context), min(DEPTH, t + context + 1)):
                chosen |= {
                    (x, y)
                    for x, y in points[j].tolist()
                    if saliency[j, y, x] > THRESHOLD and saliency[t, y, x] > THRESHOLD
                }
            kept.append(chosen)
        logits = np.full((DEPTH, SIZE, SIZE), EMPTY_LOGIT)
        for t in range(DEPTH):
            if kept[t] or empty_prompt == "decode":
                given = np.array(sorted(kept[t]), dtype=np.int64).reshape(-1, 2)
                logits[t] = network.decode(embeddings[t], [given])[0].numpy()
    return logits, saliency, kept


@pytest.mark.parametrize("empty_prompt", ["skip", "decode"])
@pytest.mark.parametrize("context", [0, 2])
def test_a_volume_is_segmented_as_slice_by_slice(network: SPDNetwork, context: int, empty_prompt: str) -> None:
    logits, saliency, kept = slice_by_slice(network, context=context, empty_prompt=empty_prompt)
    # The case is a test only if some slices keep points, in different numbers, and some keep none.
    assert len({len(points) for points in kept}) > 2
    assert 0 in {len(points) for points in kept}
    result = segment(network, context=context, empty_prompt=empty_prompt)
    np.testing.assert_allclose(result.saliency, saliency, atol=1e-5)
    assert [{tuple(point) for point in points.tolist()} for points in result.points] == kept
    np.testing.assert_allclose(result.logits, logits, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_batch_size_does_not_matter(network: SPDNetwork, batch_size: int) -> None:
    expected, result = segment(network), segment(network, batch_size=batch_size)
    np.testing.assert_allclose(result.logits, expected.logits, atol=1e-5)
    np.testing.assert_allclose(result.saliency, expected.saliency, atol=1e-5)


def test_slices_without_a_point_are_left_empty(network: SPDNetwork) -> None:
    result = segment(network)
    empty = [z for z in range(DEPTH) if not len(result.points[z])]
    assert empty
    assert (result.logits[empty] == EMPTY_LOGIT).all()
    decoded = segment(network, empty_prompt="decode")
    assert (decoded.logits[empty] != EMPTY_LOGIT).all()


def test_a_volume_without_any_confirmed_point_is_empty(network: SPDNetwork) -> None:
    strict = copy.deepcopy(network)
    strict.threshold.fill_(1.0)
    result = segment(strict)
    assert (result.logits == EMPTY_LOGIT).all()
    assert all(points.shape == (0, 2) for points in result.points)


def test_each_slice_is_encoded_once_and_each_prompted_one_decoded_once(
    network: SPDNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[float] = []
    decoded: list[int] = []
    encode, decode = network.encode, network.decode

    def counted_encode(images: torch.Tensor) -> torch.Tensor:
        encoded.extend(float(image.double().sum()) for image in images)
        return encode(images)

    def counted_decode(embeddings: torch.Tensor, points: Any) -> torch.Tensor:
        decoded.extend(len(one) for one in points)
        return decode(embeddings, points)

    monkeypatch.setattr(network, "encode", counted_encode)
    monkeypatch.setattr(network, "decode", counted_decode)
    result = segment(network, context=2, batch_size=4)
    assert encoded == pytest.approx([float(image.astype(np.float64).sum()) for image in make_slices()])
    assert sorted(decoded) == sorted(len(points) for points in result.points if len(points))
    # Equal numbers of points come together, so that each number is decoded in as few passes as possible.
    assert decoded == sorted(decoded)


def test_the_saliency_volume_is_that_of_the_segmentation(network: SPDNetwork) -> None:
    np.testing.assert_allclose(
        saliency_volume(network, make_slices(), device=CPU, batch_size=3), segment(network).saliency, atol=1e-6
    )


def test_prediction_leaves_the_network_in_evaluation_mode_and_needs_no_gradients(network: SPDNetwork) -> None:
    network.train()
    first = segment(network)
    assert not any(module.training for module in network.modules())
    np.testing.assert_array_equal(first.logits, segment(network).logits)
