"""Refinement in rounds, against ``segment_anything``'s own predictor called mask by mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from segment_anything import SamPredictor
from torch import nn

from spd_bench.models.inference import EMPTY_LOGIT
from spd_bench.models.mask_prompts import prompts_of_mask
from spd_bench.models.refiner import OBJECTS, refine_masks, refine_volume
from spd_bench.models.sam_network import SamNetwork
from spd_bench.training.sam_settings import SamSettings

SIDE = 32
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> SamNetwork:
    torch.manual_seed(0)
    network = SamSettings(backbone="vit_t", intensity="imagenet").network(SIDE).eval()
    for value in network.sam.mask_decoder.parameters():
        if value.ndim > 1:
            nn.init.normal_(value, std=0.2)  # masks that depend on their prompts
    return network


def _slices(count: int) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(count, 3, SIDE, SIDE))
    return np.clip(gaussian_filter(noise, (0, 0, 2, 2)) * 5, -1, 1).astype(np.float32)


def _masks(count: int) -> np.ndarray:
    fields = gaussian_filter(np.random.default_rng(1).normal(size=(count, SIDE, SIDE)), (0, 4, 4))
    return fields > np.quantile(fields, 0.7)


def _reference(network: SamNetwork, image: np.ndarray, mask: np.ndarray, rounds: int) -> np.ndarray:
    predictor = SamPredictor(network.sam)
    with torch.inference_mode():
        predictor.features = network.encode(torch.from_numpy(image[None]))
    predictor.original_size = predictor.input_size = (SIDE, SIDE)
    predictor.is_image_set = True
    side = network.sam.prompt_encoder.mask_input_size[0]
    for _ in range(rounds):
        prompts = prompts_of_mask(mask, side=side)
        masks, qualities, _ = predictor.predict_torch(
            prompts.points[None],
            torch.tensor([[1, 0]]),
            boxes=prompts.box[None],
            mask_input=prompts.mask[None, None],
            multimask_output=True,
        )
        mask = masks[0, qualities[0].argmax()].numpy()
    return mask


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_masks_are_refined_as_segment_anything_answers_their_prompts(network: SamNetwork, rounds: int) -> None:
    slices, masks = _slices(3), _masks(3)
    refined = refine_volume(network, slices, masks, device=CPU, rounds=rounds, batch_size=1) > 0
    for z in range(3):
        np.testing.assert_array_equal(refined[z], _reference(network, slices[z], masks[z], rounds))
    assert 0 < refined.mean() < 1
    assert (refined != masks).any()


def test_slices_may_be_encoded_together(network: SamNetwork) -> None:
    slices, masks = _slices(3), _masks(3)
    one, two = (refine_volume(network, slices, masks, device=CPU, rounds=1, batch_size=size) for size in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-3)


def test_rounds_go_on_from_the_round_before(network: SamNetwork) -> None:
    slices, masks = _slices(2), _masks(2)
    first = refine_volume(network, slices, masks, device=CPU, rounds=1)
    again = refine_volume(network, slices, first > 0, device=CPU, rounds=1)
    both = refine_volume(network, slices, masks, device=CPU, rounds=2)
    np.testing.assert_allclose(both, again, atol=1e-4)
    assert not np.allclose(first, both, atol=1e-2)


def test_empty_slices_stay_empty_and_are_not_encoded(network: SamNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = _masks(4)
    masks[[0, 2]] = False
    encoded = []
    encode = network.encode
    monkeypatch.setattr(network, "encode", lambda images: encoded.append(len(images)) or encode(images))
    refined = refine_volume(network, _slices(4), masks, device=CPU)
    assert encoded == [2]
    assert (refined[[0, 2]] == EMPTY_LOGIT).all()
    assert (refined[[1, 3]] != EMPTY_LOGIT).any()
    assert (refine_volume(network, _slices(4), np.zeros_like(masks), device=CPU) == EMPTY_LOGIT).all()
    assert encoded == [2]


def test_a_mask_over_the_whole_image_stays_as_it_is(network: SamNetwork) -> None:
    refined = refine_volume(network, _slices(1), np.ones((1, SIDE, SIDE), bool), device=CPU)
    assert (refined > 0).all()


def test_a_mask_that_vanishes_stays_away(network: SamNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []

    def decoder(**inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        answers.append(len(inputs["sparse_prompt_embeddings"]))
        return torch.full((answers[-1], 3, 16, 16), -1.0), torch.zeros(answers[-1], 3)

    monkeypatch.setattr(network.sam.mask_decoder, "forward", decoder)
    refined = refine_volume(network, _slices(1), _masks(1), device=CPU, rounds=5)
    assert (refined == -1).all()
    assert answers == [1]


def test_the_mask_that_sam_rates_highest_is_taken(network: SamNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoder(**inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        masks = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1).expand(2, 3, 16, 16)
        return masks, torch.tensor([[0.1, 0.9, 0.5], [0.2, 0.1, 0.7]])

    monkeypatch.setattr(network.sam.mask_decoder, "forward", decoder)
    embedding = network.encode(torch.from_numpy(_slices(1)))[0]
    refined = refine_masks(network.sam, embedding, _masks(2), rounds=1)
    assert np.unique(refined[0]).tolist() == [2.0]
    assert np.unique(refined[1]).tolist() == [3.0]


def test_components_are_refined_one_by_one_and_united(network: SamNetwork) -> None:
    mask = np.zeros((1, SIDE, SIDE), bool)
    mask[0, 3:9, 3:8] = True
    mask[0, 9, 8] = True  # touches the first by a corner
    mask[0, 20:30, 18:25] = True
    parts = np.zeros((2, SIDE, SIDE), bool)
    parts[0, :15] = mask[0, :15]
    parts[1, 15:] = mask[0, 15:]
    together = refine_volume(network, _slices(1), mask, device=CPU, rounds=1, objects="component")
    alone = [refine_volume(network, _slices(1), part[None], device=CPU, rounds=1) for part in parts]
    np.testing.assert_allclose(together, np.maximum(*alone), atol=1e-3)
    whole = refine_volume(network, _slices(1), mask, device=CPU, rounds=1)
    assert not np.allclose(together, whole, atol=1e-2)
    np.testing.assert_array_equal(OBJECTS["component"](mask[0]), parts)
    np.testing.assert_array_equal(OBJECTS["slice"](mask[0]), mask)
