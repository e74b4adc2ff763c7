"""What a row of the comparison is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from spd_bench.planning.plan import NNUNET_CONFIGURATION, Plan
from spd_bench.planning.planner import PLANS_NAME
from spd_bench.prediction.volume import VolumePredictor
from spd_bench.training.settings import Budget, TrainingSettings
from spd_bench.training.tracked import TrackedTrainer


@dataclass(frozen=True, kw_only=True)
class MethodOptions:
    """What a user may choose for all methods; each method takes what concerns it.

    Attributes:
        backbone: SAM backbone of the rows that have one.
        weights: checkpoint of the backbone, None for training from scratch.
        overrides: values for the method's own settings by their names.
    """

    backbone: str = "vit_b"
    weights: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def refuse_overrides(self) -> None:
        """For methods without settings of their own: ValueError where one was given."""
        if self.overrides:
            msg = f"there is no setting {next(iter(self.overrides))!r}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row: its name, how it is trained, how it predicts. The comparison knows no method by name.

    Attributes:
        name: name on the command line and in files.
        title: column head of the tables.
        uses_prompts: whether it is given the prompts.
        trainer: class that trains it, None for rows that are not trained.
        own_plan: whether it is trained on nnU-Net's own configuration instead of the fixed-size slices.
        settings: the method's own settings as JSON values, from the user's options.
        training: the row's recipe within a budget.
        predictor: builds a predictor from a trained run's folder (any folder for untrained rows).
    """

    name: str
    title: str
    uses_prompts: bool
    trainer: type[TrackedTrainer] | None
    own_plan: bool
    settings: Callable[[MethodOptions], dict[str, Any]]
    training: Callable[[Budget, Plan, MethodOptions], TrainingSettings]
    predictor: Callable[[Path, Plan, torch.device], VolumePredictor]

    def configuration(self, plan: Plan) -> str:
        """Name of the nnU-Net configuration that the row is trained on."""
        return NNUNET_CONFIGURATION if self.own_plan else plan.configuration

    def hashes(self, plan: Plan) -> dict[str, str | None]:
        """What a result of the row stands on; prompts only where the row is given them."""
        return {**plan.hashes(), "prompts": plan.prompts_sha256 if self.uses_prompts else None}

    def run_folder(self, results: Path, plan: Plan, fold: int) -> Path:
        """Where nnU-Net's trainer puts the row's weights, in nnU-Net's own layout."""
        trainer = self.trainer.__name__ if self.trainer is not None else "NoTrainer"
        name = f"{trainer}__{plans_name(self.name)}__{self.configuration(plan)}"
        return results / plan.dataset / name / f"fold_{fold}"


def plans_name(method: str) -> str:
    """Name of a method's plans in folder names; two methods may share a trainer class."""
    return f"{PLANS_NAME}_{method}"
