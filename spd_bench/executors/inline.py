"""``inline``: one cell after another in this process."""

from __future__ import annotations

from collections.abc import Sequence

from spd_bench.cells import Cell, Grid
from spd_bench.executors.attempt import attempt
from spd_bench.executors.executor import CellWork


class InlineExecutor:
    """Runs the cells one after another, here."""

    def run(self, cells: Sequence[Cell], grid: Grid, work: CellWork) -> dict[str, str]:
        """Run all of the cells; the reasons of those that failed by their names."""
        reasons = {cell.name: attempt(work.run, cell, grid) for cell in cells}
        return {name: reason for name, reason in reasons.items() if reason is not None}
