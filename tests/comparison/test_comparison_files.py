"""What a comparison writes, and what the numbers in it are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.comparison import Comparison
from spd_bench.evaluation import summarise
from spd_bench.methods.registry import METHODS
from spd_bench.planning.plan import Plan
from spd_bench.raw.volumes import read_geometry, read_volume
from spd_bench.storage import read_json

METRICS = ["average_dice", "volumetric_dice", "foreground_dice", "average_iou", "hd95_mm", "asd_mm"]


def test_the_files_of_the_comparison_exist(
    whole: tuple[Comparison, Grid], planned: Plan, rows: tuple[str, ...]
) -> None:
    comparison, grid = whole
    tables = {f"table_{metric}.{suffix}" for metric in METRICS[:2] for suffix in ("csv", "md", "tex")}
    frames = {f"{name}.csv" for name in ("slices", "volumes", "summary", "significance")}
    drawn = ["dice", *(f"{what}_{planned.dataset}" for what in ("patients", "ranking", "significance"))]
    figures = {f"figures/{name}.{suffix}" for name in drawn for suffix in ("png", "svg")}
    expected = {grid.output / name for name in frames | tables | figures | {"comparison.json", "report.html"}}
    assert set(comparison.files) == expected
    assert all(path.stat().st_size for path in expected)
    runs = {f"{planned.dataset}_{name}_fold{fold}.json" for name in rows for fold in (0, 1)}
    assert {path.name for path in (grid.output / "runs").iterdir()} == runs
    assert comparison.failures == {}
    assert not list(grid.output.rglob("error.log"))
    assert not list(grid.output.rglob(".part-*"))


def test_the_frames_have_their_columns_and_rows(
    whole: tuple[Comparison, Grid], planned: Plan, rows: tuple[str, ...]
) -> None:
    output = whole[1].output
    slices, volumes, summary = (pd.read_csv(output / f"{name}.csv") for name in ("slices", "volumes", "summary"))
    assert ",".join(slices.columns) == (
        "dataset,method,fold,case,slice,dice,iou,hd95_mm,asd_mm,reference_pixels,prediction_pixels"
    )
    assert ",".join(volumes.columns).startswith(
        "dataset,method,fold,case,volumetric_dice,average_dice,slices,foreground_slices,"
    )
    assert ",".join(summary.columns) == "dataset,method,metric,mean,std,ci_low,ci_high,n"
    test = [(fold, case) for fold in (0, 1) for case in planned.split(fold)["test"]]
    for name in rows:
        own = volumes[volumes["method"] == name]
        assert sorted(zip(own["fold"], own["case"], strict=True)) == sorted(test)
        assert (slices["method"] == name).sum() == 6 * len(test)
        assert summary[summary["method"] == name]["metric"].tolist()[: len(METRICS)] == METRICS
    assert set(slices["dataset"]) == {planned.dataset}


def test_the_identity_of_average_dice_holds(whole: tuple[Comparison, Grid], rows: tuple[str, ...]) -> None:
    slices, summary = (pd.read_csv(whole[1].output / f"{name}.csv") for name in ("slices", "summary"))
    for name in rows:
        own = slices[slices["method"] == name]
        target = own["reference_pixels"] > 0
        f = target.mean()
        assert 0 < f < 1
        specificity = (own[~target]["prediction_pixels"] == 0).mean()
        expected = (1 - f) * specificity + f * own[target]["dice"].mean()
        average = summary[(summary["method"] == name) & (summary["metric"] == "average_dice")]["mean"].item()
        assert average == pytest.approx(expected, abs=1e-12)


def test_the_scores_are_those_of_the_masks_against_the_raw_labels(
    whole: tuple[Comparison, Grid], planned: Plan, tiny_raw: Path, cells_of: Callable[..., list[Cell]]
) -> None:
    grid = whole[1]
    slices = pd.read_csv(grid.output / "slices.csv")
    checked = 0
    for cell in cells_of(planned, folds=(0, 1)):
        for case in cell.plan.split(cell.fold)["test"]:
            path = grid.folder(cell) / "predictions" / f"{case}.nii.gz"
            label_file = tiny_raw / planned.dataset / "labelsTr" / f"{case}.nii.gz"
            assert read_geometry(label_file).difference_to(read_geometry(path)) is None
            mask, label = read_volume(path)[0] > 0, read_volume(label_file)[0] > 0
            own = slices[(slices["method"] == cell.method.name) & (slices["case"] == case)].sort_values("slice")
            for z, row in enumerate(own.itertuples()):
                total = mask[z].sum() + label[z].sum()
                assert row.dice == pytest.approx(2 * (mask[z] & label[z]).sum() / total if total else 1.0)
                checked += 1
    assert checked == 4 * 6 * 5


def test_the_tables_state_what_they_stand_on(whole: tuple[Comparison, Grid], rows: tuple[str, ...]) -> None:
    text = (whole[1].output / "table_average_dice.md").read_text(encoding="utf-8")
    for words in ("random, from scratch", "images seen a run 16", "missing predictions 0", "f = ", "specificity"):
        assert words in text, words
    header = next(line for line in text.splitlines() if line.startswith("|"))
    assert [METHODS[name].title in header for name in rows] == [True] * 4


def test_a_record_tells_how_its_cell_was_run(
    whole: tuple[Comparison, Grid], planned: Plan, rows: tuple[str, ...]
) -> None:
    for name in rows:
        record = read_json(whole[1].output / "runs" / f"{planned.dataset}_{name}_fold1.json")
        assert (record["method"], record["dataset"], record["fold"]) == (name, planned.dataset, 1)
        assert record["missing_predictions"] == []
        assert record["status"] == "complete"
        assert "prediction" in record["seconds"]
        assert (record["hashes"]["prompts"] is not None) == METHODS[name].uses_prompts
        assert record["images_seen"] == (0 if name == "empty" else 16)


def test_confidence_intervals_are_over_patients(whole: tuple[Comparison, Grid], planned: Plan) -> None:
    slices, volumes = (pd.read_csv(whole[1].output / f"{name}.csv") for name in ("slices", "volumes"))
    by_patient = summarise(slices, volumes, patients=planned.patients)
    by_case = summarise(slices, volumes)
    assert not by_patient["ci_low"].equals(by_case["ci_low"])
    pd.testing.assert_frame_equal(whole[0].summary, by_patient)


def test_the_empty_row_scores_what_silence_is_worth(whole: tuple[Comparison, Grid]) -> None:
    summary = whole[0].summary.set_index(["method", "metric"])["mean"]
    slices = pd.read_csv(whole[1].output / "slices.csv")
    silent = (slices[slices["method"] == "empty"]["reference_pixels"] == 0).mean()
    assert summary["empty", "average_dice"] == pytest.approx(silent)
    assert summary["empty", "volumetric_dice"] == 0
    assert np.isnan(summary["empty", "hd95_mm"])
