"""Which of nnU-Net's readers reads a dataset: always one that leaves the voxels in stored order; what it would note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import SimpleITK as sitk
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO

from spd_bench.raw.channels import read_channels_header
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.planes import is_plane


def reader_of(dataset_json: Mapping[str, Any], files: Mapping[str, Any]) -> type[BaseReaderWriter]:
    """nnU-Net's reader for a dataset, by its file ending and, for ``.tif``, by what the first case holds.

    nnU-Net itself would try its readers in turn on the first image and take a ``.tif`` stack of three slices for
    an RGB image; and it would read ``.nii`` by nibabel, which gives the same voxels.

    Args:
        dataset_json: the dataset's ``dataset.json``.
        files: case -> ``{"images": [paths], ...}``, as nnU-Net lists a dataset's files.
    """
    ending = dataset_json["file_ending"].lower()
    if ending in (".png", ".bmp"):
        return NaturalImage2DIO
    if ending not in (".tif", ".tiff"):
        return SimpleITKIO
    first = next(iter(files.values()))["images"]
    return NaturalImage2DIO if is_plane(read_channels_header([Path(first[0])]).geometry) else Tiff3DIO


def read_properties(
    reader: type[BaseReaderWriter], files: Sequence[Path | str], geometry: VolumeGeometry
) -> dict[str, Any]:
    """What nnU-Net's reader would note of a case whose voxels were read by :mod:`spd_bench.raw.channels`.

    Args:
        reader: the reader.
        files: the case's image files.
        geometry: the grid of the case.
    """
    properties: dict[str, Any] = {"spacing": list(geometry.spacing)}
    if issubclass(reader, SimpleITKIO):
        header = sitk.ImageFileReader()
        header.SetFileName(str(files[0]))
        header.ReadImageInformation()
        properties["sitk_stuff"] = {
            "spacing": header.GetSpacing(),
            "origin": header.GetOrigin(),
            "direction": header.GetDirection(),
        }
    return properties
