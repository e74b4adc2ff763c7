"""Trained rows on points of other severities: scored alike, kept when done, drawn and rebuilt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from spd_bench.cells import Cell, Grid
from spd_bench.cli.compare_baselines import main as compare_baselines
from spd_bench.comparison import compare
from spd_bench.evaluation.frames import read_frame
from spd_bench.evaluation.masks import read_predicted_mask, read_reference_mask
from spd_bench.methods.empty import EMPTY
from spd_bench.methods.method import Method, MethodOptions, MethodRun
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume
from spd_bench.prompts.points import read_prompts
from spd_bench.severities import (
    are_predicted,
    decoded_prompts,
    is_predicted,
    run_severities,
    severity_folder,
    simulated_prompts,
)
from spd_bench.severity_settings import SeveritySettings
from spd_bench.storage import read_json, write_json
from spd_bench.training.settings import Budget

SEVERITIES = SeveritySettings(severities=(0.0, 2.0))
PREDICTED: list[str] = []


class PointPredictor:
    """The points themselves as a mask; it decodes from all of them but the first."""

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        PREDICTED.append(volume.case)
        mask = np.zeros(volume.geometry.shape, np.uint8)
        mask[tuple(volume.points().voxels(volume.geometry).T)] = 1
        points = volume.points()
        decoded = replace(points, positions=points.positions[1:])
        return Prediction(mask=mask, points=decoded if extra.prompts else None)


def _predictor(run: MethodRun) -> PointPredictor:
    return PointPredictor()


POINTS: Method = replace(EMPTY, name="points", title="Points", uses_prompts=True, predictor=_predictor)


@pytest.fixture
def grid(folders: DataFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    PREDICTED.clear()
    return Grid(
        raw=folders.raw,
        results=tmp_path / "results",
        output=tmp_path / "output",
        budget=Budget(epochs=1, iterations_per_epoch=1, batch_size=1),
        options=lambda _: MethodOptions(),
        device=torch.device("cpu"),
        severities=SEVERITIES,
    )


def cells_of(plan: Plan, fold: int = 0) -> list[Cell]:
    return [Cell(plan=plan, method=method, fold=fold) for method in (EMPTY, POINTS)]


def test_promptable_rows_are_scored_on_points_of_every_severity(planned: Plan, grid: Grid) -> None:
    cells = cells_of(planned)
    compare(cells, grid)
    frame = read_frame(grid.output / "severities.csv")
    test = planned.split(0)["test"]
    assert list(frame.groupby(["method", "severity", "case"]).groups) == [
        ("points", severity, case) for severity in (0.0, 2.0) for case in test
    ]
    for severity in (0.0, 2.0):
        for case in test:
            row = frame[(frame["case"] == case) & (frame["severity"] == severity)].iloc[0]
            target, geometry = read_reference_mask(planned.reference_folder / f"{case}{planned.file_ending}")
            prompts = read_prompts(simulated_prompts(planned, grid, case, severity))
            mask = np.zeros(target.shape, bool)
            mask[tuple(prompts.voxels(geometry).T)] = True
            path = severity_folder(cells[1], grid, severity) / f"{case}{planned.file_ending}"
            np.testing.assert_array_equal(read_predicted_mask(path, geometry), mask)
            overlap = 2 * (mask & target).sum() / (mask.sum() + target.sum())
            assert row["volumetric_dice"] == pytest.approx(overlap)
            assert prompts.provenance["severity"] == severity
    clean, noisy = (frame[frame["severity"] == severity]["volumetric_dice"].mean() for severity in (0.0, 2.0))
    assert clean > noisy
    assert (grid.output / "figures" / f"robustness_{planned.dataset}.png").is_file()


def test_what_is_done_is_kept_and_what_stands_on_other_points_is_made_again(planned: Plan, grid: Grid) -> None:
    cells = cells_of(planned)
    compare(cells, grid)
    first = run_severities(cells, grid, SEVERITIES)
    PREDICTED.clear()
    again = run_severities(cells, grid, SEVERITIES)
    assert PREDICTED == []
    pd.testing.assert_frame_equal(first, again)
    run_severities(cells, grid, SeveritySettings(severities=(0.0, 1.0)))
    assert planned.split(0)["test"] == PREDICTED
    PREDICTED.clear()
    run_severities(cells, grid, replace(SEVERITIES, seed=1))
    assert set(PREDICTED) == set(planned.split(0)["test"])


def test_the_points_that_were_decoded_from_are_kept(planned: Plan, grid: Grid) -> None:
    cells = cells_of(planned)
    compare(cells, grid)
    for severity in (0.0, 2.0):
        for case in planned.split(0)["test"]:
            given = read_prompts(simulated_prompts(planned, grid, case, severity))
            decoded = read_prompts(decoded_prompts(cells[1], grid, case, severity))
            np.testing.assert_allclose(decoded.positions, given.positions[1:])
            assert not decoded_prompts(cells[0], grid, case, severity).exists()
    assert [is_predicted(cells[1], grid, severity) for severity in (0.0, 1.0, 2.0)] == [True, False, True]


def test_predictions_from_before_those_points_were_kept_are_made_again_once(planned: Plan, grid: Grid) -> None:
    cells = cells_of(planned)
    compare(cells, grid)
    marker = severity_folder(cells[1], grid, 2.0) / "severity.json"
    write_json(marker, {name: value for name, value in read_json(marker).items() if name != "format"})
    test = planned.split(0)["test"]
    for case in test:
        decoded_prompts(cells[1], grid, case, 2.0).unlink()
    PREDICTED.clear()
    run_severities(cells, grid, SEVERITIES)
    assert test == PREDICTED
    assert all(decoded_prompts(cells[1], grid, case, 2.0).is_file() for case in test)
    run_severities(cells, grid, SEVERITIES)
    assert test == PREDICTED


@pytest.mark.parametrize("name", ["severity.json", "*.nii.gz", "prompts/*.json"])
@pytest.mark.parametrize("half", [True, False])
def test_what_is_torn_is_made_again(planned: Plan, grid: Grid, name: str, half: bool) -> None:
    cells = cells_of(planned)
    compare(cells, grid)
    assert are_predicted(cells[1], grid, SEVERITIES)
    folder = severity_folder(cells[1], grid, 2.0)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    path = next(folder.glob(name))
    if half:
        path.write_bytes(before[path][: len(before[path]) // 2])
    else:
        path.unlink()
    assert not are_predicted(cells[1], grid, SEVERITIES)
    PREDICTED.clear()
    compare(cells, grid)
    assert planned.split(0)["test"] == PREDICTED
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_predictions_of_another_run_are_none(planned: Plan, grid: Grid) -> None:
    cells = cells_of(planned)
    compare(cells, grid)
    marker = severity_folder(cells[1], grid, 2.0) / "severity.json"
    write_json(marker, {**read_json(marker), "run": {}})
    assert not are_predicted(cells[1], grid, SEVERITIES)
    assert are_predicted(cells[0], grid, SEVERITIES)


def test_a_case_that_fails_counts_as_empty(planned: Plan, grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = cells_of(planned)
    compare(cells, replace(grid, severities=None))
    first = planned.split(0)["test"][0]
    predict = PointPredictor.predict

    def failing(self: PointPredictor, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        if volume.case == first:
            raise RuntimeError("out of memory")
        return predict(self, volume, extra)

    monkeypatch.setattr(PointPredictor, "predict", failing)
    frame = run_severities(cells, grid, SEVERITIES)
    assert (frame[frame["case"] == first]["volumetric_dice"] == 0).all()
    assert (frame[(frame["case"] != first) & (frame["severity"] == 0)]["volumetric_dice"] > 0).all()


def test_severities_are_rebuilt_with_the_tables(planned: Plan, grid: Grid, tmp_path: Path) -> None:
    compare(cells_of(planned), grid)
    assert compare_baselines(["--rebuild", str(grid.output), "-o", str(tmp_path / "again")]) == 0
    for name in ("severities.csv", f"figures/robustness_{planned.dataset}.svg"):
        assert (tmp_path / "again" / name).is_file()


def test_without_severities_none_are_run(planned: Plan, grid: Grid) -> None:
    compare(cells_of(planned), replace(grid, severities=None))
    assert not (grid.output / "severities.csv").exists()
    assert not (grid.output / "prompts").exists()


@pytest.mark.parametrize("values", [(-1.0,), (1.0, 1.0), (float("nan"),)])
def test_severities_that_make_no_sense_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="severity"):
        SeveritySettings(severities=values)


def test_the_option_refuses_in_one_line(planned: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-d", planned.dataset, "-m", "empty", "-o", str(tmp_path / "out"), "--severities", "1", "1"]
    assert compare_baselines(arguments) == 2
    assert "a severity is given twice: 1, 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
