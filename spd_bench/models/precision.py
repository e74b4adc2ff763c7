"""The number format of a network's computation."""

from __future__ import annotations

import torch


def precision(device: torch.device) -> torch.autocast:
    """Bfloat16 on a GPU, single precision elsewhere (bfloat16 is slower on most CPUs)."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
