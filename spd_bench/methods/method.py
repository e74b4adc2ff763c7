"""What a row of the comparison is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from spd_bench.errors import InputError
from spd_bench.methods.start import Start, choose_start
from spd_bench.models.weight_families import WEIGHTS_VARIABLE
from spd_bench.planning.plan import NNUNET_CONFIGURATION, Plan
from spd_bench.planning.planner import PLANS_NAME
from spd_bench.prediction.volume import VolumePredictor
from spd_bench.training.settings import Budget, TrainingSettings
from spd_bench.training.tracked import TrackedTrainer


class MissingWeightsError(InputError):
    """A row means nothing without weights that the user has not given."""


@dataclass(frozen=True, kw_only=True)
class MethodOptions:
    """What a user may choose for all methods; each method takes what concerns it.

    Attributes:
        backbone: SAM backbone of the rows that have one; None: that of the weights.
        weights: checkpoints by family ("sam", "medsam", "sam2", "medsam2"), None for random weights.
        weights_folder: where published checkpoints are looked for by their names; None for nowhere.
        allow_random: run rows that mean nothing without weights with random ones all the same.
        overrides: values for the method's own settings by their names.
    """

    backbone: str | None = None
    weights: Mapping[str, Path | None] = field(default_factory=dict)
    weights_folder: Path | None = None
    allow_random: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def refuse_overrides(self) -> None:
        """For methods without settings of their own: ValueError where one was given."""
        if self.overrides:
            msg = f"there is no setting {next(iter(self.overrides))!r}"
            raise ValueError(msg)

    def start(self, *families: str, backbone: str | None = None) -> Start:
        """What a row starts from that takes weights of these families, see ``choose_start``."""
        return choose_start(
            families, backbone=backbone or self.backbone, given=self.weights, folder=self.weights_folder
        )

    def needed_start(self, family: str, *, backbone: str | None = None) -> Start:
        """As :meth:`start`, for rows that mean nothing with random weights.

        Raises:
            MissingWeightsError: there are none, and random ones were not asked for.
        """
        start = self.start(family, backbone=backbone)
        if start.from_scratch and not self.allow_random:
            raise MissingWeightsError(
                f"this row means nothing without the weights of {family} ({start.backbone})",
                remedy=f"give --weights {family}=FILE, set {WEIGHTS_VARIABLE}, or run it with --allow-random",
            )
        return start


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
        training: the row's recipe within a budget; None for rows that are not trained.
        predictor: builds a predictor for a run of the row.
        requires: rows that must have been fitted on the same fold before this one can predict.
        base: the row that this one is a variant of: settings given for that row hold here too.
        note: what a reader of the tables must know of the row, one sentence; printed under them.
    """

    name: str
    title: str
    uses_prompts: bool
    trainer: type[TrackedTrainer] | None
    own_plan: bool
    settings: Callable[[MethodOptions], dict[str, Any]]
    training: Callable[[Budget, Plan, MethodOptions], TrainingSettings] | None
    predictor: Callable[[MethodRun], VolumePredictor]
    requires: Callable[[MethodOptions], tuple[Method, ...]] = lambda _: ()
    base: str | None = None
    note: str = ""

    def configuration(self, plan: Plan) -> str:
        """Name of the nnU-Net configuration that the row is trained on."""
        return NNUNET_CONFIGURATION if self.own_plan else plan.configuration

    def run_folder(self, results: Path, plan: Plan, fold: int) -> Path:
        """Where nnU-Net's trainer puts the row's weights, in nnU-Net's own layout."""
        trainer = self.trainer.__name__ if self.trainer is not None else "NoTrainer"
        name = f"{trainer}__{plans_name(self.name)}__{self.configuration(plan)}"
        return results / plan.dataset / name / f"fold_{fold}"


@dataclass(frozen=True, kw_only=True)
class MethodRun:
    """A row on one fold of one dataset, trained or to be trained.

    Attributes:
        method: the row.
        plan: the planned dataset.
        fold: the fold.
        results: nnU-Net's results folder.
        device: where to train and predict.
        options: the user's options for a row of that name.
    """

    method: Method
    plan: Plan
    fold: int
    results: Path
    device: torch.device
    options: Callable[[str], MethodOptions]

    @property
    def own_options(self) -> MethodOptions:
        """The user's options for this very row."""
        return self.options(self.method.name)

    @property
    def folder(self) -> Path:
        """Where the run's weights and record lie."""
        return self.method.run_folder(self.results, self.plan, self.fold)

    def of(self, method: Method) -> MethodRun:
        """The run of another row on the same fold."""
        return replace(self, method=method)

    @property
    def required(self) -> tuple[MethodRun, ...]:
        """The runs that this one stands on."""
        return tuple(self.of(method) for method in self.method.requires(self.own_options))


def variant(method: Method, *, name: str, title: str, overrides: Mapping[str, Any]) -> Method:
    """A row that is another one with some of its settings fixed, such as a row of an ablation."""

    def fixed(options: MethodOptions) -> MethodOptions:
        return replace(options, overrides={**options.overrides, **overrides})

    training = method.training
    return replace(
        method,
        name=name,
        title=title,
        base=method.base or method.name,
        settings=lambda options: method.settings(fixed(options)),
        training=None if training is None else lambda budget, plan, options: training(budget, plan, fixed(options)),
        predictor=lambda run: method.predictor(replace(run, options=lambda name: fixed(run.options(name)))),
        requires=lambda options: method.requires(fixed(options)),
    )


def plans_name(method: str) -> str:
    """Name of a method's plans in folder names; two methods may share a trainer class."""
    return f"{PLANS_NAME}_{method}"
