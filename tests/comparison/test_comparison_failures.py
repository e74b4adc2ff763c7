"""What fails is told, and does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import spd_bench.methods.fitting as fitting
from spd_bench.cells import Cell, Grid
from spd_bench.comparison import check_cells, compare
from spd_bench.errors import InputError
from spd_bench.methods.method import Method, MethodOptions
from spd_bench.methods.registry import METHODS
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume
from spd_bench.storage import read_json


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


def test_a_failing_cell_is_told_and_the_others_finish(
    planned: Plan, make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
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


def test_the_log_of_a_failure_goes_when_the_cell_succeeds(
    planned: Plan, make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
    grid, cells = make_grid(), cells_of(planned, ("empty",))
    folder = grid.folder(cells[0])
    folder.mkdir(parents=True)
    (folder / "error.log").write_text("old")
    compare(cells, grid)
    assert not (folder / "error.log").exists()


def test_a_run_that_is_interrupted_stops_the_comparison(
    planned: Plan, make_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch, cells_of: Callable[..., list[Cell]]
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
    planned: Plan,
    make_grid: Callable[..., Grid],
    cells_of: Callable[..., list[Cell]],
    forbid: Callable[..., None],
    forbid_training: Callable[[], None],
) -> None:
    forbid("predict_cases")
    forbid_training()
    with pytest.raises(InputError, match="fold 7 does not exist"):
        check_cells(cells_of(planned, ("empty",), (0, 7)), make_grid())
    with pytest.raises(InputError, match="setting of unet refused"):
        check_cells(
            cells_of(planned, ("empty", "unet")),
            make_grid(options=lambda name: MethodOptions(overrides={"depth": 1} if name == "unet" else {})),
        )
    check_cells(cells_of(planned), make_grid())


def test_two_methods_of_one_name_or_title_are_refused_before_anything_is_run(
    planned: Plan, make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]], forbid: Callable[..., None]
) -> None:
    forbid("predict_cases", "ensure_fitted")
    cells = cells_of(planned, ("empty", "unet"))
    namesake = Cell(plan=planned, method=replace(METHODS["nnunet"], name="unet"), fold=0)
    with pytest.raises(InputError, match="two cells are named Dataset901_Tiny_unet_fold0: give two methods two names"):
        check_cells([*cells, namesake], make_grid())
    namesake = Cell(plan=planned, method=replace(METHODS["nnunet"], title=METHODS["unet"].title), fold=0)
    with pytest.raises(InputError, match=f'methods unet and nnunet share the title "{METHODS["unet"].title}"'):
        check_cells([*cells, namesake], make_grid())
