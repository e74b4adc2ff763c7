"""As what a dataset is looked at: target labels, slice axis, folds and patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.planning.plan import Plan
from spd_bench.planning.settings import PlanSettings
from spd_bench.raw.channels import read_channels_header
from spd_bench.raw.dataset import RawCase, RawDataset
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.planes import is_plane


@dataclass(frozen=True, kw_only=True)
class DatasetView:
    """A raw dataset and how its volumes are read.

    Attributes:
        dataset: the raw dataset.
        target_labels: label values that together are the target.
        slice_axis: the axis of (z, y, x) that runs through the slices.
        axis_reason: why it is this axis, in words.
        resolution: side in pixels of the square slices of training.
        folds: number of folds.
        sam_channels: the image channels that become SAM's three.
        patients: patient of each case.
        test_folds: the fold in whose test set a case is; None where the dataset is not planned.
    """

    dataset: RawDataset
    target_labels: tuple[int, ...]
    slice_axis: int
    axis_reason: str
    resolution: int
    folds: int
    sam_channels: tuple[int, ...]
    patients: Mapping[str, str]
    test_folds: Mapping[str, int] | None = field(default=None)


def planned_view(dataset: RawDataset, plan: Plan, *, target_labels: Sequence[int] | None = None) -> DatasetView:
    """A dataset as its plan sees it.

    Raises:
        InputError: ``target_labels`` are given and are not the plan's.
    """
    planned = tuple(plan.plans["spd"]["target_labels"])
    if target_labels is not None and set(target_labels) != set(planned):
        raise InputError(
            f"target labels {list(target_labels)}, but the dataset is planned for {list(planned)}",
            file=plan.folder,
            remedy="leave out --target-labels, or plan anew with these",
        )
    return DatasetView(
        dataset=dataset,
        target_labels=planned,
        slice_axis=plan.slice_axis,
        axis_reason="the plan's",
        resolution=plan.resolution,
        folds=len(plan.splits),
        sam_channels=tuple(plan.slice_settings["channels"]),
        patients={case.case: plan.patients.get(case.case, case.patient) for case in dataset.cases},
        test_folds={case: fold for fold, split in enumerate(plan.splits) for case in split["test"]},
    )


def unplanned_view(dataset: RawDataset, *, target_labels: Sequence[int] | None = None) -> DatasetView:
    """A dataset as the planner would see it by default, with label 1 as the target where none is given.

    Raises:
        InputError: a target label is not one of the dataset's.
    """
    defaults = PlanSettings()
    labels = defaults.target_labels if target_labels is None else tuple(target_labels)
    possible = [value for value in dataset.label_values if value != 0]
    if not labels or not set(labels) <= set(possible):
        raise InputError(
            f"target labels {list(labels)} are not all label values of the dataset",
            file=dataset.folder / "dataset.json",
            remedy=f"choose --target-labels among {possible}",
        )
    axis, reason = _slice_axis(dataset)
    return DatasetView(
        dataset=dataset,
        target_labels=labels,
        slice_axis=axis,
        axis_reason=reason,
        resolution=defaults.resolution,
        folds=defaults.folds,
        sam_channels=tuple(defaults.sam_channels(len(dataset.channel_names))),
        patients={case.case: case.patient for case in dataset.cases},
    )


def coarsest_axis(spacings: NDArray[np.floating]) -> int:
    """The axis with the largest median of spacings (N, 3), the first one on a tie: nnU-Net's rule."""
    return int(np.argmax(np.median(spacings, axis=0)))


def _slice_axis(dataset: RawDataset) -> tuple[int, str]:
    if dataset.slice_axis is not None:
        return dataset.slice_axis, "dataset.json says so"
    grids = [grid for case in dataset.cases for grid in _grid(case)]
    if not grids:
        return 0, "no header could be read"
    if all(map(is_plane, grids)):
        return 0, "these are 2D images"
    spacings = np.array([grid.spacing for grid in grids])
    median = np.median(spacings, axis=0)
    if np.ptp(median) == 0:
        return 0, f"all axes have the median spacing {median[0]:g} mm, so the first is taken"
    return coarsest_axis(spacings), f"its median spacing is the coarsest, {median.max():.4g} mm"


def _grid(case: RawCase) -> list[VolumeGeometry]:
    """The grid of a case's image, or nothing where its header is broken: the survey tells that fault later."""
    try:
        return [read_channels_header(case.images[:1]).geometry]
    except InputError:
        return []
