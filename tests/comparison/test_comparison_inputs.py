"""Prediction sees the images and prompts of the test cases, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.comparison import compare
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import METHODS
from spd_bench.methods.registry import ROWS as ALL_ROWS
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume
from spd_bench.storage import read_json, write_json


class Witness:
    """Keeps the volumes that it is given."""

    def __init__(self, seen: list[PromptedVolume]) -> None:
        self._seen = seen

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        self._seen.append(volume)
        return Prediction(mask=np.zeros(volume.geometry.shape, np.uint8))


def test_prediction_needs_no_labels(
    planned: Plan, make_grid: Callable[..., Grid], tiny_raw: Path, tmp_path: Path, cells_of: Callable[..., list[Cell]]
) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(tiny_raw, raw)
    shutil.rmtree(raw / planned.dataset / "labelsTr")
    comparison = compare(cells_of(planned, ("unet", "spd")), make_grid(raw=raw))
    assert comparison.failures == {}


def test_prediction_meets_the_test_cases_only(
    planned: Plan, make_grid: Callable[..., Grid], tiny_raw: Path, tmp_path: Path
) -> None:
    raw, seen = tmp_path / "raw", []
    shutil.copytree(tiny_raw, raw)
    test = planned.split(0)["test"]
    for path in raw.rglob("case_*"):
        if path.name.split("_0000")[0].split(".")[0] not in test:
            path.write_bytes(b"poison")
    method = replace(METHODS["empty"], predictor=lambda *arguments: Witness(seen))
    assert compare([Cell(plan=planned, method=method, fold=0)], make_grid(raw=raw)).failures == {}
    assert [volume.case for volume in seen] == test


@pytest.mark.parametrize("uses_prompts", [True, False])
def test_prompts_reach_the_rows_that_use_them_only(
    planned: Plan, make_grid: Callable[..., Grid], uses_prompts: bool
) -> None:
    seen: list[PromptedVolume] = []
    method = replace(METHODS["empty"], uses_prompts=uses_prompts, predictor=lambda *arguments: Witness(seen))
    compare([Cell(plan=planned, method=method, fold=0)], make_grid())
    assert len(seen) == len(planned.split(0)["test"])
    assert all((volume.prompts is not None) == uses_prompts for volume in seen)


def test_images_may_lie_where_the_datasets_list_says(
    planned: Plan, make_grid: Callable[..., Grid], tiny_raw: Path, tmp_path: Path
) -> None:
    raw, seen = tmp_path / "raw", []
    shutil.copytree(tiny_raw, raw)
    folder = raw / planned.dataset
    (folder / "imagesTr").rename(tmp_path / "elsewhere")
    shutil.rmtree(folder / "labelsTr")
    listed = {
        f"case_{number}": {"images": [str(tmp_path / "elsewhere" / f"case_{number}_0000.nii.gz")], "label": "x.nii.gz"}
        for number in range(6)
    }
    dataset_json = {**read_json(folder / "dataset.json"), "dataset": listed}
    write_json(folder / "dataset.json", dataset_json)
    plan = replace(planned, dataset_json={**planned.dataset_json, "dataset": listed})
    method = replace(METHODS["empty"], predictor=lambda *arguments: Witness(seen))
    assert compare([Cell(plan=plan, method=method, fold=0)], make_grid(raw=raw)).failures == {}
    assert [volume.case for volume in seen] == plan.split(0)["test"]


def test_a_case_without_an_image_counts_as_missing(
    planned: Plan, make_grid: Callable[..., Grid], tiny_raw: Path, tmp_path: Path, cells_of: Callable[..., list[Cell]]
) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(tiny_raw, raw)
    case = planned.split(0)["test"][0]
    (raw / planned.dataset / "imagesTr" / f"{case}_0000.nii.gz").unlink()
    (raw / planned.dataset / "labelsTr" / f"{case}.nii.gz").unlink()
    grid = make_grid(raw=raw)
    cells = cells_of(planned, ("empty",))
    compare(cells, grid)
    assert read_json(grid.output / "runs" / f"{cells[0].name}.json")["missing_predictions"] == [case]


def test_no_row_needs_labels_to_predict(
    planned: Plan,
    tiny_raw: Path,
    make_grid: Callable[..., Grid],
    tmp_path: Path,
    cells_of: Callable[..., list[Cell]],
    options_of: Callable[[str], MethodOptions],
) -> None:
    """The grid's raw folder holds images and prompts only, and every row still predicts its test cases."""
    bare = tmp_path / "bare"
    shutil.copytree(tiny_raw, bare)
    shutil.rmtree(bare / planned.dataset / "labelsTr")
    grid = make_grid(raw=bare, options=lambda name: replace(options_of(name), allow_random=True))
    names = [method.name for method in ALL_ROWS]
    comparison = compare(cells_of(planned, names), grid)
    assert comparison.failures == {}
    assert {record["method"]: record["missing_predictions"] for record in comparison.records} == {
        name: [] for name in names
    }
    prompted = {r["method"]: r["hashes"]["prompts"] for r in comparison.records if METHODS[r["method"]].uses_prompts}
    assert {"sam", "sam_tuning", "medsam", "spd"} <= prompted.keys()
    assert set(prompted.values()) == {planned.prompts_sha256}
