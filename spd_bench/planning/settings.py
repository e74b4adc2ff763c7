"""What a user may choose when a dataset is planned."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_SAM_CHANNELS = 3


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """Choices of ``spd_plan_and_preprocess``; all of them are recorded when a dataset is planned.

    Attributes:
        resolution: side in pixels of the square slices that the 2D methods see (the paper's 512).
        context: neighbouring slices on EACH side that CPD consults (the paper's n = 2, five slices in all).
        target_labels: label values of the raw dataset that together form the target.
        seed: seed of the splits and of simulated prompts.
        folds: number of folds; each is the test set once.
        severity: noise severity of simulated prompts (0 clean, 1 default, 2 the paper's drifting regime).
        gpu_memory_gb: nnU-Net's own planning option: the memory its configurations are sized for.
        patient_pattern: regular expression whose first group is the patient in a case id; None takes the
            patients recorded in dataset.json, and else each case as its own patient.
        channels: image channels that become SAM's three, one to three numbers, the last repeated; None takes the
            first three.
    """

    resolution: int = 512
    context: int = 2
    target_labels: tuple[int, ...] = (1,)
    seed: int = 0
    folds: int = 5
    severity: float | None = None
    gpu_memory_gb: float = 8.0
    patient_pattern: str | None = None
    channels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        checks = {
            "resolution": (
                32 <= self.resolution <= 2048 and self.resolution % 32 == 0,
                "a multiple of 32 between 32 and 2048",
            ),
            "context": (0 <= self.context <= 16, "between 0 and 16 slices"),
            "target_labels": (bool(self.target_labels) and min(self.target_labels) > 0, "positive label values"),
            "seed": (self.seed >= 0, "at least 0"),
            "folds": (self.folds >= 3, "at least 3"),
            "severity": (self.severity is None or 0 <= self.severity <= 3, "between 0 and 3"),
            "gpu_memory_gb": (0.02 <= self.gpu_memory_gb < math.inf, "a number of GB, at least 0.02"),
            "channels": (
                self.channels is None or (1 <= len(self.channels) <= _SAM_CHANNELS and min(self.channels) >= 0),
                "one to three channel numbers, counted from 0",
            ),
            "patient_pattern": (_is_pattern(self.patient_pattern), "a regular expression with a group"),
        }
        for name, (holds, rule) in checks.items():
            if not holds:
                msg = f"{name} must be {rule}, got {getattr(self, name)!r}"
                raise ValueError(msg)

    def sam_channels(self, available: int) -> list[int]:
        """The three channel numbers that SAM sees of images with ``available`` channels.

        Raises:
            ValueError: a chosen channel does not exist.
        """
        chosen = self.channels if self.channels is not None else range(min(available, _SAM_CHANNELS))
        absent = [channel for channel in chosen if channel >= available]
        if absent:
            msg = f"channel {absent[0]} was asked for, but there are only 0..{available - 1}"
            raise ValueError(msg)
        return [chosen[min(index, len(chosen) - 1)] for index in range(_SAM_CHANNELS)]


def _is_pattern(pattern: str | None) -> bool:
    if pattern is None:
        return True
    try:
        return re.compile(pattern).groups >= 1
    except re.error:
        return False
