"""Going through all cases of a dataset, one at a time; what is broken is told and passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from spd_bench.errors import InputError
from spd_bench.inspection.duplicates import VoxelHashes, voxel_hash
from spd_bench.inspection.figures import CaseFigures, PointFigures, point_figures, target_figures
from spd_bench.inspection.orientation import axis_codes, obliquity_degrees
from spd_bench.inspection.reading import read_grid, read_image_file, read_labels, read_points
from spd_bench.inspection.view import DatasetView
from spd_bench.raw.dataset import RawCase
from spd_bench.raw.geometry import VolumeGeometry

Progress = Callable[[Iterable[RawCase]], Iterable[RawCase]]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What was found.

    Attributes:
        cases: the figures of every case that could be read.
        faults: case id -> what is wrong with it, for the others.
    """

    cases: list[CaseFigures]
    faults: dict[str, str]


def survey(view: DatasetView, *, progress: Progress = iter) -> Survey:
    """Inspect every case; no more than one image file or one label map is held in memory.

    Args:
        view: the dataset and how it is looked at.
        progress: wraps the iteration over the cases, for a progress bar.
    """
    found = Survey(cases=[], faults={})
    for case in progress(view.dataset.cases):
        try:
            found.cases.append(inspect_case(case, view))
        except InputError as error:
            found.faults[case.case] = str(error)
    return found


def inspect_case(case: RawCase, view: DatasetView) -> CaseFigures:
    """The figures of one case.

    Raises:
        InputError: a file is missing or unreadable or on another grid than the first image, an image holds NaN
            or infinity, a label value is not in ``dataset.json``, or a prompt lies outside the volume.
    """
    geometry = read_grid(case, len(view.dataset.channel_names))
    labels = read_labels(case, geometry, view.dataset.label_values)
    values = tuple(int(value) for value in np.unique(labels))
    label_hash = voxel_hash(labels) if any(values) else None
    mask = np.isin(labels, view.target_labels)
    del labels
    target = target_figures(mask, geometry, slice_axis=view.slice_axis, resolution=view.resolution)
    points = _point_figures(case, mask, geometry, view)
    del mask
    ranges, hashes = [], []
    for channel in (channel for path in case.images for channel in read_image_file(path, geometry)):
        ranges.append((float(channel.min()), float(channel.max())))
        hashes.append(voxel_hash(channel))
    return CaseFigures(
        hashes=VoxelHashes(
            case=case.case,
            patient=view.patients[case.case],
            fold=None if view.test_folds is None else view.test_folds.get(case.case),
            images=frozenset(hashed for hashed, (low, high) in zip(hashes, ranges, strict=True) if low < high),
            label=label_hash,
        ),
        geometry=geometry,
        codes=axis_codes(geometry),
        obliquity=obliquity_degrees(geometry),
        label_values=values,
        target=target,
        points=points,
        intensities=tuple(ranges),
        contradiction=_contradiction(case.images[0]),
    )


def _point_figures(case: RawCase, mask: np.ndarray, geometry: VolumeGeometry, view: DatasetView) -> PointFigures | None:
    found = read_points(case, geometry)
    if found is None:
        return None
    prompts, voxels = found
    return point_figures(mask, voxels, slice_axis=view.slice_axis, provenance=prompts.provenance)


def _contradiction(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if not path.name.endswith((".nii", ".nii.gz")):
        return None
    image = nib.Nifti1Image.from_filename(path)
    zooms, sizes = image.header.get_zooms()[:3], nib.affines.voxel_sizes(image.affine)
    return None if np.allclose(zooms, sizes, rtol=1e-3) else (tuple(map(float, zooms)), tuple(map(float, sizes)))
