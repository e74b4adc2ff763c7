"""What goes wrong in a loading process is told as it would be here, and no process is left behind."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
import torch

from spd_bench.errors import InputError
from spd_bench.planning.preprocessed_cases import PreprocessedCases
from spd_bench.training.run import train

CPU = torch.device("cpu")
WORKERS = 2


@pytest.fixture
def fails_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reading any slices fails; loading processes are forked and inherit that."""

    def fails(error: Exception) -> None:
        def read_slices(self: PreprocessedCases, identifier: str, slices: Any = None) -> Any:
            raise error

        monkeypatch.setattr(PreprocessedCases, "read_slices", read_slices)

    return fails


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "resource_tracker" not in _call(child)]


def _call(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return "resource_tracker"


@pytest.mark.parametrize("method", ["unet", "spd"])
def test_an_input_error_in_a_loading_process_stays_one_line(
    make_run: Any, run_folder: Any, fails_with: Any, method: str
) -> None:
    run = make_run(method, training={"workers": WORKERS})
    fails_with(InputError("the slice is damaged", file="case.b2nd", remedy="plan again"))
    with pytest.raises(InputError) as caught:
        train(run, folder=run_folder(run), device=CPU)
    assert str(caught.value) == "the slice is damaged, in case.b2nd: plan again"
    del caught
    assert children() == []


def test_another_error_in_a_loading_process_keeps_its_type_and_traceback(
    make_run: Any, run_folder: Any, fails_with: Any
) -> None:
    run = make_run("unet", training={"workers": WORKERS})
    fails_with(IndexError("slice 7"))
    with pytest.raises(
        IndexError, match=r"(?s)in DataLoader worker process.*Traceback.*read_slices.*IndexError: slice 7"
    ):
        train(run, folder=run_folder(run), device=CPU)
    assert children() == []


def test_a_finished_run_leaves_no_process(make_run: Any, run_folder: Any) -> None:
    run = make_run("unet", training={"workers": WORKERS})
    train(run, folder=run_folder(run), device=CPU)
    assert children() == []
