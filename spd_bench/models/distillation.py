"""Contextual Prompt Distillation (CPD): noisy points in, points confirmed by the saliency map out.

Kang et al., "Learning from Noisy Prompts: Saliency-Guided Prompt Distillation for Robust Segmentation with SAM",
arXiv 2604.23314. Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def distill_prompts(
    saliency: ArrayLike, points: Sequence[ArrayLike], *, threshold: float = 0.5, context: int = 2
) -> list[NDArray[np.int64]]:
    """Keep, for every slice, the points that the saliency map confirms, the neighbours' points included.

    A point of slice j becomes a prompt of slice t when |j - t| <= ``context`` and the saliency at its pixel is
    strictly above ``threshold`` in its own slice j and in slice t. Points are copied between slices at the same
    (x, y), not registered. Slices outside the volume do not exist: there is neither padding nor wrap-around.

    Args:
        saliency: probabilities, shape (Z, H, W).
        points: Z integer arrays of shape (N, 2): the pixels (x, y) = (column, row) drawn on each slice.
        threshold: tau, in [0, 1].
        context: n, the number of neighbouring slices looked at on EACH side; 0 keeps local validation only.

    Returns:
        Z integer arrays (N, 2) of unique points (x, y). First the slice's own points in the order given, then
        the neighbours' by slice from t - n to t + n, in the order given; of equal points the first is kept.

    Raises:
        ValueError: a shape or type is wrong, a point lies outside its slice, or a setting is out of range.

    Example:
        >>> saliency = np.zeros((3, 4, 4))
        >>> saliency[:2, 1, 2] = 0.9
        >>> none = np.empty((0, 2), dtype=int)
        >>> [prompts.tolist() for prompts in distill_prompts(saliency, [np.array([[2, 1], [0, 0]]), none, none])]
        [[[2, 1]], [[2, 1]], []]
    """
    saliency = np.asarray(saliency)
    if saliency.ndim != 3:
        msg = f"saliency must have shape (Z, H, W), got {saliency.shape}"
        raise ValueError(msg)
    check_distillation(threshold=threshold, context=context)
    slices, xy = stack_points(points, shape=saliency.shape)
    valid = saliency[slices, xy[:, 1], xy[:, 0]] > threshold
    slices, xy = slices[valid], xy[valid]

    offsets = sorted(range(-context, context + 1), key=lambda offset: offset != 0)
    targets = np.concatenate([slices - offset for offset in offsets])
    candidates = np.tile(xy, (len(offsets), 1))
    inside = (targets >= 0) & (targets < len(saliency))
    targets, candidates = targets[inside], candidates[inside]
    confirmed = saliency[targets, candidates[:, 1], candidates[:, 0]] > threshold
    return _unique_by_slice(targets[confirmed], candidates[confirmed], shape=saliency.shape)


def slices_with_candidates(points: Sequence[ArrayLike], *, context: int) -> NDArray[np.bool_]:
    """The slices (Z) that have a point of their own or of a neighbour: no other can be given a prompt.

    Args:
        points: Z arrays of shape (N, 2), one for each slice.
        context: n, the number of neighbouring slices looked at on EACH side.

    Example:
        >>> slices_with_candidates([[], [], [[2, 1]], [], [], []], context=1).tolist()
        [False, True, True, True, False, False]
    """
    own = np.array([len(np.asarray(array)) > 0 for array in points], dtype=bool)
    near = np.convolve(own, np.ones(2 * context + 1), mode="full")[context : context + len(own)] if len(own) else own
    return near > 0


def check_distillation(*, threshold: float, context: int) -> None:
    """Raise ValueError where tau is no probability or n is negative."""
    if not 0 <= threshold <= 1:
        msg = f"threshold must be in [0, 1], got {threshold}"
        raise ValueError(msg)
    if context < 0:
        msg = f"context must be at least 0 slices, got {context}"
        raise ValueError(msg)


def stack_points(points: Sequence[ArrayLike], *, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The points of all slices in one array, checked against the volume they lie in.

    Args:
        points: one integer array (N, 2) of pixels (x, y) for each slice.
        shape: (Z, H, W) of the volume.

    Returns:
        The slice of each point, shape (P,), and the points (x, y), shape (P, 2), in the order given.

    Raises:
        ValueError: the number of slices, a shape or a type is wrong, or a point lies outside its slice.
    """
    if len(points) != shape[0]:
        msg = f"points must have one array for each of {shape[0]} slices, got {len(points)}"
        raise ValueError(msg)
    arrays = [_integer_points(array, number) for number, array in enumerate(points)]
    slices = np.repeat(np.arange(len(arrays)), [len(array) for array in arrays])
    xy = np.concatenate([np.empty((0, 2), dtype=np.int64), *arrays])
    outside = ((xy < 0) | (xy >= (shape[2], shape[1]))).any(axis=1)
    if outside.any():
        first = int(np.argmax(outside))
        msg = (
            f"points must lie inside the {shape[2]} x {shape[1]} slice (width x height), "
            f"got (x, y) = {tuple(xy[first].tolist())} in slice {slices[first]}"
        )
        raise ValueError(msg)
    return slices, xy


def _integer_points(array: ArrayLike, number: int) -> NDArray[np.int64]:
    points: NDArray[Any] = np.asarray(array)
    if points.shape == (0,):
        return np.empty((0, 2), dtype=np.int64)
    if points.ndim != 2 or points.shape[1] != 2:
        msg = f"points must have shape (N, 2), got {points.shape} in slice {number}"
        raise ValueError(msg)
    if len(points) and not np.issubdtype(points.dtype, np.integer):
        msg = f"points must be integers, got {points.dtype} in slice {number}"
        raise ValueError(msg)
    return points.astype(np.int64)


def _unique_by_slice(
    slices: NDArray[np.int64], xy: NDArray[np.int64], *, shape: tuple[int, ...]
) -> list[NDArray[np.int64]]:
    """Split points by slice, the first of equal points kept, the order kept."""
    keys = np.ravel_multi_index((slices, xy[:, 1], xy[:, 0]), shape)
    first = np.sort(np.unique(keys, return_index=True)[1])
    slices, xy = slices[first], xy[first]
    by_slice = np.argsort(slices, kind="stable")
    borders = np.searchsorted(slices[by_slice], np.arange(1, shape[0]))
    return np.split(xy[by_slice], borders)
