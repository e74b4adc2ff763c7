"""Verifying a raw dataset before anything expensive starts.

Covers what nnU-Net's ``verify_dataset_integrity`` covers, and more: every fault is one InputError that
names the file, origin and direction must agree (nnU-Net warns), infinities count as NaN does, 2D images and
volumes are not mixed, and prompts must belong to a case and lie inside its volume.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from spd_bench.errors import InputError
from spd_bench.processes import run_in_processes
from spd_bench.prompts.points import SUFFIX, read_prompts
from spd_bench.raw.channels import check_number_of_channels, read_channels, read_channels_header
from spd_bench.raw.dataset import PROMPTS, RawCase, RawDataset
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.planes import is_plane
from spd_bench.raw.label_values import are_consecutive, check_label_values
from spd_bench.raw.volumes import read_volume, spacing_file_of_case, spacing_file_of_channel

logger = logging.getLogger(__name__)


Progress = Callable[[Iterable[RawCase]], Iterable[RawCase]]


def verify_raw_dataset(
    dataset: RawDataset, *, target_labels: Sequence[int], progress: Progress = iter, jobs: int = 1
) -> None:
    """Check a raw dataset's labels, files, volumes and prompts; silent where all is well.

    Args:
        dataset: what :func:`spd_bench.raw.dataset.read_raw_dataset` returned.
        target_labels: the label values that together are the target.
        progress: wraps the iteration over the cases that are done, for example in a progress bar.
        jobs: processes that open the files of cases side by side.

    Raises:
        InputError: the first fault found: target labels that ``dataset.json`` does not have; label values
            that are not consecutive; a missing label; a wrong ``numTraining``; prompts without a case, or a
            case without prompts among cases with prompts; 2D images among volumes; channels or label on another
            grid than the image, or another number of channels than ``dataset.json`` announces; NaN or infinity
            in an image; label values that are not whole numbers or not in ``dataset.json``; a prompt outside
            its volume.
    """
    _check_labels(dataset)
    _check_target(dataset, target_labels)
    _check_cases(dataset)
    _check_prompt_files(dataset)
    _check_planes(dataset)
    _warn_of_missing_spacing(dataset)
    check = partial(_check_case, channels=len(dataset.channel_names), label_values=dataset.label_values)
    for _ in progress(run_in_processes(check, dataset.cases, jobs=jobs)):
        pass


def _check_labels(dataset: RawDataset) -> None:
    file = dataset.folder / "dataset.json"
    if "ignore" in {*dataset.labels, *dataset.regions}:
        raise InputError(
            'a label named "ignore" is not supported', file=file, remedy="turn ignored voxels into background or target"
        )
    values = dataset.label_values
    if not are_consecutive(values):
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
    present = [case.prompts for case in dataset.cases if case.prompts.is_file()]
    # Simulated prompts can be completed; a reader's cannot.
    if missing and not all(read_prompts(file).provenance.get("simulated") for file in present):
        raise InputError(
            f"case without prompts, though others have them: {_first(missing)}",
            file=missing[0].prompts,
            remedy="add its prompts (a file with no points is allowed), or move promptsTr away to have all simulated",
        )


def _check_planes(dataset: RawDataset) -> None:
    """2D images have no slices to choose an axis for, and nnU-Net reads a dataset by one reader."""
    planes = {case.images[0]: is_plane(_geometry(case)) for case in dataset.cases}
    first = dataset.cases[0].images[0]
    for image, plane in planes.items():
        if plane != planes[first]:
            raise InputError(
                f"{'a 2D image' if plane else 'a volume'}, but {first.name} is {'not' if plane else 'one'}",
                file=image,
                remedy="make two datasets, one of 2D images and one of volumes",
            )
    if planes[first] and dataset.slice_axis:
        raise InputError(
            f"slice_axis is {dataset.slice_axis}, but the images are 2D",
            file=dataset.folder / "dataset.json",
            remedy="remove the key",
        )


def _warn_of_missing_spacing(dataset: RawDataset) -> None:
    if not dataset.file_ending.lower().startswith(".tif") or is_plane(_geometry(dataset.cases[0])):
        return
    files = {spacing_file_of_channel(case.images[0]) for case in dataset.cases}
    files |= {spacing_file_of_case(case.label) for case in dataset.cases if case.label is not None}
    missing = sorted(file for file in files if not file.is_file())
    if missing:
        logger.warning(
            "%d of %d spacing files are missing, 1 mm is taken along all axes there: %s",
            len(missing),
            len(files),
            missing[0],
        )


def _check_case(case: RawCase, *, channels: int, label_values: Sequence[int]) -> RawCase:
    """Check one case, and hand it back."""
    found, geometry = read_channels(case.images)
    check_number_of_channels(case.images, found=len(found), announced=channels)
    # The label is read next, and need not lie in memory beside the image.
    del found
    if case.label is not None:
        voxels, grid = read_volume(case.label)
        _check_same_grid(case.label, grid, case.images[0], geometry)
        check_label_values(case.label, voxels, label_values)
    if case.prompts.is_file():
        read_prompts(case.prompts).voxels(geometry, file=case.prompts)
    return case


def _check_same_grid(file: Path, geometry: VolumeGeometry, reference: Path, expected: VolumeGeometry) -> None:
    difference = geometry.difference_to(expected)
    if difference is not None:
        raise InputError(
            f"not on the same grid as {reference.name}: {difference}",
            file=file,
            remedy="resample one onto the other, or replace the file that belongs to another case",
        )


def _geometry(case: RawCase) -> VolumeGeometry:
    return read_channels_header(case.images[:1]).geometry


def _first(cases: Sequence[RawCase]) -> str:
    return cases[0].case + (f" and {len(cases) - 1} more" if len(cases) > 1 else "")
