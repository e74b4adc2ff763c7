"""The headers of the DICOM files of a folder: which slices lie there, and to which series they belong."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom

from spd_bench.errors import InputError

# Left behind by Windows, macOS (whose files start with a dot) and by discs of images.
_STRAY_NAMES = frozenset({"thumbs.db", "desktop.ini", "dicomdir"})
_DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
_TAGS = [
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "RescaleSlope",
    "RescaleIntercept",
]


@dataclass(frozen=True, kw_only=True)
class SliceHeader:
    """What is needed of one image's header before its pixels are read.

    Attributes:
        file: the DICOM file.
        series: SeriesInstanceUID.
        description: SeriesDescription.
        instance: SOPInstanceUID.
        number: InstanceNumber.
        size: rows and columns.
        frames: images in the file; 1 but for enhanced DICOM.
        position: ImagePositionPatient, mm (LPS, x y z) of the first pixel's centre.
        orientation: ImageOrientationPatient, the directions along a row and down a column.
        pixel_spacing: mm between rows and between columns.
        rescale: slope and intercept that make HU of the stored values.
    """

    file: Path
    series: str
    description: str
    instance: str
    number: int | None
    size: tuple[int, int]
    frames: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    rescale: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class FolderHeaders:
    """The images of a folder.

    Attributes:
        series: SeriesInstanceUID -> its images in the natural order of their file names.
        ignored: files that hold no greyscale image.
    """

    series: dict[str, tuple[SliceHeader, ...]]
    ignored: tuple[Path, ...]


def natural_key(name: str) -> tuple[Any, ...]:
    """Sort key that counts as people do: D1, D2, D10; "D01" and "D1" keep a fixed order."""
    # Splitting at a group leaves text and digits by turns, so that like is compared with like.
    parts = re.split(r"(\d+)", name.casefold())
    return tuple(int(part) if number % 2 else part for number, part in enumerate(parts)), name


def dicom_files(folder: Path) -> tuple[Path, ...]:
    """The files below a folder that may be DICOM, in the natural order of their names; suffixes do not matter."""
    files = (path for path in folder.rglob("*") if path.is_file())
    kept = (path for path in files if not path.name.startswith(".") and path.name.casefold() not in _STRAY_NAMES)
    return tuple(sorted(kept, key=lambda path: natural_key(path.relative_to(folder).as_posix())))


def read_headers(files: Iterable[Path]) -> FolderHeaders:
    """Read the headers of files, which stay in the order that they are given in.

    Raises:
        InputError: a file that is called a DICOM file is none, or a header's values cannot be read.
    """
    series: dict[str, list[SliceHeader]] = {}
    ignored: list[Path] = []
    for file in files:
        dataset = _read(file, _TAGS)
        if dataset is None or "Rows" not in dataset or int(dataset.get("SamplesPerPixel", 1)) != 1:
            ignored.append(file)
            continue
        header = _header(file, dataset)
        series.setdefault(header.series, []).append(header)
    return FolderHeaders(series={uid: tuple(slices) for uid, slices in series.items()}, ignored=tuple(ignored))


def image_uids(files: Iterable[Path]) -> set[str]:
    """The SOPInstanceUIDs that name one image each; files that cannot be read are passed over.

    Where anonymisation has given several images of the folder the same UID, it names none.
    """
    times: Counter[str] = Counter()
    for file in files:
        try:
            dataset = _read(file, ["SOPInstanceUID"])
        except InputError:
            continue
        if dataset is not None:
            times[str(dataset.get("SOPInstanceUID", ""))] += 1
    return {uid for uid, number in times.items() if uid and number == 1}


def _read(file: Path, tags: list[str]) -> pydicom.Dataset | None:
    """A file's header, or None where the file is not DICOM and does not claim to be."""
    try:
        # Vendors' files break the standard in ways that do not matter here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(tags))
    # pydicom has no common error: a damaged file raises whatever its bytes happen to run into.
    except Exception as error:
        if file.suffix.casefold() not in _DICOM_SUFFIXES:
            return None
        raise _unreadable(file, "is empty" if file.stat().st_size == 0 else _first_line(error)) from error


def _header(file: Path, dataset: pydicom.Dataset) -> SliceHeader:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return SliceHeader(
                file=file,
                series=str(dataset.get("SeriesInstanceUID", "")),
                description=str(dataset.get("SeriesDescription", "")),
                instance=str(dataset.get("SOPInstanceUID", "")),
                number=_whole(dataset.get("InstanceNumber")),
                size=(int(dataset.Rows), int(dataset.Columns)),
                frames=_whole(dataset.get("NumberOfFrames")) or 1,
                position=_numbers(dataset.get("ImagePositionPatient"), count=3),
                orientation=_numbers(dataset.get("ImageOrientationPatient"), count=6),
                pixel_spacing=_numbers(dataset.get("PixelSpacing"), count=2),
                rescale=(_number(dataset.get("RescaleSlope"), 1.0), _number(dataset.get("RescaleIntercept"), 0.0)),
            )
    except Exception as error:
        raise _unreadable(file, _first_line(error)) from error


def _unreadable(file: Path, reason: str) -> InputError:
    return InputError(
        f"DICOM file cannot be read ({reason})", file=file, remedy="replace the file; it may be truncated"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _whole(value: Any) -> int | None:
    return None if value in (None, "") else int(value)


def _number(value: Any, default: float) -> float:
    return default if value in (None, "") else float(value)


def _numbers(value: Any, *, count: int) -> tuple[float, ...] | None:
    # An empty element is as good as none; so is one with another number of values.
    if value in (None, "") or len(value) != count:
        return None
    return tuple(float(number) for number in value)
