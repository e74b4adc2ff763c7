"""A cell is tried: what goes wrong is told in one line, and its traceback kept beside the cell."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

from spd_bench.cells import Cell, Grid
from spd_bench.errors import InputError
from spd_bench.storage import write_text


def error_log(cell: Cell, grid: Grid) -> Path:
    """Where the traceback of a cell that failed is kept."""
    return grid.folder(cell) / "error.log"


def attempt(run: Callable[[Cell, Grid], None], cell: Cell, grid: Grid) -> str | None:
    """Run a cell; the reason why it failed, None where it did not."""
    log = error_log(cell, grid)
    try:
        run(cell, grid)
        log.unlink(missing_ok=True)
    except Exception as error:  # a cell must not take the others with it
        write_text(log, traceback.format_exc())
        return one_line(error)
    return None


def one_line(error: Exception) -> str:
    """An error in one line; what is no mistake of the user keeps its type's name."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
