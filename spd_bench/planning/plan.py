"""The plans of a dataset as one typed object, read from its preprocessed folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from spd_bench.errors import InputError
from spd_bench.planning.plan_checks import check_marker, check_plans, check_splits
from spd_bench.planning.planner import PLANS_NAME
from spd_bench.planning.splits import Split
from spd_bench.raw.description import read_description
from spd_bench.storage import read_json, sha256_of_json

NNUNET_CONFIGURATION = "2d"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A planned dataset.

    Attributes:
        folder: the dataset's preprocessed folder.
        plans: nnU-Net plans with our additions under ``spd``.
        dataset_json: the dataset with its target labels merged into one.
        splits: ``train``, ``val`` and ``test`` cases of each fold.
        patients: patient of each case.
        prompts_sha256: hash of all prompt files, the same for every method.
        prompts_provenance: where the prompts come from, as the files of the first case say.
    """

    folder: Path
    plans: dict[str, Any]
    dataset_json: dict[str, Any]
    splits: list[Split]
    patients: dict[str, str]
    prompts_sha256: str
    prompts_provenance: dict[str, Any]

    @property
    def dataset(self) -> str:
        """Folder name of the dataset, ``Dataset501_TI``."""
        return self.folder.name

    @property
    def configuration(self) -> str:
        """Name of the configuration with fixed-size slices."""
        return str(self.plans["spd"]["configuration"])

    @property
    def slice_settings(self) -> dict[str, Any]:
        """Resolution, context and channels of the fixed-size slices."""
        settings: dict[str, Any] = self.plans["configurations"][self.configuration]["spd"]
        return settings

    @property
    def resolution(self) -> int:
        """Side of the fixed-size slices in pixels."""
        return int(self.slice_settings["resolution"])

    @property
    def transpose(self) -> tuple[int, ...]:
        """Axis order of the planned arrays; the first axis runs through the slices."""
        return tuple(self.plans["transpose_forward"])

    @property
    def slice_axis(self) -> int:
        """The axis of a volume (z, y, x) that runs through its slices."""
        return self.transpose[0]

    @property
    def file_ending(self) -> str:
        """Suffix of the dataset's volumes."""
        return str(self.dataset_json["file_ending"])

    @property
    def reference_folder(self) -> Path:
        """Folder of the target masks on the volumes' own grid."""
        return self.folder / "gt_segmentations"

    def managers(self, configuration: str) -> tuple[PlansManager, ConfigurationManager]:
        """nnU-Net's own view of the plans and of one configuration."""
        plans_manager = PlansManager(self.plans)
        return plans_manager, plans_manager.get_configuration(configuration)

    def split(self, fold: int) -> Split:
        """The cases of one fold; InputError where the fold does not exist."""
        if not 0 <= fold < len(self.splits):
            raise InputError(
                f"fold {fold} does not exist",
                file=self.folder / "splits_final.json",
                remedy=f"choose one of 0..{len(self.splits) - 1}",
            )
        return self.splits[fold]

    def hashes(self) -> dict[str, str]:
        """What a result stands on: SHA-256 of plans, splits and prompts."""
        return {
            "plan": sha256_of_json(self.plans),
            "splits": sha256_of_json(self.splits),
            "prompts": self.prompts_sha256,
        }


def read_plan(folder: Path) -> Plan:
    """Read the plan of a preprocessed dataset.

    Raises:
        InputError: the dataset has not been planned (or only in part), or a file holds something else than a plan.
    """
    marker_file, plans_file, splits_file = (
        folder / name for name in ("spd_complete.json", f"{PLANS_NAME}.json", "splits_final.json")
    )
    if not marker_file.is_file():
        raise InputError(
            "this dataset is not planned and preprocessed",
            file=folder,
            remedy="run spd_plan_and_preprocess first",
        )
    marker, plans, splits = (read_json(file) for file in (marker_file, plans_file, splits_file))
    check_marker(marker, file=marker_file)
    check_plans(plans, file=plans_file)
    check_splits(splits, file=splits_file)
    read_description(folder / "dataset.json")
    return Plan(
        folder=folder,
        plans=plans,
        dataset_json=read_json(folder / "dataset.json"),
        splits=splits,
        patients=marker["patients"],
        prompts_sha256=marker["prompts_sha256"],
        prompts_provenance=marker["prompts_provenance"],
    )
