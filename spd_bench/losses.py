"""Segmentation losses: Dice, focal, cross-entropy, their weighted sum, and pairwise slice consistency.

Dice after Milletari et al., "V-Net", 3DV 2016; focal after Lin et al., "Focal Loss for Dense Object Detection", ICCV
2017; weights and slice consistency after Kang et al., arXiv 2604.23314. All of them are computed in single precision
at least, whatever autocast does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

_EMPTY_PAIR = 1e-8


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """The segmentation loss; the defaults are SPD's in both stages.

    Attributes:
        dice_weight: weight of the Dice term.
        focal_weight: weight of the focal term.
        cross_entropy_weight: weight of the cross-entropy term.
        positive_weight: how much more a target pixel counts than another in the cross-entropy.
        gamma: focal exponent; 0 makes it cross-entropy.
        alpha: focal weight of the target pixels in [0, 1], 1 - alpha for the others; None weighs them alike.
        smooth: added to Dice's numerator and denominator.
        dice_over: Dice of each image ("image") or of all pixels of the batch together ("batch").
        dice_sums: the denominator adds the probabilities ("plain", SPD's) or their squares ("squared", V-Net's).
    """

    dice_weight: float = 0.7
    focal_weight: float = 0.3
    cross_entropy_weight: float = 0.0
    positive_weight: float = 1.0
    gamma: float = 2.0
    alpha: float | None = None
    smooth: float = 1e-5
    dice_over: Literal["image", "batch"] = "image"
    dice_sums: Literal["plain", "squared"] = "plain"

    def __post_init__(self) -> None:
        for name in ("dice_weight", "focal_weight", "cross_entropy_weight", "positive_weight", "gamma"):
            if not 0 <= getattr(self, name) < float("inf"):
                msg = f"{name} must be finite and at least 0, got {getattr(self, name)}"
                raise ValueError(msg)
        if not 0 < self.smooth < float("inf"):
            msg = f"smooth must be finite and positive, got {self.smooth}"
            raise ValueError(msg)
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            msg = f"alpha must be None or in [0, 1], got {self.alpha}"
            raise ValueError(msg)
        if self.dice_over not in ("image", "batch"):
            msg = f"dice_over must be 'image' or 'batch', got {self.dice_over!r}"
            raise ValueError(msg)
        if self.dice_sums not in ("plain", "squared"):
            msg = f"dice_sums must be 'plain' or 'squared', got {self.dice_sums!r}"
            raise ValueError(msg)


def segmentation_loss(logits: Tensor, target: Tensor, settings: LossSettings) -> Tensor:
    """Weighted sum of the terms, mean over the batch.

    Args:
        logits: shape (B, H, W).
        target: shape (B, H, W), 0 or 1.
        settings: the weights and constants.

    Returns:
        A scalar.
    """
    logits = _at_least_single(logits)
    loss = logits.new_zeros(())
    if settings.dice_weight:
        probabilities = torch.sigmoid(logits)
        dice = dice_loss(
            probabilities, target, smooth=settings.smooth, reduction=settings.dice_over, sums=settings.dice_sums
        )
        loss = loss + settings.dice_weight * dice
    if settings.focal_weight:
        loss = loss + settings.focal_weight * focal_loss(logits, target, gamma=settings.gamma, alpha=settings.alpha)
    if settings.cross_entropy_weight:
        weight = logits.new_tensor(settings.positive_weight)
        entropy = functional.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), pos_weight=weight)
        loss = loss + settings.cross_entropy_weight * entropy
    return loss


def dice_loss(
    probabilities: Tensor,
    target: Tensor,
    *,
    smooth: float = 1e-5,
    reduction: Literal["image", "batch"] = "image",
    sums: Literal["plain", "squared"] = "plain",
) -> Tensor:
    """1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth), or with sum(p p) in place of sum(p).

    Args:
        probabilities: shape (B, H, W), in [0, 1].
        target: shape (B, H, W), 0 or 1.
        smooth: makes an image with neither prediction nor target a loss of 0.
        reduction: "image" takes the mean over the images' losses, "batch" the sums over the whole batch.
        sums: what the denominator adds up, the probabilities ("plain") or their squares ("squared").

    Returns:
        A scalar.

    Raises:
        ValueError: the shapes differ or are not (B, H, W), or the reduction is unknown.
    """
    _check_shapes(probabilities, target)
    if reduction not in ("image", "batch"):
        msg = f"reduction must be 'image' or 'batch', got {reduction!r}"
        raise ValueError(msg)
    probabilities = _at_least_single(probabilities)
    target = target.to(probabilities.dtype)
    pixels = (1, 2) if reduction == "image" else (0, 1, 2)
    overlap = (probabilities * target).sum(pixels)
    size = probabilities if sums == "plain" else probabilities.square()
    total = size.sum(pixels) + target.sum(pixels)
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


def focal_loss(logits: Tensor, target: Tensor, *, gamma: float = 2.0, alpha: float | None = None) -> Tensor:
    """Binary focal loss, mean over pixels and batch.

    Args:
        logits: shape (B, H, W).
        target: shape (B, H, W), 0 or 1.
        gamma: exponent of 1 - p, p being the probability given to the right answer.
        alpha: weight of the target pixels, 1 - alpha for the others; None weighs them alike.

    Returns:
        A scalar.

    Raises:
        ValueError: the shapes differ or are not (B, H, W).
    """
    _check_shapes(logits, target)
    logits = _at_least_single(logits)
    inside = target > 0.5
    margin = torch.where(inside, logits, -logits)
    # In logarithms, because (1 - p) ** gamma has no finite gradient at p = 1 for gamma below 1.
    loss = -functional.logsigmoid(margin) * torch.exp(gamma * functional.logsigmoid(-margin))
    if alpha is not None:
        loss = torch.where(inside, alpha * loss, (1 - alpha) * loss)
    return loss.mean()


def pairwise_slice_consistency(a: Tensor, b: Tensor) -> Tensor:
    """1 - 2 sum(a b) / (sum(a) + sum(b)) of two adjacent slices' soft masks, mean over the batch.

    The paper's formula has no smoothing; a pair whose probabilities sum to 1e-8 or less counts as two empty masks,
    which agree: its loss and gradient are 0.

    Args:
        a: probabilities of slices t, shape (B, H, W).
        b: probabilities of their neighbours, shape (B, H, W).

    Returns:
        A scalar.

    Raises:
        ValueError: the shapes differ or are not (B, H, W).
    """
    _check_shapes(a, b)
    a, b = _at_least_single(a), _at_least_single(b)
    overlap = (a * b).sum((1, 2))
    total = a.sum((1, 2)) + b.sum((1, 2))
    loss = 1 - 2 * overlap / total.clamp_min(_EMPTY_PAIR)
    return torch.where(total > _EMPTY_PAIR, loss, torch.zeros_like(loss)).mean()


def _at_least_single(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _check_shapes(first: Tensor, second: Tensor) -> None:
    if first.ndim != 3 or first.shape != second.shape:
        msg = f"expected two tensors of one shape (B, H, W), got {tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(msg)
