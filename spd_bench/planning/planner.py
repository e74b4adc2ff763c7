"""The planner: nnU-Net's own plan with a fixed-size slice configuration beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.paths import nnUNet_preprocessed

from spd_bench.planning.readers import reader_of
from spd_bench.planning.settings import PlanSettings

PLANS_NAME = "SPDPlans"
TARGET_LABELS = {"background": 0, "target": 1}
_BATCH_SIZE = 8


def slice_configuration_name(resolution: int) -> str:
    """Name of the configuration with square slices of ``resolution`` pixels, ``spd_512`` by default."""
    return f"spd_{resolution}"


class SPDPlanner(ExperimentPlanner):
    """Plans ``2d``, ``3d_fullres``... exactly as nnU-Net does, and adds ``spd_<resolution>``.

    The added configuration inherits from ``2d``, keeps every slice (a spacing of two entries means that
    nothing is resampled between slices) and holds all of ours under the one key ``spd``, so that nnU-Net's
    own tools still read the plans. Give the class itself to whoever needs a planner: nnU-Net finds planners
    by name only inside its own package.

    Args:
        dataset_name_or_id: as nnU-Net takes it.
        settings: the user's choices; keyword only because nnU-Net's own arguments come before.
    """

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 8,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = PLANS_NAME,
        overwrite_target_spacing: list[float] | None = None,
        suppress_transpose: bool = False,
        *,
        settings: PlanSettings | None = None,
    ) -> None:
        self.settings = settings or PlanSettings(gpu_memory_gb=gpu_memory_target_in_gb)
        super().__init__(
            dataset_name_or_id,
            self.settings.gpu_memory_gb,
            preprocessor_name,
            plans_name,
            overwrite_target_spacing,
            suppress_transpose,
        )
        # Every method segments one target, so nnU-Net's row is planned for one as well.
        self.dataset_json["labels"] = dict(TARGET_LABELS)
        self.dataset_json.pop("regions_class_order", None)

    def determine_reader_writer(self) -> type[BaseReaderWriter]:
        """Volumes are read in the order in which they are stored, whatever the dataset asks for.

        Points and predictions refer to the stored grid; a reader that reorients would part from it.
        """
        return reader_of(self.dataset_json, self.dataset)

    def determine_transpose(self) -> tuple[list[int], list[int]]:
        """The dataset's ``slice_axis`` first, the others in order; without one nnU-Net's rule, the coarsest first."""
        axis = self.dataset_json.get("slice_axis")
        if axis is None or self.suppress_transpose:
            transposes: tuple[list[int], list[int]] = super().determine_transpose()
            return transposes
        forward = [axis, *(other for other in range(3) if other != axis)]
        return forward, [forward.index(axis) for axis in range(3)]

    def plan_experiment(self) -> dict[str, Any]:
        """Plan, save and return the plans."""
        settings = self.settings
        # nnU-Net keeps configurations of an older plans file that it does not know itself.
        Path(str(nnUNet_preprocessed), self.dataset_name, f"{self.plans_identifier}.json").unlink(missing_ok=True)
        plans: dict[str, Any] = super().plan_experiment()
        name = slice_configuration_name(settings.resolution)
        plans["configurations"][name] = {
            "inherits_from": "2d",
            "data_identifier": self.generate_data_identifier(name),
            "patch_size": [settings.resolution, settings.resolution],
            "batch_size": _BATCH_SIZE,
            "spd": {
                "resolution": settings.resolution,
                "context": settings.context,
                "intensity_range": [-1.0, 1.0],
                "channels": settings.sam_channels(len(self.dataset_json["channel_names"])),
            },
        }
        plans["spd"] = {
            "configuration": name,
            "target_labels": list(settings.target_labels),
            "seed": settings.seed,
            "folds": settings.folds,
        }
        self.save_plans(plans)
        return plans
