"""A cell as a job: plain values that another process, on another machine, makes the cell of again."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import torch

from spd_bench.cells import Cell, Grid
from spd_bench.errors import InputError
from spd_bench.executors.attempt import attempt
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import METHODS, get_method
from spd_bench.planning.plan import read_plan
from spd_bench.severity_settings import SeveritySettings
from spd_bench.training.settings import Budget

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

_EXIT_FAILED = 1
_EXIT_TERMINATED = 143

Handler = Callable[[int, FrameType | None], object]


@dataclass(frozen=True, kw_only=True)
class CellJob:
    """One cell to run. Two equal jobs do the same; a job that was stopped goes on where its cell's files are.

    Attributes:
        run: what is done with the cell, a function of a module.
        preprocessed: the dataset's preprocessed folder.
        method: the row's name; a job finds rows by name, so it must be one of the registry.
        fold: the fold.
        raw: nnU-Net's raw folder.
        results: nnU-Net's results folder.
        output: folder of the comparison.
        budget: what every trained row is granted.
        options: the user's options for every row by its name.
        device: where to train and predict; None for a GPU where the job has one.
        severities: severities of simulated points, None for none.
    """

    run: Callable[[Cell, Grid], None]
    preprocessed: Path
    method: str
    fold: int
    raw: Path
    results: Path
    output: Path
    budget: Budget
    options: Mapping[str, MethodOptions]
    device: str | None
    severities: SeveritySettings | None

    def __call__(self) -> str | None:
        """Run the cell; the reason why it failed, None where it did not."""
        _take_signals()
        # nnU-Net reads its folders from there, and a cluster may start jobs with another environment.
        os.environ.update(
            nnUNet_raw=str(self.raw),
            nnUNet_preprocessed=str(self.preprocessed.parent),
            nnUNet_results=str(self.results),
        )
        cell = Cell(plan=read_plan(self.preprocessed), method=get_method(self.method), fold=self.fold)
        return attempt(self.run, cell, self._grid())

    def checkpoint(self) -> DelayedSubmission:
        """What submitit runs after a pre-emption: the same again, as a cell's state is in its files alone."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _grid(self) -> Grid:
        return Grid(
            raw=self.raw,
            results=self.results,
            output=self.output,
            budget=self.budget,
            options=lambda name: self.options[name],
            device=torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu")),
            severities=self.severities,
        )


def cell_job(cell: Cell, grid: Grid, *, run: Callable[[Cell, Grid], None], device: str | None) -> CellJob:
    """The job that runs a cell of a grid.

    Raises:
        InputError: the row is not one of the registry.
    """
    if METHODS.get(cell.method.name) is not cell.method:
        raise InputError(
            f"the row {cell.method.name!r} is not in the registry, where a job looks for it",
            remedy="register it in spd_bench/methods/registry.py, or run its cells in this process",
        )
    return CellJob(
        run=run,
        preprocessed=cell.plan.folder,
        method=cell.method.name,
        fold=cell.fold,
        raw=grid.raw,
        results=grid.results,
        output=grid.output,
        budget=grid.budget,
        options={name: grid.options(name) for name in METHODS},
        device=device,
        severities=grid.severities,
    )


def _take_signals() -> None:
    """Keep submitit's handlers to the job's own process, and let a local job end when it is told to.

    Loading processes that are forked from a job inherit its handlers: each would put the job back into the queue, and
    none would end when it is terminated. Where the job cannot be put back, what its handler raises would be taken for
    the failure of whatever test case is being predicted.
    """
    os.register_at_fork(after_in_child=_forget_signals)
    requeue = signal.getsignal(_requeue_signal())
    if callable(requeue):
        signal.signal(_requeue_signal(), _ending_where_it_fails(requeue))
    if os.environ.get("SUBMITIT_EXECUTOR") == "local":
        # On a cluster SIGTERM comes before the signal of a pre-emption, and submitit waits for that one.
        signal.signal(signal.SIGTERM, _end)


def _forget_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGCONT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(_requeue_signal(), signal.SIG_IGN)


def _requeue_signal() -> signal.Signals:
    """The signal of a pre-emption, or of the end of a job's time."""
    from submitit import JobEnvironment

    number: signal.Signals = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
    return number


def _ending_where_it_fails(requeue: Handler) -> Handler:
    """A handler that ends the process with what it raised."""

    def handle(number: int, frame: FrameType | None) -> None:
        try:
            requeue(number, frame)
        except Exception:  # whatever it is, the job is not put back
            traceback.print_exc()
            sys.exit(_EXIT_FAILED)

    return handle


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(_EXIT_TERMINATED)
