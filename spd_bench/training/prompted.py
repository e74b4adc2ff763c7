"""Logits of a batch in which some slices have no prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from spd_bench.models.inference import EMPTY_LOGIT
from spd_bench.training.windows import Points, WindowBatch

EmptyPrompt = Literal["skip", "decode"]


def prompted_logits(
    batch: WindowBatch, empty_prompt: EmptyPrompt, decode: Callable[[Sequence[int], Points], Tensor]
) -> Tensor:
    """Decode the slices that have a point; the others are empty, and no gradient comes from them.

    Args:
        batch: the slices and their points.
        empty_prompt: ``skip`` leaves a slice without a point empty, ``decode`` decodes it without one.
        decode: logits (M, R, R) of some of the batch's slices, given by their indices and points.

    Returns:
        Logits (N, R, R).
    """
    chosen = [index for index, points in enumerate(batch.points) if len(points) or empty_prompt == "decode"]
    logits = torch.full_like(batch.masks, EMPTY_LOGIT, dtype=torch.float32)
    if not chosen:
        return logits
    masks = decode(chosen, [batch.points[index] for index in chosen])
    return logits.index_copy(0, torch.tensor(chosen, device=logits.device), masks.float())
