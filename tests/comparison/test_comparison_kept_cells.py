"""What is missing is run, what is done is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import spd_bench.methods.fitting as fitting
from spd_bench.cells import Cell, Grid
from spd_bench.comparison import Comparison, compare
from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.methods.registry import METHODS
from spd_bench.planning.plan import Plan
from spd_bench.storage import read_json
from spd_bench.training.settings import Budget


def contents(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def test_a_second_comparison_trains_and_predicts_nothing_and_writes_the_same(
    whole: tuple[Comparison, Grid],
    planned: Plan,
    cells_of: Callable[..., list[Cell]],
    forbid: Callable[..., None],
    forbid_training: Callable[[], None],
) -> None:
    comparison, grid = whole
    names = [str(path.relative_to(grid.output)) for path in comparison.files]
    before = contents(grid.output, names)
    forbid("predict_cases", "evaluate_folders")
    forbid_training()
    again = compare(cells_of(planned, folds=(0, 1)), grid)
    assert again.failures == {}
    assert contents(grid.output, names) == before


def test_the_same_seed_elsewhere_gives_the_same_tables(
    whole: tuple[Comparison, Grid], planned: Plan, make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
    grid = make_grid()
    comparison = compare(cells_of(planned, folds=(0, 1)), grid)
    names = {str(path.relative_to(grid.output)) for path in comparison.files}
    names.remove("report.html")  # it shows the run records, whose seconds differ
    assert contents(grid.output, sorted(names)) == contents(whole[1].output, sorted(names))


def test_only_what_is_missing_is_run(
    planned: Plan, make_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch, cells_of: Callable[..., list[Cell]]
) -> None:
    grid = make_grid()
    ran: list[tuple[str, int]] = []
    fit = fitting.fit

    def recorded(run: MethodRun, budget: Budget, **options: Any) -> Any:
        ran.append((run.method.name, run.fold))
        return fit(run, budget, **options)

    monkeypatch.setattr(fitting, "fit", recorded)
    compare(cells_of(planned, ("unet",), (0,)), grid)
    compare(cells_of(planned, ("empty", "unet"), (0, 1)), grid)
    assert ran == [("unet", 0), ("empty", 0), ("empty", 1), ("unet", 1)]


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": Budget(epochs=3, iterations_per_epoch=2, batch_size=4)},
        {"budget": Budget(epochs=2, iterations_per_epoch=2, batch_size=4, seed=1)},
        {"options": lambda name: MethodOptions(backbone="vit_t", overrides={"base_features": 6})},
    ],
)
def test_other_settings_run_a_cell_again(
    planned: Plan, make_grid: Callable[..., Grid], changes: dict[str, Any], cells_of: Callable[..., list[Cell]]
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
    planned: Plan, make_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch, cells_of: Callable[..., list[Cell]]
) -> None:
    grid = make_grid()
    compare(cells_of(planned, ("empty", "unet", "spd")), grid)
    other = replace(planned, prompts_sha256="0" * 64)
    ran: list[str] = []
    monkeypatch.setattr(fitting, "fit", lambda run, budget, **options: ran.append(run.method.name))
    compare(cells_of(other, ("empty", "unet", "spd")), grid)
    assert ran == ["spd"]


def test_a_cell_that_was_cut_short_is_scored_again_without_training(
    planned: Plan,
    make_grid: Callable[..., Grid],
    cells_of: Callable[..., list[Cell]],
    forbid_training: Callable[[], None],
) -> None:
    grid, cells = make_grid(), cells_of(planned, ("unet",))
    compare(cells, grid)
    before = (grid.output / "slices.csv").read_bytes()
    shutil.rmtree(grid.folder(cells[0]) / "predictions")
    (grid.folder(cells[0]) / "cell.json").unlink()
    forbid_training()
    assert compare(cells, grid).failures == {}
    assert (grid.output / "slices.csv").read_bytes() == before
