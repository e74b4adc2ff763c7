"""What a comparison knows of whoever runs its cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from spd_bench.cells import Cell, Grid


@dataclass(frozen=True, kw_only=True)
class CellWork:
    """What there is to do for a cell; both are functions of a module, so that a job can name them.

    Attributes:
        run: trains, predicts and scores it, unless that is done already.
        is_finished: whether all of that is done.
    """

    run: Callable[[Cell, Grid], None]
    is_finished: Callable[[Cell, Grid], bool]


class Executor(Protocol):
    """Runs cells."""

    def run(self, cells: Sequence[Cell], grid: Grid, work: CellWork) -> dict[str, str]:
        """Run all of the cells; one that fails does not stop the others.

        Returns:
            For each cell that failed its name and the reason; more of it lies in its ``error_log``.
        """
