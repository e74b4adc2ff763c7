"""TI phantoms as a raw release: the folders, names and file formats that the hospital's data come in.

For tests and for trying ``python -m dataset_conversion.ti`` without the private data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from spd_bench.phantoms.phantom import Phantom
from spd_bench.prompts.tracings import Tracing, TracingFile, write_tracings
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.volumes import write_volume
from spd_bench.storage import write_text

ABNORMAL_TI, NORMAL_TI, COLON = 1, 2, 3
_COLON_RADIUS_MM = 12.0


@dataclass(frozen=True, kw_only=True)
class _Spelling:
    """Where the files of one patient lie; ``{id}`` stands for the patient.

    Attributes:
        patient: "A{}" (abnormal) or "I{}" (healthy), with the patient's number in place of the braces.
        trace: file of the trace; one that ends with ``.csv`` gets a ``_meta.txt`` beside it.
        compressed: whether the tracer's file is gzip.
        postcon: file of a post-contrast image of the same plane, if there is one.
    """

    patient: str
    image: str
    label: str
    trace: str
    compressed: bool = True
    postcon: str | None = None


_SPELLINGS = (
    _Spelling(
        patient="A{}",
        image="{id} Axial T2.nii.gz",
        label="{id} Axial T2 segmentation.nii.gz",
        trace="{id} axial HASTE tracings",
        postcon="{id} Axial Postcon.nii.gz",
    ),
    _Spelling(
        patient="I{}",
        image="axial/img/{id} axial.nii.gz",
        label="axial/seg/{id} axial.nii.gz",
        trace="axial/centreline/{id} axial tracings",
        compressed=False,
    ),
    _Spelling(
        patient="a0{}",
        image="{id}/T2_Ax.nii",
        label="{id}/t2-ax-mask.nii",
        trace="{id}/T2  AX.traces",
        postcon="{id}/ax_postcon.nii",
    ),
    _Spelling(
        patient="i{}",
        image="scans/{id} axial HASTE.nii.gz",
        label="labels/{id}_axial_HASTE.nii.gz",
        trace="scans/{id} axial HASTE tracings.csv",
    ),
)


def write_ti_release(folder: Path, phantoms: Iterable[Phantom]) -> tuple[str, ...]:
    """Write TI phantoms as axial cases of the release, each patient spelt in another of four ways.

    The segmentation holds the TI (1 abnormal, 2 normal) and a sketch of the colon (3) around the rest of the
    trace; the trace is what :attr:`Phantom.trace` says, on whole voxels and cut where it leaves the image.

    Args:
        folder: the release's folder; files that are there already are replaced.
        phantoms: cases made by :func:`spd_bench.phantoms.ti.make_ti`.

    Returns:
        The patients in order: "A1", "I2", ...

    Raises:
        ValueError: a phantom has no trace.
    """
    patients = []
    for number, phantom in enumerate(phantoms, start=1):
        spelling = _SPELLINGS[(number - 1) % len(_SPELLINGS)]
        _write_case(folder, phantom, spelling, patient=spelling.patient.format(number))
        patients.append(f"{spelling.patient[0].upper()}{number}")
    return tuple(patients)


def _write_case(folder: Path, phantom: Phantom, spelling: _Spelling, *, patient: str) -> None:
    voxels = trace_voxels(phantom)
    ti = ABNORMAL_TI if patient[0] in "Aa" else NORMAL_TI
    write_volume(folder / spelling.image.format(id=patient), phantom.image, phantom.geometry)
    write_volume(folder / spelling.label.format(id=patient), _segmentation(phantom, voxels, ti=ti), phantom.geometry)
    if spelling.postcon is not None:
        # Enhancing walls and dark content, roughly: whoever takes it for the T2 image can be caught.
        write_volume(folder / spelling.postcon.format(id=patient), 1000 - phantom.image, phantom.geometry)
    trace = folder / spelling.trace.format(id=patient)
    if trace.suffix == ".csv":
        _write_table(trace, voxels, phantom.geometry)
        return
    name = "abnormal TI" if ti == ABNORMAL_TI else "normal TI"
    z, y, x = phantom.geometry.spacing
    file = TracingFile(
        tracings=(Tracing(name=name, points=voxels[:, ::-1]),),
        spacing=(x, y, z),
        image_size=phantom.geometry.shape[::-1],
    )
    write_tracings(trace, file, compressed=spelling.compressed)


def trace_voxels(phantom: Phantom) -> NDArray[np.int64]:
    """The voxels (N, 3: z y x) of a phantom's trace that lie inside its image, in the order of tracing.

    Raises:
        ValueError: the phantom has no trace.
    """
    if phantom.trace is None:
        msg = "the phantom has no trace: only TI phantoms can be written as a TI release"
        raise ValueError(msg)
    voxels = np.rint(phantom.geometry.lps_to_voxel(phantom.trace)).astype(np.int64)
    return voxels[phantom.geometry.contains(voxels.astype(np.float64))]


def _segmentation(phantom: Phantom, voxels: NDArray[np.int64], *, ti: int) -> NDArray[np.uint8]:
    away = np.ones(phantom.geometry.shape, dtype=bool)
    away[tuple(voxels.T)] = False
    colon = ndimage.distance_transform_edt(away, sampling=phantom.geometry.spacing) < _COLON_RADIUS_MM
    segmentation = np.where(colon, COLON, 0).astype(np.uint8)
    segmentation[phantom.label > 0] = ti
    return segmentation


def _write_table(file: Path, voxels: NDArray[np.int64], geometry: VolumeGeometry) -> None:
    """The trace as columns x, y, z, xd, yd, zd, and voxel and image size in a file beside it."""
    spacing = np.asarray(geometry.spacing[::-1])
    columns = voxels[:, ::-1]
    rows = (",".join([*map(str, point), *(f"{value:.4f}" for value in point * spacing)]) for point in columns)
    write_text(file, "\n".join(["x,y,z,xd,yd,zd", *rows]) + "\n")
    meta = [*(f"{value:g}" for value in spacing), *map(str, geometry.shape[::-1])]
    write_text(file.with_name(f"{file.stem}_meta.txt"), ",".join(meta) + "\n")
