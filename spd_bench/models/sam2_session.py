"""The session of SAM 2's video model over a volume: one slice is prepared at a time, and features are kept in bounds.

``transformers.Sam2VideoInferenceSession`` takes a video as one normalised tensor, and keeps with the features of each
frame their positions, five times as large and equal for all frames, and each mask at full size. Here it gets the
volume as it lies in memory and a cache that keeps the features only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spd_bench.models.sam2 import normalise_images

if TYPE_CHECKING:
    from transformers import Sam2VideoInferenceSession

FEATURE_CACHE_BYTES = 2**30
"""Memory for features of slices that both directions pass; one slice takes 4 MiB at 512 and 17 MiB at 1024."""

OBJECT_ID = 1
"""The one object of a session."""


class VolumeFrames(Mapping[int, Tensor]):
    """The slices (3, R, R) as SAM 2 takes them, normalised when asked for, so that no second volume is held.

    Args:
        slices: (Z, 3, R, R) in [-1, 1].
    """

    def __init__(self, slices: NDArray[np.float32]) -> None:
        self._slices = slices

    def __getitem__(self, index: int) -> Tensor:
        return normalise_images(torch.from_numpy(np.array(self._slices[index], dtype=np.float32)))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._slices)))

    def __len__(self) -> int:
        return len(self._slices)


class FeatureCache:
    """Features of the slices passed last, up to a number of bytes; has the methods of the session's own cache.

    When full, the slice of the lowest index goes first: a forward run leaves the last slices, with which a backward
    run begins.

    Args:
        limit: bytes of features to keep. One slice is always kept.
    """

    def __init__(self, limit: int = FEATURE_CACHE_BYTES) -> None:
        self._limit = limit
        self._features: dict[int, list[Tensor]] = {}
        self._positions: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._features)

    def cache_vision_features(self, frame_idx: int, features: Mapping[str, Any]) -> None:
        """Keep the features of a slice."""
        kept = list(features["vision_feats"])
        most = self._limit // sum(level.nbytes for level in kept)
        while self._features and len(self._features) >= most:
            del self._features[min(self._features)]
        self._features[frame_idx] = kept
        self._positions = list(features["vision_pos_embeds"])

    def get_vision_features(self, frame_idx: int) -> dict[str, list[Tensor]] | None:
        """The features of a slice, or None where they are not kept."""
        if frame_idx not in self._features:
            return None
        return {"vision_feats": list(self._features[frame_idx]), "vision_pos_embeds": list(self._positions)}

    def clear_all(self) -> None:
        """Forget all features."""
        self._features.clear()


def new_session(slices: NDArray[np.float32], device: torch.device) -> Sam2VideoInferenceSession:
    """A session with one object, ``OBJECT_ID``, over slices (Z, 3, R, R) in [-1, 1], which stay where they are."""
    from transformers import Sam2VideoInferenceSession  # takes seconds

    height, width = slices.shape[2:]
    session = Sam2VideoInferenceSession(
        video_height=height,
        video_width=width,
        inference_device=device,
        inference_state_device=device,
        dtype=torch.float32,
    )
    session.processed_frames = cast("dict[int, Tensor]", VolumeFrames(slices))  # read by index and length alone
    session.cache = cast("Any", FeatureCache())
    session.obj_id_to_idx(OBJECT_ID)
    return session


def forget_full_mask(session: Sam2VideoInferenceSession, z: int) -> None:
    """Drop a slice's mask at full size, which has become a memory: kept, it would be most of what a session holds."""
    for outputs in session.output_dict_per_obj[session.obj_id_to_idx(OBJECT_ID)].values():
        outputs.get(z, {}).pop("high_res_masks", None)


def forget_tracked(session: Sam2VideoInferenceSession) -> None:
    """Drop what was tracked, so that only the slices with points are remembered."""
    session.output_dict_per_obj[session.obj_id_to_idx(OBJECT_ID)]["non_cond_frame_outputs"].clear()
