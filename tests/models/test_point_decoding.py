from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from spd_bench.models.decoding import decode_points
from spd_bench.models.sam import build_sam

COUNTS = (2, 0, 3, 2, 1, 0)


@pytest.fixture(scope="module")
def sam() -> Sam:
    torch.manual_seed(0)
    model = build_sam("vit_t", resolution=64)
    for parameter in model.parameters():  # masks of a fresh SAM are nearly flat
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand((len(COUNTS), 3, 64, 64), generator=torch.Generator().manual_seed(1)) * 255


def _points(seed: int = 0) -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 64, size=(count, 2)) for count in COUNTS]


def _embeddings(sam: Sam, images: torch.Tensor) -> torch.Tensor:
    return sam.image_encoder(torch.stack([sam.preprocess(image) for image in images]))


def test_equals_sam_s_own_predictor_image_by_image(sam: Sam, images: torch.Tensor) -> None:
    result = decode_points(sam, _embeddings(sam, images), _points(), resolution=64)
    assert result.shape == (6, 64, 64)
    predictor = SamPredictor(sam)
    for mask, image, points in zip(result, images, _points(), strict=True):
        predictor.set_torch_image(image[None], (64, 64))
        prompt = (torch.as_tensor(points)[None], torch.ones((1, len(points)))) if len(points) else (None, None)
        expected = predictor.predict_torch(*prompt, multimask_output=False, return_logits=True)[0][0, 0]
        assert expected.std() > 0.1
        torch.testing.assert_close(mask, expected, rtol=0, atol=1e-5)


def test_equals_sam_s_numpy_interface_on_an_image(sam: Sam) -> None:
    image = np.random.default_rng(0).integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
    points = np.array([[5, 40], [60, 3]])
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    expected, _, _ = predictor.predict(points, np.ones(2), multimask_output=False, return_logits=True)
    result = decode_points(sam, predictor.get_image_embedding(), [points], resolution=64)
    np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=1e-5)


def test_equals_sam_s_forward_with_its_threshold(sam: Sam, images: torch.Tensor) -> None:
    records: list[dict[str, Any]] = [
        {"image": image, "original_size": (64, 64)}
        | ({"point_coords": torch.as_tensor(p)[None], "point_labels": torch.ones((1, len(p)))} if len(p) else {})
        for image, p in zip(images, _points(), strict=True)
    ]
    expected = torch.stack([output["masks"][0, 0] for output in sam(records, multimask_output=False)])
    result = decode_points(sam, _embeddings(sam, images), _points(), resolution=64) > 0
    assert 0 < expected.float().mean() < 1
    assert (result == expected).float().mean() > 0.9999


def test_grouped_decoding_equals_one_by_one(sam: Sam, images: torch.Tensor) -> None:
    embeddings, points = _embeddings(sam, images), _points(1)
    together = decode_points(sam, embeddings, points, resolution=64)
    alone = [decode_points(sam, embeddings[i : i + 1], points[i : i + 1], resolution=64) for i in range(6)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


def test_every_mask_depends_on_its_own_image_and_points_only(sam: Sam, images: torch.Tensor) -> None:
    embeddings, points = _embeddings(sam, images), _points()
    before = decode_points(sam, embeddings, points, resolution=64)
    points[3] = points[3][:, ::-1].copy()
    changed = embeddings.clone()
    changed[1] += 1
    after = decode_points(sam, changed, points, resolution=64)
    moved = [not torch.equal(a, b) for a, b in zip(after, before, strict=True)]
    assert moved == [False, True, False, True, False, False]


def test_tensors_and_fractional_points_are_taken(sam: Sam, images: torch.Tensor) -> None:
    embeddings, points = _embeddings(sam, images), _points()
    tensors = [torch.as_tensor(array, dtype=torch.float64) for array in points]
    expected = decode_points(sam, embeddings, points, resolution=64)
    assert torch.equal(decode_points(sam, embeddings, tensors, resolution=64), expected)
    shifted = [tensor + 0.5 for tensor in tensors]
    assert not torch.equal(decode_points(sam, embeddings, shifted, resolution=64)[0], expected[0])


def test_gradients_equal_those_of_decoding_one_by_one() -> None:
    torch.manual_seed(0)
    sam = build_sam("vit_t", resolution=64).double()
    sam.prompt_encoder.float()  # it computes in single precision whatever it is given
    embeddings = torch.randn((3, 128, 8, 8), dtype=torch.float64, requires_grad=True)
    points = [np.array([[1, 2]]), np.empty((0, 2)), np.array([[60, 50]])]
    sparse_to_double = sam.prompt_encoder.register_forward_hook(lambda *call: tuple(t.double() for t in call[2]))
    positions = sam.prompt_encoder.get_dense_pe().double()
    sam.prompt_encoder.get_dense_pe = lambda: positions
    weights = torch.randn((3, 64, 64), dtype=torch.float64)

    def gradients(batches: list[list[int]]) -> list[torch.Tensor]:
        wanted = [embeddings, sam.mask_decoder.mask_tokens.weight, sam.prompt_encoder.point_embeddings[1].weight]
        total = torch.zeros((), dtype=torch.float64)
        for batch in batches:
            masks = decode_points(sam, embeddings[batch], [points[i] for i in batch], resolution=64)
            total = total + (weights[batch] * masks).sum()
        return list(torch.autograd.grad(total, wanted))

    together, alone = gradients([[0, 1, 2]]), gradients([[0], [1], [2]])
    sparse_to_double.remove()
    assert all(gradient.abs().max() > 1e-3 for gradient in alone)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


def test_half_precision_does_not_round_the_coordinates() -> None:
    torch.manual_seed(0)
    sam = build_sam("vit_t", resolution=512).requires_grad_(False)
    received: list[torch.Tensor] = []
    sam.mask_decoder.register_forward_pre_hook(
        lambda module, args, kwargs: received.append(kwargs["sparse_prompt_embeddings"]), with_kwargs=True
    )
    embeddings, points = torch.randn((1, 128, 64, 64)), [np.array([[500, 501]])]
    decode_points(sam, embeddings, points, resolution=64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        decode_points(sam, embeddings, points, resolution=64)
    assert torch.equal(received[0], received[1])


def test_wrong_shapes_are_refused(sam: Sam) -> None:
    embeddings = torch.zeros((2, 128, 8, 8))
    point = np.zeros((1, 2))
    with pytest.raises(ValueError, match="got 1"):
        decode_points(sam, embeddings, [point], resolution=64)
    with pytest.raises(ValueError, match=r"\(1, 3\) for image 1"):
        decode_points(sam, embeddings, [point, np.zeros((1, 3))], resolution=64)
    with pytest.raises(ValueError, match="embeddings"):
        decode_points(sam, embeddings[:, :, :4], [point, point], resolution=64)
    with pytest.raises(ValueError, match="embeddings"):
        decode_points(sam, embeddings[:0], [], resolution=64)
