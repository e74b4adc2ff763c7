"""A finished SPD run and its test volumes, read for ablations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from benchmarks.ablation_cases import EncodedCase, encode_case
from spd_bench.cells import Cell, Grid
from spd_bench.evaluation.masks import read_reference_mask
from spd_bench.methods.registry import get_method
from spd_bench.models.spd import SPDNetwork
from spd_bench.planning.grid import resize_masks
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import read_prompted_volume, slice_points, volume_slices
from spd_bench.raw.dataset import RawCase, read_raw_dataset
from spd_bench.training.run import load_network
from spd_bench.training.spd_settings import SPDSettings
from spd_bench.training.spd_trainer import SPDTrainer


@dataclass(frozen=True, kw_only=True)
class TrainedSpd:
    """A trained SPD network and what it is tested on.

    Attributes:
        network: the network in evaluation mode.
        context: n that it was trained with.
        plan: the planned dataset.
        cases: the test cases.
    """

    network: SPDNetwork
    context: int
    plan: Plan
    cases: list[RawCase]

    @classmethod
    def of_run(cls, plan: Plan, grid: Grid) -> TrainedSpd:
        """Read the run of the row ``spd`` on the first fold.

        Raises:
            InputError: the run is not finished.
        """
        run = grid.run(Cell(plan=plan, method=get_method("spd"), fold=0))
        network, checkpoint = load_network(SPDTrainer, run.folder, plan=plan, device=grid.device)
        settings = SPDSettings(**checkpoint["init_args"]["plans"]["spd_method"])
        wanted = set(plan.split(0)["test"])
        return cls(
            network=cast(SPDNetwork, network),
            context=settings.context_of(plan.slice_settings["context"]),
            plan=plan,
            cases=[case for case in read_raw_dataset(grid.raw / plan.dataset).cases if case.case in wanted],
        )

    @property
    def threshold(self) -> float:
        """The tau that the run was trained with."""
        return float(self.network.threshold)

    def encode(self, case: RawCase) -> EncodedCase:
        """Everything about a test volume that does not depend on how its points are distilled."""
        volume = read_prompted_volume(case.case, case.images, case.prompts)
        target, _ = read_reference_mask(self.plan.reference_folder / f"{case.case}{self.plan.file_ending}")
        side = self.plan.resolution
        planned = resize_masks(target.transpose(self.plan.transpose).astype(np.uint8), (side, side)) > 0
        return encode_case(
            self.network,
            volume_slices(volume, self.plan),
            slice_points(volume, self.plan),
            target=target,
            planned_target=planned,
            transpose=self.plan.transpose,
        )
