"""A volume as a video: SAM 2 carries the masks of the slices that have points to all others.

Follows the video predictor of https://github.com/facebookresearch/sam2 (Apache-2.0) and, for the key slice, the 3D
inference of https://github.com/bowang-lab/MedSAM2 (Apache-2.0). What differs from the original: holes of up to 8
pixels are not filled (there a CUDA extension does it), and a direction does not see what the other one tracked
(there the second run starts from the first one's memories), so that their order does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from spd_bench.models.inference import EMPTY_LOGIT
from spd_bench.models.sam2 import resolution_of
from spd_bench.models.sam2_session import OBJECT_ID, forget_full_mask, forget_tracked, new_session

if TYPE_CHECKING:
    from transformers import Sam2VideoInferenceSession, Sam2VideoModel

Direction = Literal["forward", "backward", "both"]


@torch.inference_mode()
def propagate(
    model: Sam2VideoModel,
    slices: NDArray[np.float32],
    points: Sequence[NDArray[np.int64]],
    *,
    device: torch.device,
    direction: Direction = "both",
    max_prompted_slices: int | None = None,
) -> NDArray[np.float32]:
    """Segment a volume, taken as a video with one object, from points on some of its slices.

    Each slice with points is segmented from them alone and becomes a memory. The others are tracked, forward from
    the first slice with points and backward from the last: each sees the memories of the slices with points, on
    both sides, and of up to six slices tracked before it. Where both directions reach, the larger logit counts.

    Args:
        model: from ``build_sam2``, on ``device``.
        slices: (Z, 3, R, R) in [-1, 1]. They stay where they are; one at a time is normalised and moved.
        points: for each slice (N, 2) as integer (x, y), all positive, all used.
        device: where the model lies.
        direction: "forward" leaves the slices before the first point empty, "backward" those after the last.
        max_prompted_slices: how many of the slices with points, the nearest ones, a tracked slice sees (at least 2;
            None: all, as in SAM 2). The time of a tracked slice grows with it. With a limit, the compact object
            pointers of all slices with points are still seen, which in SAM 2 are limited too.

    Returns:
        Logits (Z, R, R), threshold 0, nowhere below EMPTY_LOGIT; all EMPTY_LOGIT when there is no point at all.

    Raises:
        ValueError: a shape or a setting is wrong.
    """
    _check(model, slices, points, direction, max_prompted_slices)
    model.eval()
    size = resolution_of(model)
    logits = np.full((len(slices), size, size), EMPTY_LOGIT, np.float32)
    session = new_session(slices, device)
    for z, mask in _segment_prompted(model, session, points):
        _unite(logits[z], mask)
    prompted = [z for z, array in enumerate(points) if len(array)]
    if not prompted:
        return logits
    with _memory_limit(model, max_prompted_slices):
        if direction != "backward":
            for z, mask in _track(model, session, start=prompted[0], reverse=False):
                _unite(logits[z], mask)
        if direction != "forward":
            for z, mask in _track(model, session, start=prompted[-1], reverse=True):
                _unite(logits[z], mask)
    return logits


def propagate_from_key_slice(
    model: Sam2VideoModel,
    slices: NDArray[np.float32],
    points: Sequence[NDArray[np.int64]],
    *,
    device: torch.device,
    key_slice: int | None = None,
) -> NDArray[np.float32]:
    """Segment a volume from the points of one slice, forward and backward, as MedSAM2 does.

    MedSAM2 then keeps the largest connected component: see ``keep_largest_component``.

    Args:
        model: from ``build_sam2``, on ``device``.
        slices: (Z, 3, R, R) in [-1, 1].
        points: for each slice (N, 2) as integer (x, y).
        device: where the model lies.
        key_slice: index of the slice to start from, which must have points; None: the middle one of the slices
            with points (MedSAM2 is given its key slice by a radiologist).

    Returns:
        Logits (Z, R, R) as from ``propagate``.

    Raises:
        ValueError: a shape is wrong, or the key slice has no point.
    """
    prompted = [z for z, array in enumerate(points) if len(array)]
    if key_slice is None and prompted:
        key_slice = prompted[len(prompted) // 2]
    if key_slice is not None and key_slice not in prompted:
        msg = f"key_slice must be a slice with points, got {key_slice}"
        raise ValueError(msg)
    chosen = [array if z == key_slice else array[:0] for z, array in enumerate(points)]
    return propagate(model, slices, chosen, device=device)


def keep_largest_component(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits (Z, R, R) with EMPTY_LOGIT wherever a positive voxel is not of the largest 3D component.

    Voxels that share a face, an edge or a corner are connected; of equally large components the first one is kept.
    """
    components, count = ndimage.label(logits > 0, structure=np.ones((3, 3, 3)))
    if count < 2:
        return logits.copy()
    largest = 1 + np.argmax(np.bincount(components.ravel())[1:])
    return np.where((components == largest) | (components == 0), logits, np.float32(EMPTY_LOGIT))


def _segment_prompted(
    model: Sam2VideoModel, session: Sam2VideoInferenceSession, points: Sequence[NDArray[np.int64]]
) -> Iterator[tuple[int, Tensor]]:
    """Each slice with points from these alone; its mask and memory stay in the session."""
    index = session.obj_id_to_idx(OBJECT_ID)
    for z, array in enumerate(points):
        if not len(array):
            continue
        coordinates = torch.as_tensor(np.asarray(array), dtype=torch.float32)[None, None]
        labels = torch.ones(coordinates.shape[:3], dtype=torch.int32)
        session.add_point_inputs(index, z, {"point_coords": coordinates, "point_labels": labels})
        session.obj_with_new_inputs = [OBJECT_ID]
        output = model(session, frame_idx=z)
        forget_full_mask(session, z)
        yield z, output.pred_masks
    session.cache.clear_all()  # a slice with points is not encoded again


def _track(
    model: Sam2VideoModel, session: Sam2VideoInferenceSession, *, start: int, reverse: bool
) -> Iterator[tuple[int, Tensor]]:
    forget_tracked(session)
    for output in model.propagate_in_video_iterator(session, start_frame_idx=start, reverse=reverse):
        forget_full_mask(session, output.frame_idx)
        yield output.frame_idx, output.pred_masks


def _unite(logits: NDArray[np.float32], mask: Tensor) -> None:
    """Raise the logits (R, R) of a slice to those of a mask (1, 1, h, w)."""
    full = functional.interpolate(mask.float(), size=logits.shape, mode="bilinear", align_corners=False)
    np.maximum(logits, full[0, 0].cpu().numpy(), out=logits)


@contextmanager
def _memory_limit(model: Sam2VideoModel, limit: int | None) -> Iterator[None]:
    """Set the limit where the model reads it, in its configuration."""
    before = model.config.max_cond_frame_num
    model.config.max_cond_frame_num = -1 if limit is None else limit
    try:
        yield
    finally:
        model.config.max_cond_frame_num = before


def _check(
    model: Sam2VideoModel, slices: NDArray[Any], points: Sequence[NDArray[Any]], direction: str, limit: int | None
) -> None:
    expected = (3, resolution_of(model), resolution_of(model))
    if slices.ndim != 4 or not len(slices) or slices.shape[1:] != expected:
        msg = f"slices must have shape (Z >= 1, {', '.join(map(str, expected))}), got {slices.shape}"
        raise ValueError(msg)
    if len(points) != len(slices):
        msg = f"points must have one array for each of {len(slices)} slices, got {len(points)}"
        raise ValueError(msg)
    for z, array in enumerate(points):
        if array.ndim != 2 or array.shape[1] != 2:
            msg = f"points must have shape (N, 2), got {array.shape} for slice {z}"
            raise ValueError(msg)
    if direction not in ("forward", "backward", "both"):
        msg = f"direction must be 'forward', 'backward' or 'both', got {direction!r}"
        raise ValueError(msg)
    if limit is not None and limit < 2:
        msg = f"max_prompted_slices must be at least 2 or None, got {limit}"
        raise ValueError(msg)
