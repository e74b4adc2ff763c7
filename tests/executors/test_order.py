"""Which cells wait for which."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from spd_bench.cells import Cell, Grid
from spd_bench.executors.order import prerequisites
from spd_bench.methods.method import Method
from spd_bench.methods.registry import METHODS
from spd_bench.planning.plan import Plan


def test_a_row_waits_for_the_row_it_stands_on_of_its_own_fold(
    make_grid: Callable[..., Grid], cells_of: Callable[..., list[Cell]]
) -> None:
    cells = cells_of("sam_refiner", "unet", "sam_consensus", "spd", "empty", folds=(0, 1))
    after = prerequisites(cells, make_grid("grid"))
    for cell in cells:
        needed = {"sam_refiner": "unet", "sam_consensus": "spd"}.get(cell.method.name)
        expected = set() if needed is None else {f"{cell.plan.dataset}_{needed}_fold{cell.fold}"}
        assert after[cell.name] == expected


def _row(name: str, *required: Method) -> Method:
    return replace(METHODS["empty"], name=name, requires=lambda _: required)


BASE = _row("base")
MIDDLE = _row("middle", BASE)
TOP = _row("top", MIDDLE)
OTHER = _row("other", BASE)


@pytest.mark.parametrize("rows", itertools.permutations((MIDDLE, TOP, OTHER)))
def test_a_run_that_is_no_cell_is_made_once_and_no_two_cells_wait_for_each_other(
    planned: Plan, make_grid: Callable[..., Grid], rows: tuple[Method, ...]
) -> None:
    cells = [Cell(plan=planned, method=row, fold=0) for row in rows]
    after = {
        name.split("_")[-2]: {one.split("_")[-2] for one in names}
        for name, names in prerequisites(cells, make_grid("grid")).items()
    }
    assert "middle" in after["top"]
    assert ("middle" in after["other"]) != ("other" in after["middle"])
    waiting = dict(after)
    while waiting:
        free = [name for name, names in waiting.items() if not names & set(waiting)]
        assert free
        for name in free:
            del waiting[name]
