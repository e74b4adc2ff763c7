"""Rows that stand on other rows, rows that are left out, and what must be known of a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import spd_bench.methods.fitting as fitting
from spd_bench.cells import Cell, Grid
from spd_bench.comparison import compare
from spd_bench.methods.method import MethodRun
from spd_bench.methods.registry import METHODS
from spd_bench.planning.plan import Plan
from spd_bench.training.settings import Budget


def test_a_row_that_stands_on_another_has_it_trained_first_and_follows_it(
    planned: Plan, make_grid: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    fit = fitting.fit

    def recorded(run: MethodRun, budget: Budget, **options: Any) -> Any:
        ran.append(run.method.name)
        return fit(run, budget, **options)

    monkeypatch.setattr(fitting, "fit", recorded)
    follower = replace(METHODS["empty"], name="follower", requires=lambda _: (METHODS["unet"],))
    cell, grid = Cell(plan=planned, method=follower, fold=0), make_grid()
    compare([cell], grid)
    compare([cell], grid)
    assert ran == ["unet", "follower"]
    compare([cell], replace(grid, budget=replace(grid.budget, seed=5)))
    assert ran == ["unet", "follower", "unet", "follower"]


def test_rows_that_were_left_out_are_named_under_the_tables(
    planned: Plan, make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
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
