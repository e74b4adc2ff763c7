from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from spd_bench.cells import Cell, Grid
from spd_bench.comparison_results import CELL_RECORD, write_results
from spd_bench.evaluation import write_frame
from spd_bench.evaluation.case import CaseKey, evaluate_case
from spd_bench.methods.method import MethodOptions
from spd_bench.methods.registry import METHODS
from spd_bench.planning.plan import Plan
from spd_bench.storage import write_json
from spd_bench.training.settings import Budget


def _scored_cell(grid: Grid, *, dataset: str, method: str) -> Cell:
    """A finished cell whose one volume is half found."""
    plan: Any = SimpleNamespace(dataset=dataset, patients={"case_0": "case_0"}, dataset_json={"description": "made up"})
    cell = Cell(plan=cast(Plan, plan), method=METHODS[method], fold=0)
    reference = np.zeros((2, 4, 4), bool)
    reference[0, 1:3, 1:3] = True
    prediction = reference.copy()
    prediction[0, 1] = False
    key = CaseKey(dataset=dataset, method=method, fold=0, case="case_0")
    scores = evaluate_case(reference, prediction, key=key, spacing=(5.0, 1.0, 1.0))
    write_frame(grid.folder(cell) / "slices.csv", pd.DataFrame(list(scores.slices)))
    write_frame(grid.folder(cell) / "volumes.csv", pd.DataFrame([scores.volume]))
    write_json(grid.folder(cell) / CELL_RECORD, {"dataset": dataset, "method": method, "missing_predictions": []})
    return cell


def _grid(root: Path) -> Grid:
    return Grid(
        raw=root,
        results=root,
        output=root / "out",
        budget=Budget(epochs=1),
        options=lambda _: MethodOptions(),
        device=torch.device("cpu"),
    )


def test_the_papers_numbers_stand_beside_ours_and_are_named_as_the_papers(tmp_path: Path) -> None:
    grid = _grid(tmp_path)
    write_results([_scored_cell(grid, dataset="Dataset501_TI", method="unet")], grid)
    lines = (grid.output / "table_volumetric_dice.md").read_text().splitlines()
    assert lines[2] == "| dataset | source | UNet | MedSAM | MSA | SAM-Refiner | nnU-Net | SPD | SPD - best other |"
    assert lines[4].startswith("| Dataset501_TI | ours | 66.67 | - |")
    assert lines[5].startswith("| Dataset501_TI | paper | 28.64 | 31.54 | 34.83 | 39.08 | 14.36 | **46.42** |")
    assert any('Rows "paper" hold the printed numbers of arXiv 2604.23314' in line for line in lines)


def test_a_dataset_that_the_paper_does_not_know_gets_none_of_its_numbers(tmp_path: Path) -> None:
    grid = _grid(tmp_path)
    write_results([_scored_cell(grid, dataset="Dataset777_Mine", method="unet")], grid)
    text = (grid.output / "table_volumetric_dice.md").read_text()
    assert "paper" not in text
    assert "MedSAM" not in text
