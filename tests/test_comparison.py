"""The grid: what is missing is run, what is done is kept, and what fails is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from nnunetv2.training.logging.nnunet_logger import LocalLogger

import spd_bench.comparison as comparison_module
import spd_bench.methods.fitting as fitting
from spd_bench.cli.compare_baselines import main as rebuild_tables
from spd_bench.comparison import Cell, Comparison, Grid, check_cells, compare
from spd_bench.errors import InputError
from spd_bench.evaluation import summarise
from spd_bench.methods.method import Method, MethodOptions, MethodRun
from spd_bench.methods.registry import METHODS
from spd_bench.methods.registry import ROWS as ALL_ROWS
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume
from spd_bench.raw.volumes import read_geometry, read_volume
from spd_bench.storage import read_json, write_json
from spd_bench.training.settings import Budget

CPU = torch.device("cpu")
BUDGET = Budget(epochs=2, iterations_per_epoch=2, batch_size=4)
OVERRIDES: dict[str, dict[str, Any]] = {"unet": {"base_features": 8}, "spd": {"saliency_bias": 4.0}}
ROWS = ("empty", "unet", "nnunet", "spd")
METRICS = ["average_dice", "volumetric_dice", "foreground_dice", "average_iou", "hd95_mm", "asd_mm"]


def options_of(name: str) -> MethodOptions:
    return MethodOptions(backbone="vit_t", overrides=OVERRIDES.get(name, {}))


def cells_of(plan: Plan, names: Sequence[str] = ROWS, folds: Sequence[int] = (0,)) -> list[Cell]:
    return [Cell(plan=plan, method=METHODS[name], fold=fold) for name in names for fold in folds]


def contents(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalLogger, "plot_progress_png", lambda self, output_folder: None)


@pytest.fixture
def make_grid(folders: DataFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Grid]:
    """Grids with a results folder of their own."""

    def make(name: str = "a", **changes: Any) -> Grid:
        results = tmp_path / name / "results"
        results.mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv("nnUNet_results", str(results))
        arguments: dict[str, Any] = {
            "raw": folders.raw,
            "results": results,
            "output": tmp_path / name / "output",
            "budget": BUDGET,
            "options": options_of,
            "device": CPU,
            **changes,
        }
        return Grid(**arguments)

    return make


@pytest.fixture(scope="module")
def whole(planned: Plan, folders: DataFolders, tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Grid]:
    """All rows on two folds, run once."""
    root = tmp_path_factory.mktemp("comparison")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalLogger, "plot_progress_png", lambda self, output_folder: None)
        patch.setenv("nnUNet_results", str(root / "results"))
        grid = Grid(
            raw=folders.raw,
            results=root / "results",
            output=root / "output",
            budget=BUDGET,
            options=options_of,
            device=CPU,
        )
        grid.results.mkdir()
        return compare(cells_of(planned, folds=(0, 1)), grid), grid


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str, module: Any = comparison_module) -> None:
    for name in names:

        def fail(*arguments: Any, called: str = name, **keywords: Any) -> None:
            pytest.fail(f"{called} was called")

        monkeypatch.setattr(module, name, fail)


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "fit", module=fitting)


# What a comparison writes.


def test_the_files_of_the_comparison_exist(whole: tuple[Comparison, Grid], planned: Plan) -> None:
    comparison, grid = whole
    tables = {f"table_{metric}.{suffix}" for metric in METRICS[:2] for suffix in ("csv", "md", "tex")}
    frames = {f"{name}.csv" for name in ("slices", "volumes", "summary", "significance")}
    drawn = ["dice", *(f"{what}_{planned.dataset}" for what in ("patients", "ranking", "significance"))]
    figures = {f"figures/{name}.{suffix}" for name in drawn for suffix in ("png", "svg")}
    expected = {grid.output / name for name in frames | tables | figures | {"comparison.json", "report.html"}}
    assert set(comparison.files) == expected
    assert all(path.stat().st_size for path in expected)
    runs = {f"{planned.dataset}_{name}_fold{fold}.json" for name in ROWS for fold in (0, 1)}
    assert {path.name for path in (grid.output / "runs").iterdir()} == runs
    assert comparison.failures == {}
    assert not list(grid.output.rglob("error.log"))
    assert not list(grid.output.rglob(".part-*"))


@pytest.fixture
def kept(whole: tuple[Comparison, Grid], tmp_path: Path) -> Path:
    """What is worth keeping of a comparison: scores, run records and facts, without predictions and data."""
    folder = tmp_path / "kept"
    shutil.copytree(whole[1].output / "runs", folder / "runs")
    for name in ("slices.csv", "volumes.csv", "comparison.json"):
        shutil.copy(whole[1].output / name, folder)
    return folder


def test_tables_and_figures_are_made_again_from_scores_and_run_records_alone(
    whole: tuple[Comparison, Grid], kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "again"
    assert rebuild_tables(["--rebuild", str(kept), "-o", str(output)]) == 0
    tables = {path.name for path in whole[1].output.glob("table_*")}
    assert len(tables) == 6
    names = [*tables, "slices.csv", "volumes.csv", "summary.csv", "significance.csv", "comparison.json"]
    assert contents(output, names) == contents(whole[1].output, names)
    for folder in ("figures", "runs"):
        made, first = ({path.name for path in (place / folder).iterdir()} for place in (output, whole[1].output))
        assert made == first
    assert str(output / "table_average_dice.md") in capsys.readouterr().out
    # A folder is its own source, too.
    assert rebuild_tables(["--rebuild", str(output), "-o", str(output)]) == 0
    assert contents(output, names) == contents(whole[1].output, names)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "comparison.json").unlink(), "comparison.json"),
        (lambda folder: (folder / "comparison.json").write_text("[1]"), "not the facts of a comparison"),
        (lambda folder: next((folder / "runs").iterdir()).unlink(), "has no run record"),
        (lambda folder: (folder / "volumes.csv").write_text("a,b\n1,2\n"), "volumes.csv"),
        (lambda folder: _only_empty(folder / "volumes.csv"), "has no scores"),
        (lambda folder: _other_split(folder / "runs"), "stand on different splits"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_and_nothing_is_written(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], Any], said: str
) -> None:
    spoil(kept)
    assert rebuild_tables(["--rebuild", str(kept), "-o", str(tmp_path / "again")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def _only_empty(path: Path) -> None:
    frame = pd.read_csv(path)
    frame[frame["method"] == "empty"].to_csv(path, index=False)


def _other_split(runs: Path) -> None:
    path = next(runs.glob("*_unet_*"))
    record = read_json(path)
    write_json(path, {**record, "hashes": {**record["hashes"], "splits": "other"}})


def test_the_frames_have_their_columns_and_rows(whole: tuple[Comparison, Grid], planned: Plan) -> None:
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
    for name in ROWS:
        own = volumes[volumes["method"] == name]
        assert sorted(zip(own["fold"], own["case"], strict=True)) == sorted(test)
        assert (slices["method"] == name).sum() == 6 * len(test)
        assert summary[summary["method"] == name]["metric"].tolist()[: len(METRICS)] == METRICS
    assert set(slices["dataset"]) == {planned.dataset}


def test_the_identity_of_average_dice_holds(whole: tuple[Comparison, Grid]) -> None:
    slices, summary = (pd.read_csv(whole[1].output / f"{name}.csv") for name in ("slices", "summary"))
    for name in ROWS:
        own = slices[slices["method"] == name]
        target = own["reference_pixels"] > 0
        f = target.mean()
        assert 0 < f < 1
        specificity = (own[~target]["prediction_pixels"] == 0).mean()
        expected = (1 - f) * specificity + f * own[target]["dice"].mean()
        average = summary[(summary["method"] == name) & (summary["metric"] == "average_dice")]["mean"].item()
        assert average == pytest.approx(expected, abs=1e-12)


def test_the_scores_are_those_of_the_masks_against_the_raw_labels(
    whole: tuple[Comparison, Grid], planned: Plan, tiny_raw: Path
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


def test_the_tables_state_what_they_stand_on(whole: tuple[Comparison, Grid]) -> None:
    text = (whole[1].output / "table_average_dice.md").read_text(encoding="utf-8")
    for words in ("random, from scratch", "images seen a run 16", "missing predictions 0", "f = ", "specificity"):
        assert words in text, words
    header = next(line for line in text.splitlines() if line.startswith("|"))
    assert [METHODS[name].title in header for name in ROWS] == [True] * 4


def test_a_record_tells_how_its_cell_was_run(whole: tuple[Comparison, Grid], planned: Plan) -> None:
    for name in ROWS:
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


# What is done is kept.


def test_a_second_comparison_trains_and_predicts_nothing_and_writes_the_same(
    whole: tuple[Comparison, Grid], planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison, grid = whole
    names = [str(path.relative_to(grid.output)) for path in comparison.files]
    before = contents(grid.output, names)
    forbid(monkeypatch, "predict_cases", "evaluate_folders")
    forbid_training(monkeypatch)
    again = compare(cells_of(planned, folds=(0, 1)), grid)
    assert again.failures == {}
    assert contents(grid.output, names) == before


def test_the_same_seed_elsewhere_gives_the_same_tables(
    whole: tuple[Comparison, Grid], planned: Plan, make_grid: Callable[..., Grid]
) -> None:
    grid = make_grid()
    comparison = compare(cells_of(planned, folds=(0, 1)), grid)
    names = {str(path.relative_to(grid.output)) for path in comparison.files}
    names.remove("report.html")  # it shows the run records, whose seconds differ
    assert contents(grid.output, sorted(names)) == contents(whole[1].output, sorted(names))


def test_only_what_is_missing_is_run(
    planned: Plan, make_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = make_grid()
    ran: list[tuple[str, int]] = []
    fit = fitting.fit

    def recorded(run: MethodRun, budget: Budget) -> Any:
        ran.append((run.method.name, run.fold))
        return fit(run, budget)

    monkeypatch.setattr(fitting, "fit", recorded)
    compare(cells_of(planned, ("unet",), (0,)), grid)
    compare(cells_of(planned, ("empty", "unet"), (0, 1)), grid)
    assert ran == [("unet", 0), ("empty", 0), ("empty", 1), ("unet", 1)]


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": replace(BUDGET, epochs=3)},
        {"budget": replace(BUDGET, seed=1)},
        {"options": lambda name: MethodOptions(backbone="vit_t", overrides={"base_features": 6})},
    ],
)
def test_other_settings_run_a_cell_again(
    planned: Plan, make_grid: Callable[..., Grid], changes: dict[str, Any]
) -> None:
    cells = cells_of(planned, ("unet",))
    compare(cells, make_grid())
    grid = make_grid(**changes)
    record_file = METHODS["unet"].run_folder(grid.results, planned, 0) / "run.json"
    before = read_json(record_file)
    compare(cells, grid)
    after = read_json(record_file)
    assert before["settings"] != after["settings"]
    assert read_json(grid.output / "runs" / f"{cells[0].name}.json")["settings"] == after["settings"]


def test_other_prompts_run_the_rows_again_that_use_them(
    planned: Plan, make_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = make_grid()
    compare(cells_of(planned, ("empty", "unet", "spd")), grid)
    other = replace(planned, prompts_sha256="0" * 64)
    ran: list[str] = []
    monkeypatch.setattr(fitting, "fit", lambda run, budget: ran.append(run.method.name))
    compare(cells_of(other, ("empty", "unet", "spd")), grid)
    assert ran == ["spd"]


def test_a_cell_that_was_cut_short_is_scored_again_without_training(
    planned: Plan, make_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, cells = make_grid(), cells_of(planned, ("unet",))
    compare(cells, grid)
    before = (grid.output / "slices.csv").read_bytes()
    shutil.rmtree(grid.folder(cells[0]) / "predictions")
    (grid.folder(cells[0]) / "cell.json").unlink()
    forbid_training(monkeypatch)
    assert compare(cells, grid).failures == {}
    assert (grid.output / "slices.csv").read_bytes() == before


# What fails is told.


def failing(method: Method, **changes: Any) -> Method:
    return replace(method, **changes)


class Unsteady:
    """Predicts the whole volume as target, but fails on some cases."""

    def __init__(self, fails_on: Sequence[str], error: Exception) -> None:
        self._fails_on = fails_on
        self._error = error

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        if volume.case in self._fails_on:
            raise self._error
        return Prediction(mask=np.ones(volume.geometry.shape, np.uint8))


def test_a_failing_cell_is_told_and_the_others_finish(planned: Plan, make_grid: Callable[..., Grid]) -> None:
    def broken(*arguments: Any) -> Any:
        raise KeyError("weights")

    grid = make_grid()
    cells = [
        Cell(plan=planned, method=failing(METHODS["empty"], name="broken", predictor=broken), fold=0),
        *cells_of(planned, ("empty",)),
    ]
    comparison = compare(cells, grid)
    assert comparison.failures == {f"{planned.dataset}_broken_fold0": "KeyError: 'weights'"}
    assert set(comparison.summary["method"]) == {"empty"}
    log = (grid.folder(cells[0]) / "error.log").read_text(encoding="utf-8")
    assert "Traceback" in log
    assert "KeyError: 'weights'" in log


def test_the_log_of_a_failure_goes_when_the_cell_succeeds(planned: Plan, make_grid: Callable[..., Grid]) -> None:
    grid, cells = make_grid(), cells_of(planned, ("empty",))
    folder = grid.folder(cells[0])
    folder.mkdir(parents=True)
    (folder / "error.log").write_text("old")
    compare(cells, grid)
    assert not (folder / "error.log").exists()


def test_a_run_that_is_interrupted_stops_the_comparison(
    planned: Plan, make_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: Any, **keywords: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        compare(cells_of(planned, ("unet", "empty")), make_grid())


def test_no_finished_cell_at_all_is_an_input_error(planned: Plan, make_grid: Callable[..., Grid]) -> None:
    def broken(*arguments: Any) -> Any:
        raise RuntimeError("no such thing")

    cell = Cell(plan=planned, method=failing(METHODS["empty"], predictor=broken), fold=0)
    grid = make_grid()
    with pytest.raises(InputError, match="no cell could be run; first: RuntimeError: no such thing"):
        compare([cell], grid)
    assert not (grid.output / "summary.csv").exists()


@pytest.mark.parametrize(
    "error", [RuntimeError("out of memory"), ValueError("odd"), InputError("bad", remedy="good"), IndexError(3)]
)
def test_a_case_that_fails_counts_as_empty_and_the_table_says_so(
    planned: Plan, make_grid: Callable[..., Grid], caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    test = planned.split(0)["test"]
    method = failing(METHODS["empty"], predictor=lambda *arguments: Unsteady(test[:1], error))
    cell, grid = Cell(plan=planned, method=method, fold=0), make_grid()
    comparison = compare([cell], grid)
    assert comparison.failures == {}
    volumes = pd.read_csv(grid.output / "volumes.csv").set_index("case")["volumetric_dice"]
    assert volumes[test[0]] == 0
    assert (volumes[test[1:]] > 0).all()
    pixels = pd.read_csv(grid.output / "slices.csv").set_index("case")["prediction_pixels"]
    assert (pixels[test[0]] == 0).all()
    assert "missing predictions 1" in (grid.output / "table_volumetric_dice.md").read_text(encoding="utf-8")
    assert read_json(grid.output / "runs" / f"{cell.name}.json")["missing_predictions"] == test[:1]
    assert f"empty failed on {test[0]} and counts as empty" in caplog.text
    assert "Traceback" in (grid.folder(cell) / "errors" / f"{test[0]}.log").read_text(encoding="utf-8")


def test_cells_that_cannot_be_run_are_refused_before_anything_is(
    planned: Plan, make_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, "predict_cases")
    forbid_training(monkeypatch)
    with pytest.raises(InputError, match="fold 7 does not exist"):
        check_cells(cells_of(planned, ("empty",), (0, 7)), make_grid())
    with pytest.raises(InputError, match="setting of unet refused"):
        check_cells(
            cells_of(planned, ("empty", "unet")),
            make_grid(options=lambda name: MethodOptions(overrides={"depth": 1} if name == "unet" else {})),
        )
    check_cells(cells_of(planned), make_grid())


# Prediction sees images and prompts alone.


class Witness:
    """Keeps the volumes that it is given."""

    def __init__(self, seen: list[PromptedVolume]) -> None:
        self._seen = seen

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        self._seen.append(volume)
        return Prediction(mask=np.zeros(volume.geometry.shape, np.uint8))


def test_prediction_needs_no_labels(
    planned: Plan, make_grid: Callable[..., Grid], tiny_raw: Path, tmp_path: Path
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
    method = failing(METHODS["empty"], predictor=lambda *arguments: Witness(seen))
    assert compare([Cell(plan=planned, method=method, fold=0)], make_grid(raw=raw)).failures == {}
    assert [volume.case for volume in seen] == test


@pytest.mark.parametrize("uses_prompts", [True, False])
def test_prompts_reach_the_rows_that_use_them_only(
    planned: Plan, make_grid: Callable[..., Grid], uses_prompts: bool
) -> None:
    seen: list[PromptedVolume] = []
    method = failing(METHODS["empty"], uses_prompts=uses_prompts, predictor=lambda *arguments: Witness(seen))
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
    method = failing(METHODS["empty"], predictor=lambda *arguments: Witness(seen))
    assert compare([Cell(plan=plan, method=method, fold=0)], make_grid(raw=raw)).failures == {}
    assert [volume.case for volume in seen] == plan.split(0)["test"]


def test_a_case_without_an_image_counts_as_missing(
    planned: Plan, make_grid: Callable[..., Grid], tiny_raw: Path, tmp_path: Path
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


# Rows that stand on other rows, and rows that are left out.


def test_a_row_that_stands_on_another_has_it_trained_first_and_follows_it(
    planned: Plan, make_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    fit = fitting.fit

    def recorded(run: MethodRun, budget: Budget) -> Any:
        ran.append(run.method.name)
        return fit(run, budget)

    monkeypatch.setattr(fitting, "fit", recorded)
    follower = replace(METHODS["empty"], name="follower", requires=lambda _: (METHODS["unet"],))
    cell, grid = Cell(plan=planned, method=follower, fold=0), make_grid()
    compare([cell], grid)
    compare([cell], grid)
    assert ran == ["unet", "follower"]
    compare([cell], replace(grid, budget=replace(BUDGET, seed=5)))
    assert ran == ["unet", "follower", "unet", "follower"]


def test_rows_that_were_left_out_are_named_under_the_tables(planned: Plan, make_grid: Callable[..., Grid]) -> None:
    grid = make_grid(skipped={"sam": "no weights, and none to be had"})
    comparison = compare(cells_of(planned, ("empty",)), grid)
    assert comparison.skipped == {"sam": "no weights, and none to be had"}
    for name in ("table_average_dice.md", "table_volumetric_dice.md"):
        assert "Not run: sam: no weights, and none to be had" in (grid.output / name).read_text(encoding="utf-8")


def test_what_must_be_known_of_a_row_stands_under_the_tables(planned: Plan, make_grid: Callable[..., Grid]) -> None:
    grid = make_grid()
    told = replace(METHODS["empty"], name="told", title="Told", note="sees half of each slice.")
    compare([Cell(plan=planned, method=told, fold=0)], grid)
    assert "Told: sees half of each slice." in (grid.output / "table_average_dice.md").read_text(encoding="utf-8")


def test_no_row_needs_labels_to_predict(
    planned: Plan, tiny_raw: Path, make_grid: Callable[..., Grid], tmp_path: Path
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
