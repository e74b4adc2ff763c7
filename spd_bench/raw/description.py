"""A raw dataset's ``dataset.json``: nnU-Net's keys, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spd_bench.errors import InputError
from spd_bench.raw.images.formats import FORMATS
from spd_bench.storage import read_json

REQUIRED_KEYS = ("channel_names", "labels", "numTraining", "file_ending")


@dataclass(frozen=True, kw_only=True)
class DatasetDescription:
    """What a ``dataset.json`` says.

    Attributes:
        file: the file itself.
        channel_names: channel number as a string -> name.
        labels: label name -> value, for labels of a single value.
        regions: label name -> values, for labels that unite several values.
        num_training: the announced number of training cases.
        file_ending: suffix of images and labels, with its leading dot.
        slice_axis: the axis of a stored volume (z, y, x) that runs through the slices, our own optional key
            ``slice_axis``; None where it is absent, and nnU-Net's rule (the coarsest axis) holds.
        patients: case -> patient, our own optional key ``patients``; empty where it is absent.
        listed_files: nnU-Net's optional key ``dataset`` as it stands, or None.
    """

    file: Path
    channel_names: dict[str, str]
    labels: dict[str, int]
    regions: dict[str, tuple[int, ...]]
    num_training: int
    file_ending: str
    slice_axis: int | None
    patients: Mapping[str, str]
    listed_files: Mapping[str, Any] | None


def read_description(file: Path) -> DatasetDescription:
    """Read and check a ``dataset.json``.

    Raises:
        InputError: the file is missing, not JSON, lacks one of nnU-Net's required keys, or a key holds
            something else than nnU-Net defines.
    """
    content = read_json(file)
    if not isinstance(content, dict):
        raise InputError("dataset.json does not hold an object", file=file, remedy="write it as nnU-Net defines it")
    missing = [key for key in REQUIRED_KEYS if key not in content]
    if missing:
        raise InputError(f"missing key(s) {', '.join(missing)}", file=file, remedy="add them as nnU-Net defines them")
    labels, regions = _labels(content, file)
    return DatasetDescription(
        file=file,
        channel_names=_channel_names(content["channel_names"], file),
        labels=labels,
        regions=regions,
        num_training=_num_training(content["numTraining"], file),
        file_ending=_file_ending(content["file_ending"], file),
        slice_axis=_slice_axis(content.get("slice_axis"), file),
        patients=_patients(content.get("patients", {}), file),
        listed_files=content.get("dataset"),
    )


def _channel_names(value: Any, file: Path) -> dict[str, str]:
    numbers = [str(number) for number in range(len(value))] if isinstance(value, dict) else []
    if not numbers or sorted(value) != sorted(numbers) or not all(isinstance(name, str) for name in value.values()):
        raise InputError(
            f"channel_names is {value!r}", file=file, remedy='number the channels from 0, for example {"0": "CT"}'
        )
    return {number: value[number] for number in numbers}


def _labels(content: Mapping[str, Any], file: Path) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    value = content["labels"]
    if not isinstance(value, dict) or not _is_label(value.get("background")) or value["background"] != 0:
        raise InputError(f"labels is {value!r}", file=file, remedy='map names to values, starting with "background": 0')
    labels: dict[str, int] = {}
    regions: dict[str, tuple[int, ...]] = {}
    for name, entry in value.items():
        if _is_label(entry):
            labels[name] = entry
        elif isinstance(entry, list) and len(entry) == 1 and _is_label(entry[0]):
            labels[name] = entry[0]
        elif isinstance(entry, list) and entry and all(map(_is_label, entry)):
            regions[name] = tuple(entry)
        else:
            raise InputError(
                f"label {name!r} is {entry!r}",
                file=file,
                remedy="give a non-negative integer, or a list of such integers for a region",
            )
    _check_regions(regions, len(value.keys() - {"background", "ignore"}), content.get("regions_class_order"), file)
    return labels, regions


def _check_regions(regions: Mapping[str, tuple[int, ...]], foreground: int, order: Any, file: Path) -> None:
    if regions and not (isinstance(order, list) and len(order) == foreground):
        raise InputError(
            f"region-based labels with regions_class_order {order!r}",
            file=file,
            remedy=f"add regions_class_order with one value for each of the {foreground} labels",
        )


def _is_label(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _num_training(value: Any, file: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"numTraining is {value!r}", file=file, remedy="write the number of training cases")
    return value


def _file_ending(value: Any, file: Path) -> str:
    if not isinstance(value, str) or not value.startswith(".") or len(value) < 2:
        raise InputError(f"file_ending is {value!r}", file=file, remedy='write a suffix with its dot, like ".nii.gz"')
    if value.lower() not in FORMATS:
        raise InputError(
            f"file_ending {value!r} is no format of nnU-Net",
            file=file,
            remedy=f"save images and labels without loss as one of {', '.join(FORMATS)}",
        )
    return value


def _slice_axis(value: Any, file: Path) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or value not in (0, 1, 2) or not isinstance(value, int):
        raise InputError(f"slice_axis is {value!r}", file=file, remedy="write 0, 1 or 2, an axis of (z, y, x)")
    return value


def _patients(value: Any, file: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(patient, str) and patient for patient in value.values()):
        raise InputError("patients does not map cases to names", file=file, remedy="write {case: patient}, both text")
    return value
