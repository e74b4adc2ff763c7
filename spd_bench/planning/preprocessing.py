"""Preprocess the cases of a dataset for one configuration, in one process or several."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tqdm import tqdm

from spd_bench.errors import InputError
from spd_bench.planning.grid import points_on_slices
from spd_bench.planning.preprocessed_cases import PreprocessedCases
from spd_bench.planning.preprocessor import merge_target_labels
from spd_bench.planning.sums import sums_of_case, write_sums
from spd_bench.processes import run_in_processes
from spd_bench.prompts.points import read_prompts
from spd_bench.raw.channels import read_channels_header
from spd_bench.raw.dataset import RawCase
from spd_bench.raw.volumes import read_volume, write_volume
from spd_bench.storage import atomic_folder, write_json


@dataclass(frozen=True, kw_only=True)
class CaseJob:
    """One case to be preprocessed for one configuration.

    The preprocessor comes as a class, never by name: nnU-Net resolves names only inside its own package.
    """

    case: RawCase
    folder: Path
    preprocessor: type[DefaultPreprocessor]
    configuration: str
    plans: dict[str, Any]
    dataset_json: dict[str, Any]


def preprocess_configuration(
    *,
    cases: tuple[RawCase, ...],
    folder: Path,
    preprocessor: type[DefaultPreprocessor],
    configuration: str,
    plans: dict[str, Any],
    dataset_json: dict[str, Any],
    jobs: int,
) -> None:
    """Fill ``folder`` with the preprocessed cases; it appears only when all of them are done, then their sums."""
    with atomic_folder(folder) as temporary:
        work = [
            CaseJob(
                case=case,
                folder=temporary,
                preprocessor=preprocessor,
                configuration=configuration,
                plans=plans,
                dataset_json=dataset_json,
            )
            for case in cases
        ]
        done = run_in_processes(preprocess_case, work, jobs=jobs)
        bar = tqdm(done, f"preprocessing {configuration}", total=len(work), unit="case")
        sums = dict(sorted(bar))
    write_sums(folder, sums)


def preprocess_case(job: CaseJob) -> tuple[str, dict[str, int]]:
    """Preprocess one case and write it as nnU-Net does; its id and the sums of its files."""
    plans_manager = PlansManager(job.plans)
    configuration_manager = plans_manager.get_configuration(job.configuration)
    # nnU-Net prints a warning for each stack without a spacing file; verification has told that already.
    with contextlib.redirect_stdout(io.StringIO()):
        job.preprocessor(verbose=False).run_case_save(
            str(job.folder / job.case.case),
            [str(image) for image in job.case.images],
            str(job.case.label),
            plans_manager,
            configuration_manager,
            job.dataset_json,
        )
    return job.case.case, sums_of_case(job.folder, job.case.case)


def slice_index_folder(preprocessed: Path) -> Path:
    """Where the slice indices of a folder of preprocessed cases lie."""
    return preprocessed.with_name(f"{preprocessed.name}_slices")


def write_slice_indices(
    cases: tuple[RawCase, ...],
    *,
    preprocessed: Path,
    folder: Path,
    plans: dict[str, Any],
    resolution: int,
    jobs: int = 1,
) -> None:
    """Write ``<case>.json``: each slice's points as (x, y) pixels and its number of target pixels.

    Loaders choose slices by it without opening a single mask. nnU-Net allows no other files beside the
    preprocessed cases, hence a folder of its own.
    """
    with atomic_folder(folder) as temporary:
        write = partial(
            _write_slice_index,
            preprocessed=preprocessed,
            folder=temporary,
            transpose=plans["transpose_forward"],
            resolution=resolution,
        )
        for _ in tqdm(run_in_processes(write, cases, jobs=jobs), "listing slices", total=len(cases), unit="case"):
            pass


def _write_slice_index(
    case: RawCase, *, preprocessed: Path, folder: Path, transpose: Sequence[int], resolution: int
) -> None:
    geometry = read_channels_header(case.images).geometry
    points = points_on_slices(
        read_prompts(case.prompts).voxels(geometry, file=case.prompts),
        shape=geometry.shape,
        transpose=transpose,
        resolution=resolution,
    )
    _, mask, *_ = PreprocessedCases(str(preprocessed), [case.case]).load_case(case.case)
    pixels = [int(np.count_nonzero(mask[0, index])) for index in range(mask.shape[1])]
    write_json(
        folder / f"{case.case}.json",
        {"points": [slice_points.tolist() for slice_points in points], "target_pixels": pixels},
    )


def write_references(
    cases: tuple[RawCase, ...], *, folder: Path, target_labels: list[int], file_ending: str, jobs: int = 1
) -> None:
    """Write each case's target as a binary mask ``<case><ending>`` on its label's own grid.

    Raises:
        InputError: no case has a voxel of the target, or a case has no label.
    """
    with atomic_folder(folder) as temporary:
        write = partial(_write_reference, folder=temporary, target_labels=target_labels, file_ending=file_ending)
        voxels = run_in_processes(write, cases, jobs=jobs)
        if not sum(tqdm(voxels, "writing references", total=len(cases), unit="case")):
            raise InputError(
                f"no voxel of any case has one of the target labels {target_labels}",
                file=cases[0].label,
                remedy="choose other target labels, or add cases that show the target",
            )


def _write_reference(case: RawCase, *, folder: Path, target_labels: list[int], file_ending: str) -> int:
    """Write one case's mask; returns the number of its voxels."""
    labels, geometry = read_volume(_label_of(case))
    mask = merge_target_labels(labels, target_labels).astype(np.uint8)
    write_volume(folder / f"{case.case}{file_ending}", mask, geometry)
    return int(np.count_nonzero(mask))


def _label_of(case: RawCase) -> Path:
    if case.label is None:
        raise InputError(f"case {case.case} has no label", file=case.images[0], remedy="add the label")
    return case.label
