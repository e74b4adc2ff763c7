"""Optimisers and the learning rate's course over a stage, as the settings name them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from spd_bench.training.settings import TrainingSettings

_OPTIMIZERS: dict[str, type[Adam | AdamW]] = {"adam": Adam, "adamw": AdamW}
_PLATEAU_FACTOR = 0.5
_PLATEAU_PATIENCE = 4


def optimizer_and_schedule(
    parameters: Sequence[nn.Parameter], settings: TrainingSettings, *, steps: int
) -> tuple[Adam | AdamW, LambdaLR | ReduceLROnPlateau]:
    """The optimiser of some parameters, and its schedule over a number of steps."""
    kind = _OPTIMIZERS[settings.optimizer]
    optimizer = kind(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    if settings.schedule == "plateau":
        return optimizer, ReduceLROnPlateau(optimizer, factor=_PLATEAU_FACTOR, patience=_PLATEAU_PATIENCE)
    if settings.schedule == "constant":
        return optimizer, LambdaLR(optimizer, lambda _: 1.0)
    warmup = max(1, round(settings.warmup_share * steps))
    return optimizer, LambdaLR(optimizer, lambda step: warmup_cosine(step, warmup=warmup, steps=steps))


def warmup_cosine(step: int, *, warmup: int, steps: int) -> float:
    """Factor of the learning rate at ``step``: linear rise over ``warmup`` steps, cosine fall to 0 at ``steps``."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 0.5 * (1 + math.cos(math.pi * progress))
