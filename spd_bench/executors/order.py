"""Which cells wait for which: a row that stands on another row's run is started when that run is there.

Without it the job would wait for the run's lock, and hold a GPU meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spd_bench.cells import Cell, Grid
from spd_bench.methods.method import MethodRun


def prerequisites(cells: Sequence[Cell], grid: Grid) -> dict[str, set[str]]:
    """The names of the cells that each cell waits for.

    A run that several cells need and none of them is, is made by one of them; the others wait for that one. No two
    cells wait for each other: a cell only waits for one that needs fewer runs, or as many and comes earlier.
    """
    needed = {cell.name: _needed(grid.run(cell)) for cell in cells}
    makers = {grid.run(cell).folder: cell.name for cell in cells}
    for cell in sorted(cells, key=lambda cell: len(needed[cell.name])):
        for folder in needed[cell.name]:
            makers.setdefault(folder, cell.name)
    return {name: {makers[folder] for folder in folders} - {name} for name, folders in needed.items()}


def _needed(run: MethodRun) -> set[Path]:
    """The runs that a run stands on, and those that these stand on."""
    return {folder for other in run.required for folder in {other.folder, *_needed(other)}}
