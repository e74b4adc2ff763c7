"""The cells of a comparison: one method on one fold of one dataset, and where they are run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from spd_bench.methods.method import Method, MethodOptions, MethodRun
from spd_bench.planning.plan import Plan
from spd_bench.severity_settings import SeveritySettings
from spd_bench.training.settings import Budget

CELL_RECORD = "cell.json"
"""A cell's run record with what scoring added; it is written last, so that a cell that has it is whole."""


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
        skipped: rows that were left out and why, for the tables to tell.
        severities: severities of simulated points that the trained rows are predicted with as well; None for none.
    """

    raw: Path
    results: Path
    output: Path
    budget: Budget
    options: Callable[[str], MethodOptions]
    device: torch.device
    skipped: Mapping[str, str] = field(default_factory=dict)
    severities: SeveritySettings | None = None

    def folder(self, cell: Cell) -> Path:
        """Predictions and scores of a cell."""
        return self.output / "cells" / cell.plan.dataset / cell.method.name / f"fold_{cell.fold}"

    def run(self, cell: Cell) -> MethodRun:
        """The run that a cell stands on."""
        return MethodRun(
            method=cell.method,
            plan=cell.plan,
            fold=cell.fold,
            results=self.results,
            device=self.device,
            options=self.options,
        )
