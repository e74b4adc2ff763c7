"""Prompts of a dataset: those that came with it, or simulated ones written beside the images."""

from __future__ import annotations

import numpy as np

from spd_bench.errors import InputError
from spd_bench.planning.preprocessor import merge_target_labels
from spd_bench.planning.settings import PlanSettings
from spd_bench.prompts.points import read_prompts, write_prompts
from spd_bench.prompts.simulation import NoiseSettings, simulate_prompts
from spd_bench.raw.dataset import RawCase, RawDataset
from spd_bench.raw.volumes import read_volume

_DEFAULT_SEVERITY = 1.0


def ensure_prompts(dataset: RawDataset, *, settings: PlanSettings, slice_axis: int) -> int:
    """Simulate prompts for a dataset that has none; returns the number of files written.

    Raises:
        InputError: existing prompts were made with another noise severity than the one asked for, or
            some cases have prompts and others none.
    """
    missing = [case for case in dataset.cases if not case.prompts.is_file()]
    for case in dataset.cases:
        if case not in missing:
            _check_severity(case, settings)
    for case in missing:
        _simulate(case, settings=settings, slice_axis=slice_axis)
    return len(missing)


def _check_severity(case: RawCase, settings: PlanSettings) -> None:
    found = read_prompts(case.prompts).provenance.get("severity")
    if settings.severity is not None and found is not None and not np.isclose(found, settings.severity):
        raise InputError(
            f"prompts exist with severity {found}, but severity {settings.severity} was asked for",
            file=case.prompts,
            remedy="leave out --severity, or remove the promptsTr folder to simulate anew",
        )


def _simulate(case: RawCase, *, settings: PlanSettings, slice_axis: int) -> None:
    if case.label is None:
        raise InputError("no label to simulate prompts from", file=case.images[0], remedy="add the label")
    severity = _DEFAULT_SEVERITY if settings.severity is None else settings.severity
    labels, geometry = read_volume(case.label)
    prompts = simulate_prompts(
        merge_target_labels(labels, list(settings.target_labels)).astype(bool),
        geometry,
        settings=NoiseSettings(severity=severity),
        seed=settings.seed,
        case=case.case,
        slice_axis=slice_axis,
    )
    write_prompts(case.prompts, prompts)
