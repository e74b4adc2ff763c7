"""Verifying a raw dataset before anything expensive starts.

Covers what nnU-Net's ``verify_dataset_integrity`` covers, and more: every fault is one InputError that
names the file, origin and direction must agree (nnU-Net warns), infinities count as NaN does, and
prompts must belong to a case and lie inside its volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.errors import InputError
from spd_bench.prompts.points import SUFFIX, read_prompts
from spd_bench.raw.dataset import PROMPTS, RawCase, RawDataset
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import read_geometry, read_volume

Progress = Callable[[Iterable[RawCase]], Iterable[RawCase]]


def verify_raw_dataset(dataset: RawDataset, *, target_labels: Sequence[int], progress: Progress = iter) -> None:
    """Check a raw dataset's labels, files, volumes and prompts; silent where all is well.

    Args:
        dataset: what :func:`spd_bench.raw.dataset.read_raw_dataset` returned.
        target_labels: the label values that together are the target.
        progress: wraps the iteration over the cases, for example in a progress bar.

    Raises:
        InputError: the first fault found: target labels that ``dataset.json`` does not have; label values
            that are not consecutive; a missing label; a wrong ``numTraining``; prompts without a case, or a
            case without prompts among cases with prompts; channels or label on another grid than the image;
            NaN or infinity in an image; label values that are not whole numbers or not in ``dataset.json``;
            a prompt outside its volume.
    """
    _check_labels(dataset)
    _check_target(dataset, target_labels)
    _check_cases(dataset)
    _check_prompt_files(dataset)
    for case in progress(dataset.cases):
        _check_case(case, dataset.label_values)


def _check_labels(dataset: RawDataset) -> None:
    file = dataset.folder / "dataset.json"
    if "ignore" in {*dataset.labels, *dataset.regions}:
        raise InputError(
            'a label named "ignore" is not supported', file=file, remedy="turn ignored voxels into background or target"
        )
    values = dataset.label_values
    if values != tuple(range(len(values))):
        raise InputError(
            f"label values {list(values)} are not consecutive",
            file=file,
            remedy="renumber them 0, 1, 2, ... in dataset.json and in the label files, as nnU-Net demands",
        )


def _check_target(dataset: RawDataset, target_labels: Sequence[int]) -> None:
    possible = [value for value in dataset.label_values if value != 0]
    unknown = [value for value in target_labels if value not in possible]
    if unknown or not target_labels:
        raise InputError(
            f"target labels {list(target_labels)} are not all label values of the dataset",
            file=dataset.folder / "dataset.json",
            remedy=f"choose among the single values {possible}; a region is given as its values",
        )


def _check_cases(dataset: RawDataset) -> None:
    unlabelled = [case for case in dataset.cases if case.label is None]
    if unlabelled:
        raise InputError(
            f"image without a label: {_first(unlabelled)}",
            file=unlabelled[0].images[0],
            remedy="add the label file to labelsTr or remove the image",
        )
    if len(dataset.cases) != dataset.num_training:
        raise InputError(
            f"numTraining is {dataset.num_training}, but there are {len(dataset.cases)} cases",
            file=dataset.folder / "dataset.json",
            remedy="correct numTraining, or add the missing cases",
        )


def _check_prompt_files(dataset: RawDataset) -> None:
    folder = dataset.folder / PROMPTS
    expected = {case.prompts.name for case in dataset.cases}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.name in expected or file.name.startswith("."):
            continue
        if file.name.endswith(SUFFIX):
            raise InputError(
                "prompts of a case that does not exist", file=file, remedy="name it <case>.mrk.json or remove it"
            )
        raise InputError(
            "not a prompt file", file=file, remedy=f"convert it to <case>{SUFFIX} (spd_convert_prompts) or move it away"
        )
    missing = [case for case in dataset.cases if not case.prompts.is_file()]
    if missing and len(missing) < len(dataset.cases):
        raise InputError(
            f"case without prompts, though others have them: {_first(missing)}",
            file=missing[0].prompts,
            remedy="add its prompts (a file with no points is allowed), or move promptsTr away to have all simulated",
        )


def _check_case(case: RawCase, label_values: Sequence[int]) -> None:
    geometry = _check_images(case.images)
    if case.label is not None:
        _check_same_grid(case.label, read_geometry(case.label), case.images[0], geometry)
        _check_label_values(case.label, read_volume(case.label)[0], label_values)
    if case.prompts.is_file():
        read_prompts(case.prompts).voxels(geometry, file=case.prompts)


def _check_images(images: Sequence[Path]) -> VolumeGeometry:
    first = read_geometry(images[0])
    for image in images:
        voxels, geometry = read_volume(image)
        _check_same_grid(image, geometry, images[0], first)
        bad = np.count_nonzero(~np.isfinite(voxels))
        if bad:
            raise InputError(
                f"{bad} voxel(s) are NaN or infinite", file=image, remedy="replace them by a value that makes sense"
            )
    return first


def _check_same_grid(file: Path, geometry: VolumeGeometry, reference: Path, expected: VolumeGeometry) -> None:
    difference = geometry.difference_to(expected)
    if difference is not None:
        raise InputError(
            f"not on the same grid as {reference.name}: {difference}",
            file=file,
            remedy="resample one onto the other, or replace the file that belongs to another case",
        )


def _check_label_values(file: Path, voxels: NDArray[Any], label_values: Sequence[int]) -> None:
    found = np.unique(voxels)
    fractions = [float(value) for value in found if not np.isfinite(value) or value != np.rint(value)]
    if fractions:
        raise InputError(
            f"label value {fractions[0]:g} is not a whole number",
            file=file,
            remedy="save labels as integers, resampled with nearest neighbour only",
        )
    unknown = [int(value) for value in found if int(value) not in label_values]
    if unknown:
        raise InputError(
            f"label value(s) {unknown[:5]} are not in dataset.json",
            file=file,
            remedy=f"map them to {list(label_values)}, or declare them in dataset.json",
        )


def _first(cases: Sequence[RawCase]) -> str:
    return cases[0].case + (f" and {len(cases) - 1} more" if len(cases) > 1 else "")
