"""Writing a raw dataset: nnU-Net's folder layout with point prompts beside the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spd_bench.prompts.points import PointPrompts, read_prompts, write_prompts
from spd_bench.raw.channels import write_channel
from spd_bench.raw.dataset import LABELS, check_case_name, image_path, label_path, prompt_path
from spd_bench.raw.description import read_description
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.raw.images.formats import FORMATS
from spd_bench.raw.volumes import write_volume
from spd_bench.storage import write_json


class RawDatasetWriter:
    """Writes cases one by one and, at the end, ``dataset.json``.

    Every file is written whole or not at all, and a case's label last, so that an interrupted run can be
    started again: cases that are there already stay, and a case that is written again is replaced.

    Args:
        folder: the dataset's folder, ``DatasetXXX_Name``.
        channel_names: one name a channel; "CT" chooses nnU-Net's global HU normalisation.
        description: where the data come from, in words.
        target_name: the name of label 1.
        file_ending: suffix of images and labels, which chooses their format.
        slice_axis: the axis of the arrays (z, y, x) that runs through the slices, where the writer knows it;
            else planning takes the coarsest one.
    """

    def __init__(
        self,
        *,
        folder: Path,
        channel_names: Sequence[str],
        description: str = "",
        target_name: str = "target",
        file_ending: str = ".nii.gz",
        slice_axis: int | None = None,
    ) -> None:
        if not channel_names:
            msg = "channel_names must name at least one channel"
            raise ValueError(msg)
        if target_name in {"background", "ignore"}:
            msg = f"target_name must not be a name that nnU-Net reserves, got {target_name!r}"
            raise ValueError(msg)
        if slice_axis not in (None, 0, 1, 2):
            msg = f"slice_axis must be 0, 1 or 2, got {slice_axis!r}"
            raise ValueError(msg)
        if file_ending.lower() not in FORMATS:
            msg = f"file_ending must be one of {', '.join(FORMATS)}, got {file_ending!r}"
            raise ValueError(msg)
        self._folder = folder
        self._channel_names = tuple(channel_names)
        self._description = description
        self._target_name = target_name
        self._file_ending = file_ending
        self._slice_axis = slice_axis
        self._patients: dict[str, str] = {}

    def add_case(
        self,
        *,
        case: str,
        images: Sequence[NDArray[Any]],
        label: NDArray[np.uint8],
        geometry: VolumeGeometry,
        prompts: PointPrompts | None,
        patient: str | None = None,
    ) -> None:
        """Write one case.

        Args:
            case: the case's id, a plain name.
            images: one array (z, y, x) a channel.
            label: 0 background, 1 target, shape (z, y, x).
            geometry: the grid that images and label share.
            prompts: the case's points, or None where they are to be simulated at planning time; simulated
                points that an earlier run left for this case are then removed, a reader's points stay.
            patient: the patient that the case was taken from; the case itself by default.

        Raises:
            InputError: the case id is not a plain name.
            ValueError: number of channels, shapes or label values are not as described, or the format cannot
                hold them.
        """
        check_case_name(case, file=self._folder)
        self._check_arrays(images, label, geometry)
        for channel, image in enumerate(images):
            write_channel(image_path(self._folder, case, channel, self._file_ending), image, geometry)
        self._write_prompts(prompt_path(self._folder, case), prompts)
        write_volume(label_path(self._folder, case, self._file_ending), label, geometry)
        self._patients[case] = patient or case

    def finish(self, *, patients: Mapping[str, str] | None = None) -> None:
        """Write ``dataset.json`` for all the cases that have a label in the folder.

        Patients of cases that an earlier run wrote are taken over from its ``dataset.json``.

        Args:
            patients: patient of each case that another writer wrote, in another process for instance.
        """
        cases = sorted(
            path.name.removesuffix(self._file_ending)
            for path in (self._folder / LABELS).glob(f"*{self._file_ending}")
            if not path.name.startswith(".")
        )
        known = self._known_patients() | self._patients | dict(patients or {})
        write_json(
            self._folder / "dataset.json",
            {
                "channel_names": {str(number): name for number, name in enumerate(self._channel_names)},
                "labels": {"background": 0, self._target_name: 1},
                "numTraining": len(cases),
                "file_ending": self._file_ending,
                **({} if self._slice_axis is None else {"slice_axis": self._slice_axis}),
                "patients": {case: known.get(case, case) for case in cases},
                "description": self._description,
            },
        )

    def _known_patients(self) -> dict[str, str]:
        file = self._folder / "dataset.json"
        return dict(read_description(file).patients) if file.is_file() else {}

    def _check_arrays(self, images: Sequence[NDArray[Any]], label: NDArray[np.uint8], geometry: VolumeGeometry) -> None:
        if len(images) != len(self._channel_names):
            msg = f"expected {len(self._channel_names)} channel(s), got {len(images)}"
            raise ValueError(msg)
        for array in (*images, label):
            if array.shape != geometry.shape:
                msg = f"array of shape {array.shape} does not fit the geometry's {geometry.shape}"
                raise ValueError(msg)
        if label.dtype != np.uint8 or label.max() > 1:
            msg = f"label must be uint8 with values 0 and 1, got {label.dtype} with maximum {label.max()}"
            raise ValueError(msg)

    @staticmethod
    def _write_prompts(path: Path, prompts: PointPrompts | None) -> None:
        if prompts is not None:
            write_prompts(path, prompts)
        elif path.is_file() and read_prompts(path).provenance.get("simulated"):
            path.unlink()
