"""A finished comparison of made-up methods on the tiny dataset, and its report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from spd_bench.cells import Cell, Grid
from spd_bench.comparison import run_cell
from spd_bench.evaluation import summarise
from spd_bench.evaluation.frames import read_frame, write_frame
from spd_bench.evaluation.table_formats import PrintedTable
from spd_bench.evaluation.tables import build_table, print_table
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import METHODS
from spd_bench.paths import DataFolders
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume
from spd_bench.prompts.points import PointPrompts
from spd_bench.severities import run_severities
from spd_bench.training.settings import Budget


class Distiller:
    """Finds the bright target near its points but for every fifth row.

    Keeps all points but the last, and gives the first one to the next slice, two rows on.
    """

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        bright = (volume.channels[0] > 175).astype(np.uint8)
        voxels = volume.points().voxels(volume.geometry)
        added = np.minimum(voxels[:1] + np.array([1, 2, 0]), np.array(bright.shape) - 1)
        consensus = np.concatenate([voxels[:-1], added])
        return Prediction(
            mask=bright * _odd_rows(bright) * _near(voxels, bright.shape),
            saliency=(volume.channels[0] / volume.channels[0].max()).clip(0, 1) if extra.saliency else None,
            points=PointPrompts.from_voxels(consensus, volume.geometry) if extra.prompts else None,
        )


class Bright:
    """Takes every bright voxel for target."""

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        return Prediction(mask=(volume.channels[0] > 130).astype(np.uint8))


def _odd_rows(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.broadcast_to((np.arange(mask.shape[1]) % 5 > 0)[:, None], mask.shape).astype(np.uint8)


def _near(voxels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Squares about the points, each on its own slice."""
    near = np.zeros(shape, np.uint8)
    for z, y, x in voxels:
        near[z, max(y - 6, 0) : y + 7, max(x - 6, 0) : x + 7] = 1
    return near


_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_TIMEOUT = 120


@pytest.fixture
def make_browser(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts a browser with these flags as well, where there is one; it is closed in the end."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("no chromium and chromedriver on this machine")
    started: list[Any] = []

    def make(*flags: str) -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*_FLAGS, *flags, f"--user-data-dir={tmp_path / 'profile'}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
        started.append(driver)
        driver.set_script_timeout(_TIMEOUT)
        driver.set_page_load_timeout(_TIMEOUT)
        return driver

    yield make
    for driver in started:
        driver.quit()


@pytest.fixture
def fake_bundle(tmp_path: Path) -> Path:
    """A file that begins and names its class as NiiVue's bundle does, and tries to break out of the page."""
    head = '(function(a,b){typeof exports=="object"?b(exports):(a=globalThis,b(a.niivue={}))})(this,function(q){'
    path = tmp_path / "niivue.umd.js"
    path.write_text(head + '"use strict";q.Niivue=class{};q.t="</script><b>ä<!--<script>"});\n', encoding="utf-8")
    return path


def _made_up_cells(plan: Plan, folds: tuple[int, ...] = (0, 1), *, title: str = "Bright") -> list[Cell]:
    """Cells of a row that predicts nothing, of one without prompts (its title), and of one that distils."""
    distiller = replace(METHODS["empty"], name="spd", title="SPD", uses_prompts=True, predictor=lambda _: Distiller())
    bright = replace(METHODS["empty"], name="bright", title=title, predictor=lambda _: Bright())
    return [
        Cell(plan=plan, method=method, fold=fold) for method in (METHODS["empty"], bright, distiller) for fold in folds
    ]


@pytest.fixture
def printed_tables() -> Callable[[Grid], list[PrintedTable]]:
    """The tables of a finished comparison."""

    def make(grid: Grid) -> list[PrintedTable]:
        slices, volumes = (read_frame(grid.output / f"{name}.csv") for name in ("slices", "volumes"))
        summary = summarise(slices, volumes)
        return [
            print_table(build_table(metric, summary=summary, slices=slices, volumes=volumes))
            for metric in ("average_dice", "volumetric_dice")
        ]

    return make


@pytest.fixture
def make_finished(planned: Plan, folders: DataFolders, tmp_path: Path) -> Callable[..., tuple[list[Cell], Grid]]:
    """A comparison that has been run in a folder of its own, at severities of noise as well where they are given."""

    def make(*, title: str = "Bright", **changes: Any) -> tuple[list[Cell], Grid]:
        cells = _made_up_cells(planned, title=title)
        grid = replace(_finished_grid(cells, folders.raw, tmp_path), **changes)
        if grid.severities is not None:
            run_severities(cells, grid, grid.severities)
        return cells, grid

    return make


def _finished_grid(cells: list[Cell], raw: Path, root: Path) -> Grid:
    grid = Grid(
        raw=raw,
        results=root / "results",
        output=root / "output",
        budget=Budget(epochs=1),
        options=lambda _: MethodOptions(),
        device=torch.device("cpu"),
    )
    grid.results.mkdir(parents=True)
    for cell in cells:
        run_cell(cell, grid)
    for name in ("slices", "volumes"):
        frames = [read_frame(grid.folder(cell) / f"{name}.csv") for cell in cells]
        write_frame(grid.output / f"{name}.csv", pd.concat(frames, ignore_index=True))
    figures = grid.output / "figures"
    figures.mkdir()
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(figures / "loss_by_epoch.png")
    return grid
