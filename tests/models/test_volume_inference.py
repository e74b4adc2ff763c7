"""A volume at once gives what a plain loop over its slices gives."""

from __future__ import annotations

import copy
import gc
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spd_bench.models.distillation import slices_with_candidates
from spd_bench.models.inference import (
    EMPTY_LOGIT,
    decode_volume,
    distil_slices,
    encode_slices,
    saliency_maps,
    saliency_volume,
    segment_volume,
)
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


@dataclass(frozen=True)
class Volume:
    """All parts of a stream together; logits and points of slices that never came are empty."""

    logits: NDArray[np.float32]
    saliency: NDArray[np.float32]
    points: list[NDArray[np.int64]]


def segment(network: SPDNetwork, *, batch_size: int = 8, **changes: Any) -> Volume:
    arguments: dict[str, Any] = {"context": 1, "empty_prompt": "skip", **changes}
    logits = np.full((DEPTH, SIZE, SIZE), EMPTY_LOGIT, np.float32)
    points = [np.empty((0, 2), np.int64)] * DEPTH
    maps = []

    def watched() -> Any:
        for batch in encode_slices(network, make_slices(), device=CPU, batch_size=batch_size):
            maps.append(saliency_maps(network, batch).numpy())
            yield batch

    for part in segment_volume(network, watched(), make_points(), **arguments):
        for index, one, prompts in zip(part.indices, part.logits, part.points, strict=True):
            assert (logits[index] == EMPTY_LOGIT).all()
            logits[index], points[index] = one.numpy(), prompts
    return Volume(logits, np.concatenate(maps), points)


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


@pytest.mark.parametrize("context", [0, 1, 2])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
@pytest.mark.parametrize("drawn_on", [(), (0,), (10,), (5,), (0, 10), (1, 2, 7), (4, 9)])
def test_a_volume_is_segmented_alike_where_only_slices_with_candidates_are_encoded(
    network: SPDNetwork, drawn_on: tuple[int, ...], batch_size: int, context: int
) -> None:
    points = [xy if z in drawn_on else xy[:0] for z, xy in enumerate(reversed(make_points()))]
    asked = slices_with_candidates(points, context=context)
    answers = []
    for only in (None, asked):
        embeddings = encode_slices(network, make_slices(), device=CPU, batch_size=batch_size, only=only)
        parts = segment_volume(network, embeddings, points, context=context, empty_prompt="skip", only=only)
        found = [zip(part.indices, part.logits, part.points, strict=True) for part in parts]
        answers.append({z: (one, xy) for part in found for z, one, xy in part})
    everywhere, sparse = answers
    assert list(sparse) == list(everywhere)
    for z, (logits, prompts) in everywhere.items():
        np.testing.assert_array_equal(sparse[z][1], prompts)
        np.testing.assert_allclose(sparse[z][0].numpy(), logits.numpy(), atol=1e-5)


def test_a_slice_with_candidates_that_is_not_encoded_is_a_mistake(network: SPDNetwork) -> None:
    only = np.ones(DEPTH, dtype=bool)
    only[3] = False
    embeddings = encode_slices(network, make_slices(), device=CPU, only=only)
    with pytest.raises(ValueError, match="slice 3 of 11 has 7 candidates"):
        list(distil_slices(network, embeddings, make_points(), context=1, only=only))


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


def test_the_saliency_volume_is_that_of_the_segmentation(network: SPDNetwork) -> None:
    np.testing.assert_allclose(
        saliency_volume(network, make_slices(), device=CPU, batch_size=3), segment(network).saliency, atol=1e-6
    )


def test_saliency_of_some_slices_is_theirs_and_nothing_elsewhere(network: SPDNetwork) -> None:
    slices = make_slices()
    only = np.arange(len(slices)) % 3 == 1
    maps = saliency_volume(network, slices, device=CPU, batch_size=2, only=only)
    np.testing.assert_array_equal(maps[only], saliency_volume(network, slices[only], device=CPU, batch_size=2))
    assert not maps[~only].any()
    assert not saliency_volume(network, slices, device=CPU, only=np.zeros(len(slices), bool)).any()


def test_prediction_leaves_the_network_in_evaluation_mode_and_needs_no_gradients(network: SPDNetwork) -> None:
    network.train()
    first = segment(network)
    assert not any(module.training for module in network.modules())
    np.testing.assert_array_equal(first.logits, segment(network).logits)


def test_saliency_at_the_points_is_that_of_the_map(network: SPDNetwork) -> None:
    points = make_points()
    maps = saliency_volume(network, make_slices(), device=CPU)
    [embeddings] = encode_slices(network, make_slices(), device=CPU, batch_size=100)
    found = torch.sigmoid(network.saliency_logits_at(embeddings, points)).numpy(force=True)
    expected = np.concatenate([one[xy[:, 1], xy[:, 0]] for one, xy in zip(maps, points, strict=True)])
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("context", [0, 1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_a_slice_is_given_as_soon_as_its_last_neighbour_is_encoded(
    network: SPDNetwork, batch_size: int, context: int
) -> None:
    encoded = given = 0

    def watched() -> Any:
        nonlocal encoded
        for batch in encode_slices(network, make_slices(), device=CPU, batch_size=batch_size):
            encoded += len(batch)
            yield batch

    for part in distil_slices(network, watched(), make_points(), context=context):
        assert part.indices == list(range(given, given + len(part.points)))
        given += len(part.points)
        assert given == (DEPTH if encoded == DEPTH else encoded - context)
    assert given == DEPTH


def test_memory_holds_a_batch_and_the_slices_before_it(network: SPDNetwork) -> None:
    """Counted in embeddings, whenever the next ones are asked for, among all tensors of the process."""
    batch_size, context = 2, 1
    held: list[int] = []

    def watched() -> Any:
        for batch in encode_slices(network, make_slices(), device=CPU, batch_size=batch_size):
            yield batch
            del batch
            held.append(living_embeddings())

    before = living_embeddings()
    for part in segment_volume(network, watched(), make_points(), context=context, empty_prompt="decode"):
        del part
    assert len(held) == 6
    assert {count - before for count in held[:-1]} == {context}


def living_embeddings() -> int:
    shape = (TINY.prompt_embed_dim, SIZE // TINY.patch_size, SIZE // TINY.patch_size)
    tensors = [t for t in gc.get_objects() if isinstance(t, torch.Tensor) and tuple(t.shape[1:]) == shape]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values()) // (4 * math.prod(shape))


@pytest.mark.parametrize("empty_prompt", ["skip", "decode"])
def test_raw_points_are_decoded_as_slice_by_slice(network: SPDNetwork, empty_prompt: Any) -> None:
    slices, points = make_slices(), make_points()
    parts = list(decode_volume(network, slices, points, device=CPU, empty_prompt=empty_prompt, batch_size=4))
    given = [z for part in parts for z in part.indices]
    assert sorted(given) == [z for z in range(DEPTH) if len(points[z]) or empty_prompt == "decode"]
    # Equal numbers of points come together, so that each number is decoded in as few passes as possible.
    assert [len(points[z]) for z in given] == sorted(len(points[z]) for z in given)
    for part in parts:
        for z, logits in zip(part.indices, part.logits, strict=True):
            with torch.no_grad():
                alone = network.decode(network.encode(torch.from_numpy(slices[z : z + 1])), [points[z]])
            np.testing.assert_allclose(logits.numpy(), alone[0].numpy(), atol=1e-5)


def test_a_stream_leaves_gradients_on_for_others(network: SPDNetwork) -> None:
    stream = segment_volume(
        network,
        encode_slices(network, make_slices(), device=CPU, batch_size=2),
        make_points(),
        context=1,
        empty_prompt="skip",
    )
    next(stream)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_read_only_views_of_one_channel_are_slices_too(network: SPDNetwork) -> None:
    slices = np.ascontiguousarray(make_slices()[:, 0])
    view = np.broadcast_to(slices[:, None], (DEPTH, 3, SIZE, SIZE))
    expected = saliency_volume(network, np.ascontiguousarray(view), device=CPU)
    np.testing.assert_array_equal(saliency_volume(network, view, device=CPU), expected)
