from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.ops import sigmoid_focal_loss

from spd_bench.losses import LossSettings, dice_loss, focal_loss, pairwise_slice_consistency, segmentation_loss


def _example(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((3, 5, 4), generator=generator, dtype=torch.float64) * 3
    target = (torch.rand((3, 5, 4), generator=generator) > 0.7).double()
    target[1] = 0
    return logits, target


def _numpy_dice(p: NDArray[np.float64], t: NDArray[np.float64], smooth: float) -> float:
    overlap = size = 0.0
    for probability, truth in zip(p.ravel(), t.ravel(), strict=True):
        overlap += probability * truth
        size += probability + truth
    return 1 - (2 * overlap + smooth) / (size + smooth)


def _numpy_focal(logits: NDArray[np.float64], t: NDArray[np.float64], gamma: float, alpha: float | None) -> float:
    losses = []
    for logit, truth in zip(logits.ravel(), t.ravel(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        right = p if truth else 1 - p
        weight = 1.0 if alpha is None else (alpha if truth else 1 - alpha)
        losses.append(-weight * (1 - right) ** gamma * math.log(right))
    return float(np.mean(losses))


def test_dice_over_images_is_the_mean_of_the_images_dice() -> None:
    logits, target = _example()
    p = torch.sigmoid(logits)
    expected = np.mean([_numpy_dice(p[i].numpy(), target[i].numpy(), 0.5) for i in range(3)])
    assert dice_loss(p, target, smooth=0.5).item() == pytest.approx(expected, abs=1e-12)


def test_dice_over_the_batch_pools_all_pixels() -> None:
    logits, target = _example()
    p = torch.sigmoid(logits)
    expected = _numpy_dice(p.numpy(), target.numpy(), 0.5)
    assert dice_loss(p, target, smooth=0.5, reduction="batch").item() == pytest.approx(expected, abs=1e-12)


def test_dice_of_a_perfect_and_of_an_empty_prediction_is_zero_and_of_a_miss_one() -> None:
    target = torch.zeros((1, 4, 4))
    assert dice_loss(target, target).item() == 0
    target[0, :2] = 1
    assert dice_loss(target, target).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(1 - target, target).item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 3.5])
@pytest.mark.parametrize("alpha", [None, 0.0, 0.25, 1.0])
def test_focal_equals_its_definition(gamma: float, alpha: float | None) -> None:
    logits, target = _example()
    expected = _numpy_focal(logits.numpy(), target.numpy(), gamma, alpha)
    assert focal_loss(logits, target, gamma=gamma, alpha=alpha).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("alpha", "torchvision_alpha"), [(None, -1), (0.3, 0.3)])
def test_focal_equals_torchvision(alpha: float | None, torchvision_alpha: float) -> None:
    logits, target = _example(1)
    expected = sigmoid_focal_loss(logits, target, alpha=torchvision_alpha, gamma=2.0, reduction="mean")
    torch.testing.assert_close(focal_loss(logits, target, alpha=alpha), expected)


def test_focal_with_gamma_zero_is_cross_entropy() -> None:
    logits, target = _example()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(focal_loss(logits, target, gamma=0), expected)


def test_segmentation_loss_is_the_weighted_sum() -> None:
    logits, target = _example()
    p = torch.sigmoid(logits).numpy()
    dice = np.mean([_numpy_dice(p[i], target[i].numpy(), 1e-5) for i in range(3)])
    focal = _numpy_focal(logits.numpy(), target.numpy(), 2.0, None)
    loss = segmentation_loss(logits, target, LossSettings())
    assert loss.shape == ()
    assert loss.item() == pytest.approx(0.7 * dice + 0.3 * focal, abs=1e-12)


def test_segmentation_loss_passes_every_setting_on() -> None:
    logits, target = _example()
    settings = LossSettings(dice_weight=2, focal_weight=5, gamma=1, alpha=0.2, smooth=3, dice_over="batch")
    dice = _numpy_dice(torch.sigmoid(logits).numpy(), target.numpy(), 3)
    focal = _numpy_focal(logits.numpy(), target.numpy(), 1, 0.2)
    assert segmentation_loss(logits, target, settings).item() == pytest.approx(2 * dice + 5 * focal, abs=1e-12)


def test_consistency_equals_its_definition() -> None:
    a, b = (torch.sigmoid(_example(seed)[0]) for seed in (0, 1))
    expected = np.mean([_numpy_dice(a[i].numpy(), b[i].numpy(), 0.0) for i in range(3)])
    assert pairwise_slice_consistency(a, b).item() == pytest.approx(expected, abs=1e-12)


def test_consistency_is_symmetric_zero_for_equal_masks_and_one_for_disjoint_ones() -> None:
    mask = torch.zeros((1, 4, 4))
    mask[0, :2] = 1
    assert pairwise_slice_consistency(mask, mask).item() == 0
    assert pairwise_slice_consistency(mask, 1 - mask).item() == 1
    a, b = (torch.sigmoid(_example(seed)[0]) for seed in (0, 1))
    torch.testing.assert_close(pairwise_slice_consistency(a, b), pairwise_slice_consistency(b, a))


def test_two_empty_masks_are_consistent_and_one_empty_mask_is_not() -> None:
    empty = torch.zeros((1, 4, 4), requires_grad=True)
    loss = pairwise_slice_consistency(empty, torch.zeros((1, 4, 4)))
    loss.backward()
    assert loss.item() == 0
    assert empty.grad is not None
    assert torch.count_nonzero(empty.grad) == 0
    assert pairwise_slice_consistency(torch.zeros((1, 4, 4)), torch.ones((1, 4, 4))).item() == 1


@pytest.mark.parametrize(
    "settings",
    [LossSettings(), LossSettings(gamma=0.5, alpha=0.25, dice_over="batch"), LossSettings(gamma=0)],
)
def test_segmentation_gradients_are_those_of_finite_differences(settings: LossSettings) -> None:
    logits, target = _example()
    logits.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda values: segmentation_loss(values, target, settings), (logits,))


def test_consistency_gradients_reach_both_slices() -> None:
    a, b = (torch.sigmoid(_example(seed)[0]).requires_grad_(True) for seed in (0, 1))
    assert torch.autograd.gradcheck(pairwise_slice_consistency, (a, b))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("size", [60.0, 3e4])
def test_extreme_logits_give_finite_losses_and_gradients(gamma: float, dtype: torch.dtype, size: float) -> None:
    target = torch.tensor([[[0.0, 1.0, 0.0, 1.0]], [[0.0, 0.0, 0.0, 0.0]]])
    logits = torch.tensor([[[-size, size, size, -size]], [[-size, -size, -size, -size]]], dtype=dtype)
    logits.requires_grad_(True)
    loss = segmentation_loss(logits, target, LossSettings(gamma=gamma))
    loss = loss + pairwise_slice_consistency(torch.sigmoid(logits[:1]), torch.sigmoid(logits[1:]))
    loss = loss + pairwise_slice_consistency(torch.sigmoid(logits[1:]), torch.sigmoid(logits[1:]))
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_half_precision_does_not_overflow_on_large_images() -> None:
    p = torch.full((1, 512, 512), 0.5, dtype=torch.float16)
    assert dice_loss(p, torch.ones((1, 512, 512))).item() == pytest.approx(1 / 3, abs=1e-3)
    assert pairwise_slice_consistency(p, p).item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dice_weight": -1}, "dice_weight"),
        ({"focal_weight": float("nan")}, "focal_weight"),
        ({"gamma": -0.1}, "gamma"),
        ({"smooth": 0}, "smooth"),
        ({"alpha": 1.5}, "alpha"),
        ({"dice_over": "volume"}, "dice_over"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        LossSettings(**change)  # type: ignore[arg-type]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 1, 4, 4\)"):
        dice_loss(torch.zeros((1, 1, 4, 4)), torch.zeros((1, 1, 4, 4)))
    with pytest.raises(ValueError, match="one shape"):
        focal_loss(torch.zeros((2, 4, 4)), torch.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match="one shape"):
        pairwise_slice_consistency(torch.zeros((2, 4, 4)), torch.zeros((2, 4, 1)))
    with pytest.raises(ValueError, match="reduction"):
        dice_loss(torch.zeros((1, 4, 4)), torch.zeros((1, 4, 4)), reduction="volume")  # type: ignore[arg-type]


# Cross-entropy, and Dice with squares: what MedSAM and MSA train with.


@pytest.mark.parametrize("positive_weight", [1.0, 2.0])
def test_cross_entropy_weighs_target_pixels(positive_weight: float) -> None:
    generator = np.random.default_rng(0)
    logits, target = generator.normal(0, 3, (2, 4, 5)), (generator.random((2, 4, 5)) < 0.3).astype(float)
    probability = 1 / (1 + np.exp(-logits))
    expected = -(positive_weight * target * np.log(probability) + (1 - target) * np.log(1 - probability)).mean()
    settings = LossSettings(dice_weight=0, focal_weight=0, cross_entropy_weight=1.5, positive_weight=positive_weight)
    found = segmentation_loss(torch.from_numpy(logits), torch.from_numpy(target), settings)
    assert float(found) == pytest.approx(1.5 * expected, rel=1e-9)


@pytest.mark.parametrize("over", ["image", "batch"])
def test_dice_with_squares_divides_by_the_sum_of_squares(over: Any) -> None:
    generator = np.random.default_rng(1)
    probability, target = generator.random((3, 4, 5)), (generator.random((3, 4, 5)) < 0.4).astype(float)
    axes = (1, 2) if over == "image" else None
    overlap = (probability * target).sum(axes)
    expected = 1 - (2 * overlap + 1e-5) / ((probability**2).sum(axes) + (target**2).sum(axes) + 1e-5)
    found = dice_loss(torch.from_numpy(probability), torch.from_numpy(target), reduction=over, sums="squared")
    assert float(found) == pytest.approx(float(np.mean(expected)), rel=1e-9)


def test_an_unknown_denominator_is_refused() -> None:
    with pytest.raises(ValueError, match="dice_sums must be"):
        LossSettings(dice_sums="cubed")  # type: ignore[arg-type]
