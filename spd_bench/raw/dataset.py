"""Reading a raw dataset: nnU-Net's folder layout with point prompts beside the images.

Layout (nnU-Net v2)::

    DatasetXXX_Name/
      dataset.json
      imagesTr/<case>_0000.nii.gz  ...  one file a channel, or fewer where a file holds several (RGB)
      labelsTr/<case>.nii.gz
      promptsTr/<case>.mrk.json         ours; 3D Slicer opens it

Only names and ``dataset.json`` are read here, and headers where a case has fewer files than channels;
:mod:`spd_bench.raw.verify` opens the files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

from spd_bench.errors import InputError
from spd_bench.prompts.points import SUFFIX
from spd_bench.raw.channels import packed_files
from spd_bench.raw.description import DatasetDescription, read_description

IMAGES, LABELS, PROMPTS = "imagesTr", "labelsTr", "promptsTr"


@dataclass(frozen=True)
class RawCase:
    """One case and its files.

    Attributes:
        case: the case's id.
        patient: the patient it was taken from; splits keep a patient's cases together.
        images: the image files in the order of ``channel_names``: one a channel, or fewer where a file holds
            several (:func:`spd_bench.raw.channels.read_channels` reads either).
        label: the label file, or None where there is none.
        prompts: the case's prompt file, whether or not it exists.
    """

    case: str
    patient: str
    images: tuple[Path, ...]
    label: Path | None
    prompts: Path


@dataclass(frozen=True)
class RawDataset:
    """A raw dataset's files and what its ``dataset.json`` says.

    Attributes:
        folder: the dataset's folder.
        name: the folder's name, ``DatasetXXX_Name``.
        channel_names: channel number as a string -> name, as nnU-Net writes it.
        labels: label name -> value; labels that unite several values are in ``regions``.
        file_ending: suffix of images and labels, for example ``.nii.gz``.
        cases: the training cases, sorted by id.
        num_training: the number of cases that ``dataset.json`` announces.
        regions: region name -> the label values it unites (nnU-Net's region-based labels).
        slice_axis: the axis of a stored volume (z, y, x) that runs through the slices, None for the coarsest.
    """

    folder: Path
    name: str
    channel_names: dict[str, str]
    labels: dict[str, int]
    file_ending: str
    cases: tuple[RawCase, ...]
    num_training: int
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    slice_axis: int | None = None

    @property
    def label_values(self) -> tuple[int, ...]:
        """Every value that a label file may hold, sorted, background included."""
        united = (value for region in self.regions.values() for value in region)
        return tuple(sorted({*self.labels.values(), *united}))


def read_raw_dataset(folder: Path) -> RawDataset:
    """Read a raw dataset's ``dataset.json`` and list its cases.

    Files are found as nnU-Net finds them: in ``imagesTr`` and ``labelsTr``, or where ``dataset.json``'s
    optional key ``dataset`` says. A case without a label is listed with ``label=None``.

    Args:
        folder: the dataset's folder, ``DatasetXXX_Name``.

    Raises:
        InputError: ``dataset.json`` is missing, unreadable or incomplete; there are no cases; an image name
            without a channel number; a channel file is missing or not announced; a label without an image;
            a case id that is not a plain name.
    """
    if not folder.is_dir():
        raise InputError("no such raw dataset", file=folder, remedy="check the name, or make or convert the dataset")
    description = read_description(folder / "dataset.json")
    if description.listed_files is None:
        files = _files_of_folders(folder, description)
    else:
        files = _files_of_list(folder, description.listed_files)
    return RawDataset(
        folder=folder,
        name=folder.name,
        channel_names=description.channel_names,
        labels=description.labels,
        file_ending=description.file_ending,
        cases=tuple(_raw_case(folder, case, files[case], description) for case in sorted(files)),
        num_training=description.num_training,
        regions=description.regions,
        slice_axis=description.slice_axis,
    )


def check_case_name(case: str, *, file: Path) -> None:
    """Raise InputError unless ``case`` is a plain name that can stand for files in any folder."""
    if not case or case.startswith(".") or not case.isprintable() or re.search(r'[/\\:*?"<>|]', case):
        raise InputError(
            f"case id {case!r} is not a plain name",
            file=file,
            remedy="use letters, digits, - and _; no path separators and no leading dot",
        )


def image_path(folder: Path, case: str, channel: int, file_ending: str) -> Path:
    """Where a channel of a training case lies in a dataset's folder."""
    return folder / IMAGES / f"{case}_{channel:04d}{file_ending}"


def label_path(folder: Path, case: str, file_ending: str) -> Path:
    """Where a training case's label lies in a dataset's folder."""
    return folder / LABELS / f"{case}{file_ending}"


def prompt_path(folder: Path, case: str) -> Path:
    """Where a training case's prompts lie in a dataset's folder."""
    return folder / PROMPTS / f"{case}{SUFFIX}"


_Files = tuple[tuple[Path, ...], Path]


def _raw_case(folder: Path, case: str, files: _Files, description: DatasetDescription) -> RawCase:
    images, label = files
    check_case_name(case, file=folder / "dataset.json" if description.listed_files is not None else images[0])
    packed = packed_files(images, announced=len(description.channel_names))
    if not packed:
        _check_channels(case, images, description)
    return RawCase(
        case=case,
        patient=description.patients.get(case, case),
        images=packed or images,
        label=label if os.path.isfile(label) else None,
        prompts=prompt_path(folder, case),
    )


def _check_channels(case: str, images: Sequence[Path], description: DatasetDescription) -> None:
    expected = len(description.channel_names)
    for image in images:
        # dataset.json can list a name that is too long for any file, at which Path.is_file fails.
        if not os.path.isfile(image):
            raise InputError(
                f"an image of case {case} is missing",
                file=image,
                remedy=f"add it; dataset.json announces {expected} channel(s) a case",
            )
    if len(images) != expected:
        raise InputError(
            f"case {case} has {len(images)} image files, but dataset.json announces {expected} channel(s)",
            file=images[-1] if images else description.file,
            remedy="correct channel_names in dataset.json, or the images",
        )


def _files_of_folders(folder: Path, description: DatasetDescription) -> dict[str, _Files]:
    ending = description.file_ending
    pattern = re.compile(rf"(?P<case>.+)_(?P<channel>\d{{4}}){re.escape(ending)}")
    channels: dict[str, set[int]] = {}
    for path in _listed(folder / IMAGES, ending):
        match = pattern.fullmatch(path.name)
        if match is None:
            raise InputError(
                "image name without a channel number", file=path, remedy=f"rename it to <case>_0000{ending}"
            )
        channels.setdefault(match["case"], set()).add(int(match["channel"]))
    if not channels:
        raise InputError(
            f"no cases: no file ends with {ending}",
            file=folder / IMAGES,
            remedy="add images, or correct file_ending in dataset.json",
        )
    for path in _listed(folder / LABELS, ending):
        if path.name.removesuffix(ending) not in channels:
            raise InputError("label without an image", file=path, remedy=f"add its image to {IMAGES} or remove it")
    expected = range(len(description.channel_names))
    return {
        case: (
            tuple(image_path(folder, case, channel, ending) for channel in sorted({*found, *expected})),
            label_path(folder, case, ending),
        )
        for case, found in channels.items()
    }


def _listed(folder: Path, ending: str) -> list[Path]:
    if not folder.is_dir():
        raise InputError("folder not found", file=folder, remedy=f"a raw dataset needs {IMAGES} and {LABELS}")
    files = sorted(path for path in folder.iterdir() if path.name.endswith(ending) and path.is_file())
    for path in files:
        # nnU-Net would take it for a case of its own.
        if path.name.startswith("."):
            raise InputError("hidden file among the data", file=path, remedy="delete it; nnU-Net takes it for a case")
    return files


def _files_of_list(folder: Path, listed: Mapping[str, Any]) -> dict[str, _Files]:
    description = folder / "dataset.json"
    try:
        # nnU-Net's own rule: environment variables are expanded, relative paths start at the dataset's folder.
        entries = get_filenames_of_train_images_and_targets(str(folder), {"dataset": _copied(listed)})
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'the key "dataset" is malformed ({type(error).__name__}: {error})',
            file=description,
            remedy='write {case: {"images": [one path a channel], "label": path}}',
        ) from error
    if not entries:
        raise InputError('no cases: the key "dataset" is empty', file=description, remedy="list the cases or remove it")
    return {case: (tuple(map(Path, entry["images"])), Path(entry["label"])) for case, entry in entries.items()}


def _copied(listed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    # nnU-Net's function writes into what it is given.
    return {case: {"images": list(entry["images"]), "label": entry["label"]} for case, entry in listed.items()}
