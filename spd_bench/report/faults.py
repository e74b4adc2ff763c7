"""Faults of single cases in words that may leave the machine."""

from __future__ import annotations

from spd_bench.cells import Grid
from spd_bench.errors import InputError


def reason(error: Exception, grid: Grid) -> str:
    """An error in one line; what is no mistake of the user keeps its type's name.

    A report is passed on, so files are named from nnU-Net's and the comparison's folders on.
    """
    text = " ".join(str(error).split())
    for folder in (grid.output, grid.raw, grid.results, grid.raw.parent):
        text = text.replace(f"{folder}/", "")
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
