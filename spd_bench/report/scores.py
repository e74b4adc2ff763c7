"""The scores of the cells, each file read once."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spd_bench.cells import Cell, Grid
from spd_bench.evaluation.frames import read_frame


class CellScores:
    """Dice of single cases, from the ``slices.csv`` and ``volumes.csv`` of their cells."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._frames: dict[tuple[str, str], pd.DataFrame] = {}

    def slices(self, cell: Cell, case: str, *, depth: int) -> NDArray[np.float64]:
        """Dice of each slice of a case, NaN where there is none; InputError where the file is missing or unreadable."""
        own = self._rows(cell, "slices.csv", case)
        dice = np.full(depth, np.nan)
        dice[own["slice"].to_numpy(dtype=np.int64)] = own["dice"].to_numpy(dtype=np.float64)
        return dice

    def volume(self, cell: Cell, case: str) -> float:
        """Dice of the volume, NaN where there is none; InputError where the file is missing or unreadable."""
        own = self._rows(cell, "volumes.csv", case)["volumetric_dice"].to_numpy(dtype=np.float64)
        return float(own[0]) if len(own) else float("nan")

    def _rows(self, cell: Cell, name: str, case: str) -> pd.DataFrame:
        if (cell.name, name) not in self._frames:
            self._frames[cell.name, name] = read_frame(self._grid.folder(cell) / name)
        frame = self._frames[cell.name, name]
        return frame[frame["case"] == case]
