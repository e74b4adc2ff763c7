"""Every kind of file that the package reads, and how it does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file

from benchmarks.phantom_plans import planned_phantoms
from spd_bench.cells import Cell, Grid
from spd_bench.comparison import compare
from spd_bench.comparison_tables import rebuild
from spd_bench.evaluation import evaluate_folders
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import METHODS
from spd_bench.models.weight_files import read_state_dict
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan, read_plan
from spd_bench.planning.planner import PLANS_NAME
from spd_bench.planning.preprocessed_cases import PreprocessedCases
from spd_bench.planning.preprocessing import slice_index_folder
from spd_bench.planning.sums import check_sums, sums_path
from spd_bench.prediction.raw_case import raw_case_files
from spd_bench.prediction.volume import read_prompted_volume, slice_points
from spd_bench.raw.dataset import read_raw_dataset
from spd_bench.raw.verify import verify_raw_dataset
from spd_bench.training.checkpoints import FINAL
from spd_bench.training.records import RECORD_NAME, read_record
from spd_bench.training.run import load_network
from spd_bench.training.settings import Budget
from spd_bench.training.windows import read_slice_index

_CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """A small comparison, made once.

    Attributes:
        root: folder of everything.
        plan: of five phantoms.
        folders: nnU-Net's folders.
        grid: of the comparison.
        cell: its trained cell.
    """

    root: Path
    plan: Plan
    folders: DataFolders
    grid: Grid
    cell: Cell

    @property
    def case(self) -> str:
        """A test case."""
        return str(self.plan.split(0)["test"][0])

    @property
    def run_folder(self) -> Path:
        """The trained run."""
        return self.grid.run(self.cell).folder

    @property
    def preprocessed(self) -> Path:
        """Preprocessed cases of our configuration."""
        return self.plan.folder / f"{PLANS_NAME}_{self.plan.configuration}"


def make_workplace(root: Path) -> Workplace:
    """Phantoms, planned, and a comparison of a U-Net that was trained for two epochs."""
    plan, folders = planned_phantoms(root, task="TI", cases=5, size=32, slices=10, resolution=32)
    os.environ.update({"nnUNet_results": str(folders.results)})
    grid = Grid(
        raw=folders.raw,
        results=folders.results,
        output=root / "comparison",
        budget=Budget(epochs=2, iterations_per_epoch=2, batch_size=2),
        options=lambda name: MethodOptions(overrides={"base_features": 4}),
        device=_CPU,
    )
    cell = Cell(plan=plan, method=METHODS["unet"], fold=0)
    compare([cell], grid)
    weights = {"layer.weight": torch.arange(12.0).reshape(3, 4), "layer.bias": torch.zeros(3)}
    save_file(weights, root / "weights.safetensors")
    torch.save(weights, root / "weights.pth")
    return Workplace(root=root, plan=plan, folders=folders, grid=grid, cell=cell)


class ReadFile(NamedTuple):
    """A kind of file.

    Attributes:
        path: where it lies.
        read: what the package does with it.
        needed: whether its absence is a fault; a run that has no record yet is none.
    """

    path: Callable[[Workplace], Path]
    read: Callable[[Workplace], object]
    needed: bool = True


def _raw(*parts: str) -> Callable[[Workplace], Path]:
    return lambda place: Path(place.folders.raw, place.plan.dataset, *(part.format(case=place.case) for part in parts))


def _verify(place: Workplace) -> None:
    verify_raw_dataset(read_raw_dataset(place.folders.raw / place.plan.dataset), target_labels=(1,))


def _read_case(place: Workplace) -> None:
    files = raw_case_files(place.plan, place.folders.raw, place.case)
    slice_points(read_prompted_volume(place.case, files.images, files.prompts), place.plan)


def _read_preprocessed(place: Workplace) -> None:
    check_sums(place.preprocessed, [place.case])
    PreprocessedCases(str(place.preprocessed), [place.case]).read_slices(place.case)


def _preprocessed(suffix: str) -> ReadFile:
    return ReadFile(lambda place: place.preprocessed / f"{place.case}{suffix}", _read_preprocessed)


def _planned(name: str) -> ReadFile:
    return ReadFile(lambda place: place.plan.folder / name, lambda place: read_plan(place.plan.folder).split(0))


def _evaluate(place: Workplace) -> None:
    evaluate_folders(
        reference=place.plan.reference_folder,
        prediction=place.grid.folder(place.cell) / "predictions",
        dataset=place.plan.dataset,
        method="unet",
        cases=[place.case],
    )


def _compared(*parts: str) -> ReadFile:
    return ReadFile(
        lambda place: place.grid.output.joinpath(*(part.format(cell=place.cell.name) for part in parts)),
        lambda place: rebuild(place.grid.output, place.root / "rebuilt"),
    )


def _load_checkpoint(place: Workplace) -> None:
    trainer = place.cell.method.trainer
    if trainer is None:
        msg = f"{place.cell.method.name} is not trained"
        raise TypeError(msg)
    load_network(trainer, place.run_folder, plan=place.plan, device=_CPU)


def _weights(ending: str) -> ReadFile:
    return ReadFile(
        lambda place: place.root / f"weights.{ending}", lambda place: read_state_dict(place.root / f"weights.{ending}")
    )


FILES: Mapping[str, ReadFile] = {
    "dataset.json": ReadFile(_raw("dataset.json"), _verify),
    "image": ReadFile(_raw("imagesTr", "{case}_0000.nii.gz"), _read_case),
    "image, when it is verified": ReadFile(_raw("imagesTr", "{case}_0000.nii.gz"), _verify),
    "label": ReadFile(_raw("labelsTr", "{case}.nii.gz"), _verify),
    "prompts": ReadFile(_raw("promptsTr", "{case}.mrk.json"), _read_case),
    "plan": _planned("SPDPlans.json"),
    "splits": _planned("splits_final.json"),
    "planned dataset.json": _planned("dataset.json"),
    "marker of the plan": _planned("spd_complete.json"),
    "preprocessed image": _preprocessed(".b2nd"),
    "preprocessed label": _preprocessed("_seg.b2nd"),
    "preprocessed properties": _preprocessed(".pkl"),
    # Folders of older versions have none.
    "sums of preprocessed files": ReadFile(
        lambda place: sums_path(place.preprocessed), _read_preprocessed, needed=False
    ),
    "list of slices": ReadFile(
        lambda place: slice_index_folder(place.preprocessed) / f"{place.case}.json",
        lambda place: read_slice_index(place.preprocessed, place.case),
    ),
    "reference": ReadFile(lambda place: place.plan.reference_folder / f"{place.case}.nii.gz", _evaluate),
    # A missing prediction is an empty mask, and counted.
    "prediction": ReadFile(
        lambda place: place.grid.folder(place.cell) / "predictions" / f"{place.case}.nii.gz", _evaluate, needed=False
    ),
    "checkpoint": ReadFile(lambda place: place.run_folder / FINAL, _load_checkpoint),
    "run record": ReadFile(
        lambda place: place.run_folder / RECORD_NAME, lambda place: read_record(place.run_folder), needed=False
    ),
    "slices.csv": _compared("slices.csv"),
    "volumes.csv": _compared("volumes.csv"),
    "comparison.json": _compared("comparison.json"),
    "compared run record": _compared("runs", "{cell}.json"),
    "weights, safetensors": _weights("safetensors"),
    "weights, pth": _weights("pth"),
}
"""By name; the paths of one kind are those of one workplace."""
