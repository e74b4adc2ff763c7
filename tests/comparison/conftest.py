"""Grids of short runs on the tiny dataset, and one comparison of them that every test may read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.training.logging.nnunet_logger import LocalLogger

import spd_bench.comparison as comparison_module
import spd_bench.methods.fitting as fitting
from spd_bench.cells import Cell, Grid
from spd_bench.comparison import Comparison, compare
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import METHODS
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.training.settings import Budget

BUDGET = Budget(epochs=2, iterations_per_epoch=2, batch_size=4)
OVERRIDES: dict[str, dict[str, Any]] = {"unet": {"base_features": 8}, "spd": {"saliency_bias": 4.0}}
ROWS = ("empty", "unet", "nnunet", "spd")


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """nnU-Net's plot of the progress takes longer than these runs."""
    monkeypatch.setattr(LocalLogger, "plot_progress_png", lambda self, output_folder: None)


@pytest.fixture(scope="session")
def rows() -> tuple[str, ...]:
    """The rows of the comparison that every test may read."""
    return ROWS


@pytest.fixture(scope="session")
def options_of() -> Callable[[str], MethodOptions]:
    """The options of a row of that name."""
    return lambda name: MethodOptions(backbone="vit_t", overrides=OVERRIDES.get(name, {}))


@pytest.fixture(scope="session")
def cells_of() -> Callable[..., list[Cell]]:
    """The cells of some rows and folds: ``cells_of(plan, ("unet",), (0, 1))``."""

    def cells(plan: Plan, names: Sequence[str] = ROWS, folds: Sequence[int] = (0,)) -> list[Cell]:
        return [Cell(plan=plan, method=METHODS[name], fold=fold) for name in names for fold in folds]

    return cells


@pytest.fixture
def make_grid(
    folders: DataFolders,
    options_of: Callable[[str], MethodOptions],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Grid]:
    """Grids with a results folder of their own."""

    def make(name: str = "a", **changes: Any) -> Grid:
        results = tmp_path / name / "results"
        results.mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv("nnUNet_results", str(results))
        return _grid(folders, root=tmp_path / name, **{"options": options_of, **changes})

    return make


@pytest.fixture(scope="session")
def whole(
    planned: Plan,
    folders: DataFolders,
    cells_of: Callable[..., list[Cell]],
    options_of: Callable[[str], MethodOptions],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Comparison, Grid]:
    """All rows on two folds, run once."""
    root = tmp_path_factory.mktemp("comparison")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalLogger, "plot_progress_png", lambda self, output_folder: None)
        patch.setenv("nnUNet_results", str(root / "results"))
        grid = _grid(folders, root=root, options=options_of)
        grid.results.mkdir()
        return compare(cells_of(planned, folds=(0, 1)), grid), grid


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Functions of the comparison that must not be called: ``forbid("predict_cases")``."""

    def forbidden(*names: str, module: Any = comparison_module) -> None:
        for name in names:

            def fail(*arguments: Any, called: str = name, **keywords: Any) -> None:
                pytest.fail(f"{called} was called")

            monkeypatch.setattr(module, name, fail)

    return forbidden


@pytest.fixture
def forbid_training(forbid: Callable[..., None]) -> Callable[[], None]:
    """Nothing must be trained from here on."""
    return lambda: forbid("fit", module=fitting)


def _grid(folders: DataFolders, *, root: Path, **changes: Any) -> Grid:
    arguments: dict[str, Any] = {
        "raw": folders.raw,
        "results": root / "results",
        "output": root / "output",
        "budget": BUDGET,
        "device": torch.device("cpu"),
        **changes,
    }
    return Grid(**arguments)
