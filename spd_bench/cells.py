"""The cells of a comparison: one method on one fold of one dataset, and where they are run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from spd_bench.methods.method import Method, MethodOptions
from spd_bench.planning.plan import Plan
from spd_bench.training.settings import Budget


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One method on one fold of one dataset."""

    plan: Plan
    method: Method
    fold: int

    @property
    def name(self) -> str:
        """Name in messages and files."""
        return f"{self.plan.dataset}_{self.method.name}_fold{self.fold}"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where and how the cells are run.

    Attributes:
        raw: nnU-Net's raw folder: images and prompts of the test cases are read from it.
        results: nnU-Net's results folder.
        output: folder of the comparison.
        budget: what every trained row is granted.
        options: the user's options for a method of that name.
        device: where to train and predict.
    """

    raw: Path
    results: Path
    output: Path
    budget: Budget
    options: Callable[[str], MethodOptions]
    device: torch.device

    def folder(self, cell: Cell) -> Path:
        """Predictions and scores of a cell."""
        return self.output / "cells" / cell.plan.dataset / cell.method.name / f"fold_{cell.fold}"
